//! A node's identity is arithmetic: its inode number is made from the agent's
//! slot and the file, and taken apart again. There is no table of inodes.
//!
//! ```text
//! 63      56 55                      8 7       0
//! [ class  ][ slot, or a name's hash  ][ which ]
//!           [ turn or part, 16 ][ slot, 32 ]
//! ```

use super::log::Log;
use super::table::{AgentFile, HomeFile, RootFile, TurnFile, WaitFile};
use crate::model::Status;

/// One thing in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// The mount itself.
    Root,
    /// `agents/`
    Agents,
    /// `stopped/`
    Stopped,
    /// `by-id/`
    ById,
    /// `by-status/`
    ByStatus,
    /// `by-tool/`
    ByTool,
    /// `homes/`
    Homes,
    /// `tools/`
    Tools,
    /// A file at the top.
    RootFile(RootFile),
    /// `homes/N/`, by number.
    Home(u32),
    /// A file of a Home.
    HomeFile(u32, HomeFile),
    /// An agent's link in `homes/N/agents/`.
    HomeLink(u32),
    /// `by-status/STATUS/`
    StatusDir(Status),
    /// `by-tool/TOOL/`, by a hash of the tool's name.
    ToolDir(u64),
    /// `tools/TOOL.toml`, by a hash of the tool's name.
    ToolFile(u64),
    /// An agent's directory, by slot.
    Agent(u32),
    /// A file of an agent.
    AgentFile(u32, AgentFile),
    /// A turn's directory, by its agent's slot and the turn's number modulo 2^16.
    Turn(u32, u16),
    /// A file of a turn.
    TurnFile(u32, u16, TurnFile),
    /// The link to the last turn.
    LastTurn(u32),
    /// A prompt in the queue, by its agent's slot and 24 bits of a hash of its name.
    Queued(u32, u32),
    /// A part of a growing file, by its agent's slot (0 for all agents) and the part's number
    /// modulo 2^16.
    Log(u32, Log, u16),
    /// A file in an agent's `wait/`, or `wait/turn/` itself.
    WaitFile(u32, WaitFile),
    /// A file in an agent's `wait/turn/`: the turn's number modulo 2^16.
    WaitTurn(u32, u16),
    /// An agent's link in `by-id/`.
    IdLink(u32),
    /// An agent's link in `by-status/STATUS/`.
    StatusLink(u32),
    /// An agent's link in `by-tool/TOOL/`.
    ToolLink(u32),
}

const FIXED: u64 = 0;
const ROOT_FILE: u64 = 1;
const STATUS_DIR: u64 = 2;
const TOOL_DIR: u64 = 3;
const TOOL_FILE: u64 = 4;
const AGENT: u64 = 5;
const AGENT_FILE: u64 = 6;
const LINK: u64 = 7;
const TURN: u64 = 8;
const TURN_FILE: u64 = 9;
const QUEUED: u64 = 10;
const LOG: u64 = 11;
const WAIT_FILE: u64 = 12;
const WAIT_TURN: u64 = 13;
const HOME: u64 = 14;
const HOME_FILE: u64 = 15;

/// The middle of what belongs to a turn: the turn above the slot.
fn with_turn(slot: u32, turn: u16) -> u64 {
    u64::from(turn) << 32 | u64::from(slot)
}

const fn pack(class: u64, middle: u64, which: u64) -> u64 {
    class << 56 | middle << 8 | which
}

impl Node {
    /// `by-tool/TOOL/` for a tool's name.
    pub fn tool_dir(tool: &str) -> Self {
        Self::ToolDir(hash48(tool))
    }

    /// `tools/TOOL.toml` for a tool's name.
    pub fn tool_file(tool: &str) -> Self {
        Self::ToolFile(hash48(tool))
    }

    /// `turns/N/`.
    pub fn turn(slot: u32, number: u64) -> Self {
        Self::Turn(slot, (number & 0xffff) as u16)
    }

    /// `queue/NAME`.
    pub fn queued(slot: u32, name: &str) -> Self {
        Self::Queued(slot, (hash48(name) & 0xff_ffff) as u32)
    }

    /// Its inode number; the root's is 1.
    pub fn ino(self) -> u64 {
        match self {
            Self::Root => pack(FIXED, 0, 1),
            Self::Agents => pack(FIXED, 0, 2),
            Self::Stopped => pack(FIXED, 0, 3),
            Self::ById => pack(FIXED, 0, 4),
            Self::ByStatus => pack(FIXED, 0, 5),
            Self::ByTool => pack(FIXED, 0, 6),
            Self::Tools => pack(FIXED, 0, 7),
            Self::Homes => pack(FIXED, 0, 8),
            Self::Home(number) => pack(HOME, number.into(), 0),
            Self::HomeFile(number, file) => pack(HOME_FILE, number.into(), file as u64),
            Self::HomeLink(slot) => pack(LINK, slot.into(), 4),
            Self::RootFile(file) => pack(ROOT_FILE, 0, file as u64),
            Self::StatusDir(status) => pack(STATUS_DIR, 0, status as u64),
            Self::ToolDir(hash) => pack(TOOL_DIR, hash, 0),
            Self::ToolFile(hash) => pack(TOOL_FILE, hash, 0),
            Self::Agent(slot) => pack(AGENT, slot.into(), 0),
            Self::AgentFile(slot, file) => pack(AGENT_FILE, slot.into(), file as u64),
            Self::WaitFile(slot, file) => pack(WAIT_FILE, slot.into(), file as u64),
            Self::WaitTurn(slot, turn) => pack(WAIT_TURN, with_turn(slot, turn), 0),
            Self::Turn(slot, turn) => pack(TURN, with_turn(slot, turn), 0),
            Self::TurnFile(slot, turn, file) => pack(TURN_FILE, with_turn(slot, turn), file as u64),
            Self::Queued(slot, hash) => {
                pack(QUEUED, u64::from(hash >> 8) << 32 | u64::from(slot), u64::from(hash & 0xff))
            }
            Self::LastTurn(slot) => pack(LINK, slot.into(), 3),
            Self::Log(slot, log, part) => pack(LOG, u64::from(part) << 32 | u64::from(slot), log as u64),
            Self::IdLink(slot) => pack(LINK, slot.into(), 0),
            Self::StatusLink(slot) => pack(LINK, slot.into(), 1),
            Self::ToolLink(slot) => pack(LINK, slot.into(), 2),
        }
    }

    /// The node of an inode number, or none when no node has it.
    pub fn from_ino(ino: u64) -> Option<Self> {
        let (class, middle, which) = (ino >> 56, (ino >> 8) & 0xffff_ffff_ffff, (ino & 0xff) as u8);
        let slot = u32::try_from(middle).ok();
        let low_slot = (middle & 0xffff_ffff) as u32;
        let turn = (middle >> 32) as u16;
        let node = match (class, which) {
            (FIXED, 1) => Self::Root,
            (FIXED, 2) => Self::Agents,
            (FIXED, 3) => Self::Stopped,
            (FIXED, 4) => Self::ById,
            (FIXED, 5) => Self::ByStatus,
            (FIXED, 6) => Self::ByTool,
            (FIXED, 7) => Self::Tools,
            (FIXED, 8) => Self::Homes,
            (HOME, 0) => Self::Home(slot?),
            (HOME_FILE, number) => Self::HomeFile(slot?, HomeFile::from_number(number)?),
            (ROOT_FILE, number) => Self::RootFile(RootFile::from_number(number)?),
            (STATUS_DIR, number) => Self::StatusDir(*Status::ALL.get(usize::from(number))?),
            (TOOL_DIR, 0) => Self::ToolDir(middle),
            (TOOL_FILE, 0) => Self::ToolFile(middle),
            (AGENT, 0) => Self::Agent(slot?),
            (AGENT_FILE, number) => Self::AgentFile(slot?, AgentFile::from_number(number)?),
            (LOG, number) => Self::Log(low_slot, Log::from_number(number)?, turn),
            (WAIT_FILE, number) => Self::WaitFile(slot?, WaitFile::from_number(number)?),
            (WAIT_TURN, 0) => Self::WaitTurn(low_slot, turn),
            (LINK, 0) => Self::IdLink(slot?),
            (LINK, 1) => Self::StatusLink(slot?),
            (LINK, 2) => Self::ToolLink(slot?),
            (LINK, 3) => Self::LastTurn(slot?),
            (LINK, 4) => Self::HomeLink(slot?),
            (QUEUED, low) => Self::Queued(low_slot, u32::from(turn) << 8 | u32::from(low)),
            (TURN, 0) => Self::Turn(low_slot, turn),
            (TURN_FILE, number) => Self::TurnFile(low_slot, turn, TurnFile::from_number(number)?),
            _ => return None,
        };
        (node.ino() == ino).then_some(node)
    }
}

/// FNV-1a, folded to 48 bits.
fn hash48(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash >> 48 ^ hash) & 0xffff_ffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::table::AGENT as AGENT_ROWS;
    use proptest::prelude::*;

    #[test]
    fn the_root_is_one() {
        assert_eq!(Node::Root.ino(), 1);
        assert_eq!(Node::from_ino(0), None);
    }

    proptest! {
        #[test]
        fn inodes_come_apart_again(slot in any::<u32>(), part in any::<u16>(), file in 0..AGENT_ROWS.len(), tool in "[a-z-]{1,20}") {
            let nodes = [
                Node::Turn(slot, part), Node::TurnFile(slot, part, TurnFile::Reply), Node::LastTurn(slot), Node::queued(slot, &tool),
                Node::Log(slot, Log::HistoryJsonl, part), Node::Log(slot, Log::History, part), Node::Log(slot, Log::Delivery, part),
                Node::Agent(slot), Node::AgentFile(slot, AGENT_ROWS[file].file), Node::IdLink(slot),
                Node::StatusLink(slot), Node::ToolLink(slot), Node::tool_dir(&tool), Node::tool_file(&tool),
                Node::WaitFile(slot, WaitFile::Turn), Node::WaitTurn(slot, part),
                Node::Home(slot), Node::HomeFile(slot, HomeFile::Agents), Node::HomeLink(slot),
            ];
            for node in nodes {
                prop_assert_eq!(Node::from_ino(node.ino()), Some(node));
            }
        }

        #[test]
        fn no_number_means_two_nodes(ino in any::<u64>()) {
            if let Some(node) = Node::from_ino(ino) {
                prop_assert_eq!(node.ino(), ino);
            }
        }
    }
}
