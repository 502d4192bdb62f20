//! What the daemon publishes and every reader sees: all agents at one moment.

use super::event::Event;
use super::live::{LiveState, Status};
use super::name::AgentId;
use super::pane::Screen;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The most bytes of history kept in memory for one agent and one format.
/// What is older stays in the session root's journal.
pub const MAX_HISTORY_BYTES: usize = 4 << 20;

/// All agents at one moment. Cheap to clone; never changes.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts publications.
    pub version: u64,
    /// Live agents by directory name.
    pub agents: BTreeMap<Arc<str>, Arc<AgentView>>,
    /// Stopped agents that can be relaunched, by directory name.
    pub stopped: BTreeMap<Arc<str>, Arc<AgentView>>,
    /// The tool definitions in force: name and the text of its file.
    pub tools: Arc<[(Arc<str>, Arc<str>)]>,
    /// Every agent's events.
    pub history: History,
    /// The verbs and their syntax are in the tree; here is the last refusal of a
    /// verb for the whole troop.
    pub error: Arc<str>,
}

impl Snapshot {
    /// The agents of one listing.
    pub fn listing(&self, listing: Listing) -> &BTreeMap<Arc<str>, Arc<AgentView>> {
        match listing {
            Listing::Live => &self.agents,
            Listing::Stopped => &self.stopped,
        }
    }

    /// The agent in `slot`, wherever it is listed. Linear: for lookups by inode
    /// the FUSE edge keeps nothing else.
    pub fn by_id(&self, id: &AgentId) -> Option<&Arc<AgentView>> {
        self.agents.values().chain(self.stopped.values()).find(|agent| &agent.id == id)
    }
}

/// Which directory an agent is listed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listing {
    /// `agents/`
    Live,
    /// `stopped/`
    Stopped,
}

/// One agent at one moment.
#[derive(Debug, Clone)]
pub struct AgentView {
    /// Numbers the agent's appearances from 1 while the daemon runs; inodes are made from it.
    pub slot: u32,
    /// Its directory's name: the agent's name, made unique.
    pub dir_name: Arc<str>,
    /// Its id.
    pub id: AgentId,
    /// Its state.
    pub state: Arc<LiveState>,
    /// Its screen.
    pub screen: Arc<Screen>,
    /// What has scrolled off the screen, plain; without the screen itself.
    pub scrollback: Arc<str>,
    /// What happened to it.
    pub history: History,
    /// The last prompt accepted.
    pub prompt: Arc<str>,
    /// The sentence behind the last refused write.
    pub error: Arc<str>,
    /// Its record.
    pub record_path: Arc<PathBuf>,
}

impl AgentView {
    /// Its status.
    pub fn status(&self) -> Status {
        self.state.status
    }
}

/// An append-only pair of texts: events as JSON lines and as prose. Clones share
/// the bytes and differ only in how far they see, so a snapshot costs no copy.
#[derive(Debug, Clone, Default)]
pub struct History {
    shared: Arc<RwLock<Texts>>,
    json_len: usize,
    text_len: usize,
}

#[derive(Debug, Default)]
struct Texts {
    json: Vec<u8>,
    text: Vec<u8>,
}

/// Which of the two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryFormat {
    /// One JSON object a line.
    Json,
    /// Prose.
    Text,
}

impl History {
    /// Adds an event. Once [`MAX_HISTORY_BYTES`] are reached nothing more is
    /// added; the journal on disk has it.
    pub fn push(&mut self, event: &Event) {
        let Ok(mut json) = serde_json::to_string(event) else { return };
        json.push('\n');
        let text = printable(&event.to_text());
        let mut texts = self.shared.write();
        if texts.json.len() + json.len() > MAX_HISTORY_BYTES || texts.text.len() + text.len() > MAX_HISTORY_BYTES {
            return;
        }
        texts.json.extend_from_slice(json.as_bytes());
        texts.text.extend_from_slice(text.as_bytes());
        self.json_len = texts.json.len();
        self.text_len = texts.text.len();
    }

    /// Bytes of one format that this clone sees.
    pub fn len(&self, format: HistoryFormat) -> usize {
        match format {
            HistoryFormat::Json => self.json_len,
            HistoryFormat::Text => self.text_len,
        }
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.json_len == 0
    }

    /// Up to `size` bytes from `offset`, and never past what this clone sees.
    pub fn read(&self, format: HistoryFormat, offset: usize, size: usize) -> Vec<u8> {
        let texts = self.shared.read();
        let (bytes, len) = match format {
            HistoryFormat::Json => (&texts.json, self.json_len),
            HistoryFormat::Text => (&texts.text, self.text_len),
        };
        let start = offset.min(len);
        let end = start.saturating_add(size).min(len);
        bytes[start..end].to_vec()
    }
}

/// `text` with a final newline and without control characters, so that what an
/// agent or a prompt says cannot attack the terminal of the person who reads it.
/// Newlines and tabs stay.
pub fn printable(text: &str) -> String {
    let mut out: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}
