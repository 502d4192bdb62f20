//! The closed list of what the world can learn, and what is written down because of it.

use super::turns::{Accepted, Progress};
use crate::model::snapshot::Oddities;
use crate::model::{
    Actor, AgentId, Event, EventKind, FoundAgent, HeadlessTurns, Home, Manifest, Probe, Queued, Record, Terminal,
    Transcript,
};
use crate::tracker::Report;
use std::path::Path;
use std::sync::Arc;

/// Something that was found out or done.
#[derive(Debug, Clone)]
pub enum Fact {
    /// An agent runs that nobody has registered.
    Found(Box<FoundAgent>),
    /// The gateway of Houmao that answers for an agent; none when none does any more.
    Gateway(AgentId, Option<String>),
    /// A record was read, and its manifest or why that could not be.
    Record {
        /// The record.
        record: Box<Record>,
        /// Where it is.
        path: Arc<Path>,
        /// Its manifest.
        manifest: Result<Box<Manifest>, String>,
    },
    /// There is no record any more.
    NoRecord(AgentId),
    /// What the registry holds beside agents.
    Oddities(Oddities),
    /// The Homes of this machine.
    Homes(Vec<Home>),
    /// A look at an agent's terminal.
    Terminal(AgentId, Terminal),
    /// What tmux says of an agent's session.
    Probed(AgentId, Box<Probe>),
    /// What has scrolled off an agent's screen.
    Scrollback(AgentId, Arc<str>),
    /// What an agent's program says elsewhere than on its terminal: the source, and nothing when it says nothing any more.
    Reported(AgentId, &'static str, Option<Box<Report>>),
    /// The log that an agent's program keeps, as far as it has been read; nothing when none is known to be its.
    Transcript(AgentId, Option<Arc<Transcript>>),
    /// How the turns stand that are processes of their own.
    Turns(AgentId, Box<HeadlessTurns>),
    /// Lines of an agent's journal, in order.
    Journal(AgentId, Vec<Event>),
    /// A prompt was accepted.
    Accepted(AgentId, Accepted),
    /// The prompt of that id has come further.
    Progress(AgentId, String, Progress),
    /// Whoever delivered the prompt of that id and text has died before its receipt was written.
    Orphaned(AgentId, String, String),
    /// What waits in an agent's queue.
    Queue(AgentId, Arc<[Queued]>),
    /// The interrupt key was pressed.
    Interrupted(AgentId),
    /// Something was refused, on an agent or on the troop; the sentence behind it.
    Refused(Option<AgentId>, String),
    /// What nobody needs has been cleared away: how much went, and how much stayed.
    Collected {
        /// Things taken away.
        removed: usize,
        /// Things looked at and kept.
        kept: usize,
    },
    /// Every record and terminal known at the start has been looked at.
    Settled,
}

/// Something that belongs into an agent's journal.
pub type Note = (AgentId, Actor, EventKind);
