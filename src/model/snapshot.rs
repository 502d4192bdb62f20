//! What the daemon publishes and every reader sees: all agents at one moment.

use super::agent_view::AgentView;
use super::history::History;
use super::home::Home;
use super::live::LiveState;
use super::name::AgentId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All agents at one moment. Cheap to clone; never changes.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts publications.
    pub version: u64,
    /// Live agents by directory name.
    pub agents: BTreeMap<Arc<str>, Arc<AgentView>>,
    /// Stopped agents that can be relaunched, by directory name.
    pub stopped: BTreeMap<Arc<str>, Arc<AgentView>>,
    /// The Homes of this machine, by the number that each got when it was first seen.
    pub homes: BTreeMap<u32, Arc<Home>>,
    /// The tool definitions in force: name and the text of its file.
    pub tools: Arc<[(Arc<str>, Arc<str>)]>,
    /// The agent of each slot, and where it is listed.
    pub slots: BTreeMap<u32, (Listing, Arc<AgentView>)>,
    /// What happened to all agents, in the order it became known.
    pub history: History,
    /// The sentence behind the last refused verb for the whole troop.
    pub refusal: Arc<str>,
    /// What was cleared away last, and when; empty when nothing was.
    pub collected: Arc<str>,
    /// Entries of the registry that are not local agents, and what is wrong with
    /// records that could not be read: how many of each.
    pub oddities: Oddities,
    /// Whether every record and terminal known at the start has been looked at.
    pub settled: bool,
    /// The `state.json` that was asked for last.
    pub last_rendered: Arc<LastRendered>,
}

/// The bytes of one state: whoever opens a file asks for its size as well. Only of
/// the last one, because of a thousand agents they would be most of the memory.
#[derive(Debug, Default)]
pub struct LastRendered(Mutex<Option<Rendered>>);

#[derive(Debug)]
struct Rendered {
    state: Arc<LiveState>,
    bytes: Arc<[u8]>,
}

impl LastRendered {
    /// The bytes of `state`, made by `render` unless they are at hand.
    pub fn of(&self, state: &Arc<LiveState>, render: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
        let mut last = self.0.lock();
        if let Some(known) = last.as_ref().filter(|known| Arc::ptr_eq(&known.state, state)) {
            return known.bytes.clone();
        }
        let bytes: Arc<[u8]> = render().into();
        *last = Some(Rendered { state: state.clone(), bytes: bytes.clone() });
        bytes
    }
}

/// What the registry holds beside agents that can be listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Records of agents on other machines, driven by somebody else.
    pub external: usize,
    /// Files that could not be understood; `troop doctor` names them.
    pub problems: usize,
}

impl Snapshot {
    /// The agents of one listing.
    pub fn listing(&self, listing: Listing) -> &BTreeMap<Arc<str>, Arc<AgentView>> {
        match listing {
            Listing::Live => &self.agents,
            Listing::Stopped => &self.stopped,
        }
    }

    /// The agent with that id, live or stopped.
    pub fn by_id(&self, id: &AgentId) -> Option<(Listing, &Arc<AgentView>)> {
        self.all().find(|(_, agent)| &agent.id == id)
    }

    /// The agent in that slot and where it is listed.
    pub fn by_slot(&self, slot: u32) -> Option<(Listing, &Arc<AgentView>)> {
        self.slots.get(&slot).map(|(listing, agent)| (*listing, agent))
    }

    /// Every agent: live ones first, by name.
    pub fn all(&self) -> impl Iterator<Item = (Listing, &Arc<AgentView>)> {
        let live = self.agents.values().map(|agent| (Listing::Live, agent));
        live.chain(self.stopped.values().map(|agent| (Listing::Stopped, agent)))
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
