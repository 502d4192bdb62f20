//! One agent at one moment, and what may be done to it then: each refusal is a sentence that says what to do instead.

use super::evidence::{Evidence, Question};
use super::headless::HeadlessTurns;
use super::history::History;
use super::live::{LiveState, Status, Tristate};
use super::name::AgentId;
use super::record::Backend;
use super::screen::Screen;
use super::transcript::Transcript;
use super::turn::Turn;
use crate::error::{Error, Kind, Result};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

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
