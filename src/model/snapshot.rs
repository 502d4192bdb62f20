//! What the daemon publishes and every reader sees: all agents at one moment.

use super::evidence::{Evidence, Question};
use super::headless::HeadlessTurns;
use super::history::History;
use super::home::Home;
use super::live::{LiveState, Status, Tristate};
use super::name::AgentId;
use super::record::Backend;
use super::screen::Screen;
use super::transcript::Transcript;
use super::turn::Turn;
use crate::error::{Error, Kind, Result};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
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
    /// What its status rests on, and what it asks.
    pub evidence: Arc<Evidence>,
    /// Its screen.
    pub screen: Screen,
    /// What has scrolled off the screen, plain; without the screen itself.
    pub scrollback: Arc<str>,
    /// What happened to it.
    pub history: History,
    /// The last prompt accepted.
    pub prompt: Arc<str>,
    /// Its turns, oldest first, the last ones only. The last may still be going on.
    pub turns: Arc<[Arc<Turn>]>,
    /// The prompts that wait for it to be ready, in name order.
    pub queue: Arc<[Queued]>,
    /// What became of its prompts, one receipt a line.
    pub receipts: History,
    /// The log that its program keeps, once it is known which that is.
    pub transcript: Option<Arc<Transcript>>,
    /// The turns that are processes of their own, where they are.
    pub headless: Option<Arc<HeadlessTurns>>,
    /// The sentence behind the last refused write.
    pub error: Arc<str>,
    /// Its record.
    pub record_path: Arc<Path>,
    /// When anything but its history last changed.
    pub changed_at: Timestamp,
}

/// The most prompts that wait in one queue.
pub const MAX_QUEUED: usize = 256;

/// A prompt that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its name.
    pub name: Arc<str>,
    /// Its text, as it was written.
    pub text: Arc<str>,
}

impl Queued {
    /// Whether it is to be delivered: names that begin with a dot are drafts.
    pub fn is_due(&self) -> bool {
        !self.name.starts_with('.')
    }
}

impl AgentView {
    /// Its status.
    pub fn status(&self) -> Status {
        self.state.status
    }

    /// Why the status is what it is.
    pub fn why(&self) -> &str {
        self.state.sources.first().map_or("", |source| &source.says)
    }

    /// Whether a prompt would be accepted now, or the sentence why not (contract, section 4.2).
    pub fn may_prompt(&self) -> Result<()> {
        let name = &self.dir_name;
        self.may_reach()?;
        if let Some(gateway) = &self.state.identity.gateway {
            return Err(Error::new(
                Kind::Busy,
                format!(
                    "the gateway of Houmao at {gateway} types into {name}, and two would mix their prompts; prompt it there (houmao-mgr agents single --agent-name {agent} gateway prompt), or detach it first (... gateway detach)",
                    agent = self.state.identity.agent_name
                ),
            ));
        }
        let busy = |sentence: String| Err(Error::new(Kind::Busy, sentence));
        match self.status() {
            Status::Ready if self.state.surface.editing_input == Tristate::Yes => {
                busy(format!("{name} has unsent text in its composer; send or clear it first"))
            }
            Status::Ready => Ok(()),
            Status::Pending => busy(format!("{name} has just been given a prompt; wait until its status is ready")),
            Status::Active => busy(format!("{name} is working; wait until its status is ready, or interrupt it")),
            Status::Blocked => busy(format!("{name} is asking a question; answer it first (see its screen)")),
            Status::Starting => busy(format!("{name} is still starting; wait until its status is ready")),
            Status::Unknown => {
                busy(format!("what {name} is doing cannot be told ({}); look at its screen", self.why()))
            }
            Status::Down | Status::Gone => self.may_reach(),
        }
    }

    /// Whether it is registered, or the sentence that says how that is done.
    pub fn may_drive(&self) -> Result<()> {
        let identity = &self.state.identity;
        if identity.managed {
            return Ok(());
        }
        let pane = self.state.probe_snapshot.as_ref().and_then(|probe| probe.pane_id.as_deref()).unwrap_or("PANE");
        let server = identity.tmux_socket.as_ref().map(|path| format!(" --tmux-socket {path}")).unwrap_or_default();
        Err(Error::new(
            Kind::Unsupported,
            format!(
                "{} is not registered and can only be read; adopt it first: troop adopt {pane}{server}",
                self.dir_name
            ),
        ))
    }

    /// Whether it is registered and its backend is one that is driven from here, or the sentence why not.
    fn is_ours_to_drive(&self) -> Result<()> {
        self.may_drive()?;
        let backend = self.state.identity.backend;
        if backend == Backend::LocalInteractive || backend.is_headless() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Unsupported,
            format!("{} runs as {}, which is not driven from here", self.dir_name, backend.as_str()),
        ))
    }

    /// Whether there is a terminal to type into, or the sentence why not.
    pub fn may_type(&self) -> Result<()> {
        self.may_drive()?;
        if self.state.identity.backend != Backend::LocalInteractive {
            return Err(Error::new(
                Kind::Unsupported,
                format!(
                    "{} runs as {}, which has no terminal interface to type into",
                    self.dir_name,
                    self.state.identity.backend.as_str()
                ),
            ));
        }
        self.may_reach()
    }

    /// Whether it may be given prompts, or the sentence why not: there is a program that takes them, or each starts one.
    pub fn may_reach(&self) -> Result<()> {
        self.is_ours_to_drive()?;
        match self.status() {
            Status::Down => Err(Error::new(
                Kind::Gone,
                format!("{} is down ({}); stop it, or look at its screen", self.dir_name, self.why()),
            )),
            Status::Gone => {
                Err(Error::new(Kind::Gone, format!("{} is gone ({}); launch it again", self.dir_name, self.why())))
            }
            _ => Ok(()),
        }
    }

    /// Whether there may be a turn to interrupt, or the sentence why not: at an idle
    /// composer the interrupt key means other things.
    pub fn may_interrupt(&self) -> Result<()> {
        self.may_reach()?;
        match self.status() {
            Status::Ready | Status::Starting => Err(Error::new(
                Kind::Busy,
                format!("{} is {}, so there is nothing to interrupt", self.dir_name, self.status()),
            )),
            _ => Ok(()),
        }
    }

    /// The question that may be answered now, or the sentence why there is none.
    pub fn may_answer(&self) -> Result<&Question> {
        self.may_type()?;
        self.evidence.question.as_ref().filter(|_| self.status() == Status::Blocked).ok_or_else(|| {
            Error::new(Kind::Busy, format!("{} is {}: there is no question to answer", self.dir_name, self.status()))
        })
    }

    /// Whether its program may be started again now, or the sentence why not.
    pub fn may_relaunch(&self) -> Result<()> {
        self.is_ours_to_drive()?;
        if self.state.identity.backend.is_headless() && self.status() == Status::Active {
            return Err(Error::new(
                Kind::Busy,
                format!("a turn of {} goes on; wait until its status is ready, or interrupt it", self.dir_name),
            ));
        }
        if self.status() == Status::Pending {
            return Err(Error::new(
                Kind::Busy,
                format!("{} has just been given a prompt; wait until its turn is seen", self.dir_name),
            ));
        }
        Ok(())
    }

    /// Whether its record may be retired: only when nothing runs any more.
    pub fn may_retire(&self) -> Result<()> {
        self.may_drive()?;
        if self.status() == Status::Gone {
            return Ok(());
        }
        Err(Error::new(
            Kind::Busy,
            format!("{} is {}; stop it first (echo stop > control)", self.dir_name, self.status()),
        ))
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
