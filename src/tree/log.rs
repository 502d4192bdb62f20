//! Files that only grow. When one is full its name leads to the next part, a file of its
//! own, and the name with `.1` to the one before.

use super::node::Node;
use super::render::Content;
use super::table::{AgentFile, Form, RootFile};
use super::{Attributes, NodeKind};
use crate::model::{AgentView, History, HistoryFormat, Snapshot};

/// The slot of what belongs to all agents; those of agents begin at 1.
pub const ALL_AGENTS: u32 = 0;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Log {
    /// `history.jsonl`
    HistoryJsonl,
    /// `history`
    History,
    /// `delivery.jsonl`
    Delivery,
}

/// All of them.
const LOGS: [Log; 3] = [Log::HistoryJsonl, Log::History, Log::Delivery];

impl Log {
    /// The one of that number.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        LOGS.into_iter().find(|log| *log as u8 == number)
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HistoryJsonl => AgentFile::HistoryJsonl.row().name,
            Self::History => AgentFile::History.row().name,
            Self::Delivery => AgentFile::Delivery.row().name,
        }
    }

    fn format(self) -> HistoryFormat {
        match self {
            Self::HistoryJsonl | Self::Delivery => HistoryFormat::Json,
            Self::History => HistoryFormat::Text,
        }
    }

    fn of(self, agent: &AgentView) -> &History {
        match self {
            Self::HistoryJsonl | Self::History => &agent.history,
            Self::Delivery => &agent.receipts,
        }
    }
}

/// What reading a part gives, or none when it is not at hand any more.
pub(super) fn content(snapshot: &Snapshot, slot: u32, log: Log, part: u16) -> Option<Content> {
    let history = match slot {
        ALL_AGENTS => &snapshot.history,
        _ => log.of(snapshot.by_slot(slot)?.1),
    };
    history.part(part).map(|part| Content::Growing(part, log.format()))
}

/// What `stat` says of a part that is open, whatever is at hand by now.
pub(super) fn attributes(snapshot: &Snapshot, slot: u32, content: &Content) -> Attributes {
    let mtime = snapshot.by_slot(slot).map(|(_, agent)| agent.changed_at);
    Attributes { kind: NodeKind::File, mode: Form::Read.mode(), size: content.len() as u64, mtime }
}

/// The node of a growing file at the top: none when it is not one, or nothing has that name yet.
pub(super) fn root_node(snapshot: &Snapshot, file: RootFile) -> Option<Node> {
    let history = &snapshot.history;
    let part = match file {
        RootFile::HistoryJsonl => history.number(),
        RootFile::HistoryJsonlBefore => history.number_before()?,
        _ => return None,
    };
    Some(Node::Log(ALL_AGENTS, Log::HistoryJsonl, part))
}

/// The node of an agent's file, if it has that name now.
pub(super) fn agent_node(agent: &AgentView, file: AgentFile) -> Option<Node> {
    let is_of_registry = matches!(file, AgentFile::Manifest | AgentFile::Record | AgentFile::Session);
    if is_of_registry && !agent.state.identity.managed {
        return None;
    }
    let (log, is_before) = match file {
        AgentFile::History => (Log::History, false),
        AgentFile::HistoryBefore => (Log::History, true),
        AgentFile::HistoryJsonl => (Log::HistoryJsonl, false),
        AgentFile::HistoryJsonlBefore => (Log::HistoryJsonl, true),
        AgentFile::Delivery => (Log::Delivery, false),
        AgentFile::DeliveryBefore => (Log::Delivery, true),
        _ => return Some(Node::AgentFile(agent.slot, file)),
    };
    let history = log.of(agent);
    let part = if is_before { history.number_before()? } else { history.number() };
    Some(Node::Log(agent.slot, log, part))
}

/// Whether an agent's directory lists what it will always list.
pub(super) fn is_constant(agent: &AgentView) -> bool {
    LOGS.into_iter().all(|log| log.of(agent).number() == 0)
}
