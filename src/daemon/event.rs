//! The closed list of what can happen to the loop, commands and time apart.

use super::gateway::Gateway;
use crate::engine::{Fact, Note};
use crate::error::Result;
use crate::model::snapshot::Oddities;
use crate::model::{AgentId, FoundAgent, HeadlessTurns, Manifest, PaneId, Probe, Terminal, Transcript};
use crate::port::Answer;
use crate::store::Entry;
use crate::tmux::{self, Client};
use crate::tracker::Report;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// The most events that wait for the loop; whoever has more waits.
pub(super) const MAX_EVENTS: usize = 4096;

/// A connection to an agent's session, and the agent's pane in it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) client: Arc<Client>,
    pub(super) pane: PaneId,
    attend: Arc<Notify>,
}

impl Link {
    pub(super) fn new(client: Arc<Client>, pane: PaneId) -> Self {
        Self { client, pane, attend: Arc::default() }
    }

    /// Asks whoever observes the pane to look at it as closely as one that has long been still: a short turn would end
    /// between two looks at one that keeps changing.
    pub(super) fn attend(&self) {
        self.attend.notify_one();
    }

    /// Resolves when that has been asked.
    pub(super) async fn attended(&self) {
        self.attend.notified().await;
    }
}

/// A connection that has just been made, with the events it sends.
pub(super) struct Fresh {
    pub(super) link: Link,
    pub(super) events: mpsc::Receiver<tmux::Event>,
}

/// Numbers observers, so that what an old one still says is not taken for news.
pub(super) type Serial = u64;

/// A record that was read, and what else there is to know of its agent beside what its terminal shows.
pub(super) struct Read {
    pub(super) entry: Entry,
    /// Its manifest, or why that cannot be used.
    pub(super) manifest: std::result::Result<Box<Manifest>, String>,
    pub(super) gateway: Option<Gateway>,
    /// Why nothing can be told of its session here, when that is on another machine.
    pub(super) elsewhere: Option<String>,
    /// When it was looked for.
    pub(super) looked: Instant,
}

/// What can happen.
pub(super) enum Event {
    /// A record was read.
    Read(Box<Read>),
    /// There was no record of that id when it was looked for.
    Missing { agent: AgentId, looked: Instant },
    /// All records have been read; these are all there were when that began.
    Scanned { present: BTreeSet<AgentId>, oddities: Oddities, looked: Instant },
    /// A file we asked to watch has changed.
    Changed(PathBuf),
    /// An observer has a connection.
    Connected { agent: AgentId, serial: Serial, link: Link },
    /// An observer has looked.
    Looked { agent: AgentId, serial: Serial, terminal: Terminal },
    /// An observer has been told which panes the session has.
    Probed { agent: AgentId, serial: Serial, probe: Box<Probe> },
    /// An observer has read what scrolled off.
    Scrolled { agent: AgentId, serial: Serial, text: Arc<str> },
    /// An observer has nothing to observe any more.
    Ended { agent: AgentId, serial: Serial },
    /// A program says something elsewhere than on its terminal, or does not any more.
    Reported { agent: AgentId, serial: Serial, source: &'static str, report: Option<Box<Report>> },
    /// An agent's log has been read on, or none is known to be its.
    Transcribed { agent: AgentId, serial: Serial, transcript: Option<Arc<Transcript>> },
    /// The turns that are processes of their own stand so.
    Turned { agent: AgentId, serial: Serial, turns: Box<HeadlessTurns> },
    /// Nobody had to judge the last turn of an agent any more, or somebody has.
    Judged(AgentId),
    /// What an agent's programs say elsewhere has been read for the first time.
    Followed { agent: AgentId, serial: Serial },
    /// The agents that run on these servers, or why they could not be looked for.
    Discovered(Vec<(PathBuf, Result<Vec<FoundAgent>>)>),
    /// Some session of that server came or went.
    Sessions(PathBuf),
    /// The sessions of that server; none when there is no server.
    Surveyed { socket: PathBuf, sessions: Result<BTreeSet<String>> },
    /// An agent is about to be ended: it is not looked at any more, until its record is read again.
    Ending(AgentId),
    /// A session was made for an agent whose record is there.
    Created { agent: AgentId, generation: Arc<str>, fresh: Fresh },
    /// An effect found something out.
    Fact(Box<Fact>),
    /// An effect did something.
    Note(Box<Note>),
    /// All effects of a command have been carried out, or one failed.
    Finished { answer: Option<Answer>, result: Result<()> },
}

impl Event {
    /// What an effect found out.
    pub(super) fn fact(fact: Fact) -> Self {
        Self::Fact(Box::new(fact))
    }
}

/// Where events are sent.
pub(super) type Events = mpsc::Sender<Event>;
