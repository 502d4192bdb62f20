//! What reading a file shows.

use super::homes;
use super::log;
use super::node::Node;
use super::readme::readme;
use super::table::{AgentFile, RootFile};
use super::turns;
use crate::command::{AGENT_VERBS, TROOP_VERBS, VerbDoc};
use crate::model::history::Part;
use crate::model::listed::Listed;
use crate::model::snapshot::printable;
use crate::model::{AgentView, HistoryFormat, Listing, LiveState, Snapshot};
use std::fmt::Write;
use std::sync::Arc;

/// `state.json` is padded to a multiple of this, because `fstat` carries no
/// handle: a reader that trusts the size must not cut a document that has grown
/// a little between open and stat (fuse-and-tmux, D5).
const STATE_QUANTUM: usize = 512;

/// What one open of a file reads.
#[derive(Debug, Clone)]
pub enum Content {
    /// The same bytes for as long as it is open.
    Fixed(Arc<[u8]>),
    /// A text that only grows.
    Growing(Part, HistoryFormat),
}

impl Content {
    /// Bytes there are now.
    pub fn len(&self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes.len(),
            Self::Growing(part, format) => part.len(*format),
        }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What reading `node` gives, or none when it is not a file or is gone.
pub fn content(snapshot: &Snapshot, node: Node) -> Option<Content> {
    let fixed = |text: String| Content::Fixed(text.into_bytes().into());
    match node {
        Node::RootFile(RootFile::Readme) => Some(fixed(readme())),
        Node::RootFile(RootFile::Control) => {
            let mut text = verbs(TROOP_VERBS);
            if !snapshot.refusal.is_empty() {
                let _ = writeln!(text, "# last refused: {}", snapshot.refusal);
            }
            if !snapshot.collected.is_empty() {
                let _ = writeln!(text, "# last gc {}", snapshot.collected);
            }
            Some(fixed(text))
        }
        Node::RootFile(RootFile::Index) => Some(fixed(index(snapshot))),
        Node::RootFile(RootFile::AgentsJsonl) => Some(Content::Fixed(agents_jsonl(snapshot).into())),
        Node::ToolFile(_) => snapshot
            .tools
            .iter()
            .find(|(name, _)| Node::tool_file(name) == node)
            .map(|(_, text)| Content::Fixed(text.as_bytes().into())),
        Node::Queued(slot, _) => {
            let (_, agent) = snapshot.by_slot(slot)?;
            Some(fixed(super::queued(agent, node).map_or_else(String::new, |queued| line_or_nothing(&queued.text))))
        }
        Node::HomeFile(number, file) => homes::content(homes::find(snapshot, number)?, file),
        Node::TurnFile(slot, turn, file) => turns::find(snapshot, slot, turn).map(|turn| turns::content(turn, file)),
        Node::Log(slot, log, part) => log::content(snapshot, slot, log, part),
        Node::AgentFile(slot, file) => snapshot.by_slot(slot).and_then(|(_, agent)| agent_file(snapshot, agent, file)),
        _ => None,
    }
}

fn agent_file(snapshot: &Snapshot, agent: &AgentView, file: AgentFile) -> Option<Content> {
    let fixed = |text: String| Content::Fixed(text.into_bytes().into());
    Some(match file {
        AgentFile::Status => fixed(format!("{}\n", agent.status())),
        AgentFile::State => Content::Fixed(snapshot.last_rendered.of(&agent.state, || state_json(&agent.state))),
        AgentFile::Screen => Content::Fixed(agent.screen.text.as_bytes().into()),
        AgentFile::ScreenAnsi => Content::Fixed(agent.screen.ansi.as_bytes().into()),
        AgentFile::Scrollback => fixed(format!("{}{}", agent.scrollback, agent.screen.text)),
        // After a turn without an answer there is none: the one before it would be taken for its.
        AgentFile::Reply => fixed(
            agent.turns.iter().rev().find(|turn| turn.has_ended()).map_or_else(String::new, |turn| turns::reply(turn)),
        ),
        AgentFile::Question => fixed(agent.evidence.question()),
        AgentFile::Explain => fixed(printable(&agent.evidence.explain(&agent.state))),
        AgentFile::Prompt => fixed(line_or_nothing(&agent.prompt)),
        AgentFile::Control => fixed(legal_verbs(agent)),
        AgentFile::Keys => fixed(KEYS.to_owned()),
        AgentFile::Error => fixed(line_or_nothing(&agent.error)),
        AgentFile::Manifest
        | AgentFile::Record
        | AgentFile::Session
        | AgentFile::Transcript
        | AgentFile::Cwd
        | AgentFile::Turns
        | AgentFile::Queue
        | AgentFile::Ask
        | AgentFile::Wait => return None,
        // What grows has nodes of its own.
        AgentFile::History
        | AgentFile::HistoryJsonl
        | AgentFile::HistoryBefore
        | AgentFile::HistoryJsonlBefore
        | AgentFile::Delivery
        | AgentFile::DeliveryBefore => {
            return None;
        }
    })
}

/// Pretty JSON, then blanks up to the quantum, then the final newline.
fn state_json(state: &LiveState) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(state).unwrap_or_default();
    let padded = (bytes.len() + 1).next_multiple_of(STATE_QUANTUM);
    bytes.resize(padded - 1, b' ');
    bytes.push(b'\n');
    bytes
}

pub(super) fn line_or_nothing(text: &str) -> String {
    if text.is_empty() { String::new() } else { printable(text) }
}

fn index(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for (_, agent) in snapshot.all() {
        let cwd = agent.state.identity.working_directory.as_deref().unwrap_or("-");
        let row = [
            agent.dir_name.as_ref(),
            agent.status().as_str(),
            &agent.state.identity.tool,
            &agent.state.status_since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            cwd,
        ]
        .map(|cell| cell.replace(|c: char| c.is_control(), "?"));
        let _ = writeln!(text, "{}", row.join("\t"));
    }
    text
}

fn agents_jsonl(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    for agent in snapshot.agents.values() {
        let before = bytes.len();
        if serde_json::to_writer(&mut bytes, &Listed::with_source(agent, Listing::Live)).is_err() {
            bytes.truncate(before);
            continue;
        }
        bytes.push(b'\n');
    }
    bytes
}

/// The verbs that would be accepted now.
fn legal_verbs(agent: &AgentView) -> String {
    let legal = |verb: &VerbDoc| match verb.syntax.split(' ').next() {
        Some("stop" | "close") => agent.may_drive().is_ok() && agent.state.lifecycle.state.is_live(),
        Some("relaunch") => agent.may_relaunch().is_ok(),
        Some("interrupt") => agent.may_interrupt().is_ok(),
        Some("approve" | "deny" | "answer") => agent.may_answer().is_ok(),
        _ => agent.may_type().is_ok(),
    };
    verbs(&AGENT_VERBS.iter().filter(|verb| legal(verb)).copied().collect::<Vec<_>>())
}

/// The longest verb with its arguments that the others are aligned with.
const VERB_WIDTH: usize = 56;

fn verbs(docs: &[VerbDoc]) -> String {
    // A long one does not move what is said of all others out of sight.
    let width = docs.iter().map(|doc| doc.syntax.len()).filter(|width| *width <= VERB_WIDTH).max().unwrap_or(0);
    docs.iter().fold(String::new(), |mut text, doc| {
        let _ = writeln!(text, "{:width$}  # {}", doc.syntax, doc.doc);
        text
    })
}

const KEYS: &str = "\
# Write key names here, one a line: they go to the terminal as they are, whatever
# the agent's state. Enter Escape Tab BSpace Space Up Down Left Right Home End
# PageUp PageDown DC IC F1..F12, C-x (control), M-x (meta), or one character.
";
