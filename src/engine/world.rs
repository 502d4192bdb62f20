//! Everything known, and how facts change it.

use super::chronicle::Chronicle;
use super::compose;
use super::recovery;
use super::turns::{Accepted, Progress, TurnLog};
use crate::model::history::{History, Lines};
use crate::model::live::{Identity, Status};
use crate::model::snapshot::Oddities;
use crate::model::{
    Actor, AgentId, AgentView, Event, EventKind, FoundAgent, HeadlessTurns, Home, LifecycleState, Manifest, Presets,
    Probe, Queued, Record, Screen, Terminal, Transcript,
};
use crate::tool::{Tool, Tools};
use crate::tracker::{Report, STARTING_LIMIT, Tracker};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most agents that time passes for at once. Their new views are published before
/// the next ones are made, so that old and new are not all in memory together.
const MAX_TICKED: usize = 64;

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

/// One agent, as far as it is known.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its record.
    pub record: Record,
    /// Where that is.
    pub record_path: Arc<Path>,
    /// Its manifest, or why it could not be read.
    pub manifest: Result<Box<Manifest>, String>,
    /// Both as `state.json` shows them: made when they are read, not at every change.
    pub(super) identity: Arc<Identity>,
    /// What the registry cannot know of it.
    pub(super) beside: Beside,
    /// Its tool.
    pub tool: Arc<Tool>,
    /// Its terminal.
    pub terminal: Terminal,
    /// What tmux says of its session, once it was asked.
    // Boxed, because most agents that do not run have none.
    pub(super) probe: Option<Box<Probe>>,
    pub(super) scrollback: Arc<str>,
    pub(super) tracker: Tracker,
    pub(super) slot: u32,
    pub(super) history: History,
    pub(super) prompt: Arc<str>,
    pub(super) turns: TurnLog,
    pub(super) queue: Arc<[Queued]>,
    pub(super) receipts: History,
    /// When the last prompt was accepted.
    pub(super) asked_at: Option<Timestamp>,
    /// The log that its program keeps, once it is known which that is.
    pub transcript: Option<Arc<Transcript>>,
    pub(super) headless: Option<Arc<HeadlessTurns>>,
    pub(super) error: Arc<str>,
    pub(super) noted_status: Option<Status>,
    pub(super) changed: bool,
    pub(super) view: Option<Arc<AgentView>>,
}

/// What `state.json` shows of an agent and no record or manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beside {
    /// It was found in somebody's pane, and no record is of it.
    pub(super) unmanaged: bool,
    /// Where a gateway answers that types into its terminal.
    pub(super) gateway: Option<String>,
}

impl Agent {
    /// Whether it is registered.
    pub fn is_managed(&self) -> bool {
        !self.beside.unmanaged
    }

    /// Whether it is listed under `agents/`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.record.claims_live(now)
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.tracker.status()
    }

    /// What waits in its queue.
    pub fn queue(&self) -> &[Queued] {
        &self.queue
    }

    /// The last prompt that was accepted.
    pub fn prompt(&self) -> &Arc<str> {
        &self.prompt
    }

    /// When that was.
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.asked_at
    }

    /// What was published of it last.
    pub fn view(&self) -> Option<&Arc<AgentView>> {
        self.view.as_ref()
    }

    /// Makes anew what is shown of record and manifest.
    pub(super) fn identify(&mut self) {
        self.identity = Arc::new(compose::identity(&self.record, self.manifest.as_deref().ok(), &self.beside));
    }

    pub(super) fn screen(&self) -> Screen {
        match &self.terminal {
            Terminal::Seen(look) => look.screen.clone(),
            _ => Screen::default(),
        }
    }
}

/// Everything known.
#[derive(Debug)]
pub struct World {
    /// The agents, by id.
    // Boxed, because a tree's nodes stay half empty and an agent takes more than a KiB.
    pub agents: BTreeMap<AgentId, Box<Agent>>,
    /// The tools.
    pub tools: Tools,
    /// What a launch comes with that does not say otherwise.
    pub presets: Presets,
    /// Where a launch works that names no directory.
    pub default_cwd: PathBuf,
    /// Whether questions may be answered through troop.
    pub allows_approvals: bool,
    /// What the tree shows of the tools; they stay as they are while the world lasts.
    pub(super) tool_files: Arc<[(Arc<str>, Arc<str>)]>,
    pub(super) chronicle: Chronicle,
    pub(super) refusal: Arc<str>,
    pub(super) collected: Arc<str>,
    pub(super) oddities: Oddities,
    pub(super) homes: BTreeMap<u32, Arc<Home>>,
    /// The number of every Home that was ever seen.
    home_numbers: BTreeMap<PathBuf, u32>,
    pub(super) settled: bool,
    pub(super) version: u64,
    pub(super) dirty: bool,
    last_slot: u32,
}

impl World {
    /// A world without agents.
    pub fn new(tools: Tools, presets: Presets, default_cwd: PathBuf) -> Self {
        Self {
            agents: BTreeMap::new(),
            tool_files: tools.texts().map(|(name, text)| (name.into(), text.into())).collect(),
            tools,
            presets,
            default_cwd,
            allows_approvals: false,
            chronicle: Chronicle::new(),
            refusal: Arc::default(),
            collected: Arc::default(),
            oddities: Oddities::default(),
            homes: BTreeMap::new(),
            home_numbers: BTreeMap::new(),
            settled: false,
            version: 0,
            dirty: true,
            last_slot: 0,
        }
    }

    /// Takes in a fact and gives what belongs into journals because of it.
    pub fn take(&mut self, fact: Fact, now: Timestamp) -> Vec<Note> {
        match fact {
            Fact::Record { record, path, manifest } => return self.take_record(*record, path, manifest, now),
            Fact::Found(found) => return self.take_found(*found, now),
            Fact::Gateway(id, gateway) => {
                return self.with(&id, now, |agent| {
                    agent.beside.gateway = gateway;
                    agent.identify();
                });
            }
            Fact::NoRecord(id) => {
                self.dirty |= self.agents.remove(&id).is_some();
                return Vec::new();
            }
            Fact::Oddities(oddities) => {
                self.dirty |= self.oddities != oddities;
                self.oddities = oddities;
                // They are counted when everything has been read.
                self.dirty |= self.chronicle.settle();
            }
            Fact::Collected { removed, kept } => {
                self.collected = format!("at {now:.0}: {removed} taken away, {kept} kept").into();
                self.dirty = true;
            }
            Fact::Homes(homes) => self.take_homes(homes),
            Fact::Settled => {
                self.dirty |= !self.settled;
                self.settled = true;
            }
            Fact::Journal(id, events) => {
                self.show(&id, &events);
                if !events.is_empty() {
                    return self.with(&id, now, |agent| agent.read_journal(&events, now));
                }
            }
            Fact::Terminal(id, terminal) => return self.with(&id, now, |agent| agent.look(terminal, now)),
            Fact::Probed(id, probe) => {
                if self.agents.get(&id).is_some_and(|agent| agent.probe.as_ref() != Some(&probe)) {
                    return self.with(&id, now, |agent| agent.probe = Some(probe));
                }
            }
            Fact::Scrollback(id, text) => return self.with(&id, now, |agent| agent.scrollback = text),
            Fact::Reported(id, source, report) => {
                return self.with(&id, now, |agent| match report {
                    Some(report) => agent.tracker.report(*report, now),
                    None => agent.tracker.withdraw(source, now),
                });
            }
            Fact::Transcript(id, transcript) => {
                return self.noting(&id, now, |agent| agent.read_transcript(transcript, now));
            }
            Fact::Turns(id, turns) => return self.noting(&id, now, |agent| agent.read_turns(*turns, now)),
            Fact::Accepted(id, prompt) => {
                return self.noting(&id, now, |agent| {
                    (agent.prompt, agent.asked_at) = (prompt.text.as_str().into(), Some(now));
                    let bytes = prompt.text.len();
                    let mut notes = agent.turns.accepted(prompt, now);
                    agent.tracker.accepted(bytes, now);
                    notes.extend(agent.consult_transcript(now));
                    notes
                });
            }
            Fact::Progress(id, prompt_id, progress) => {
                return self.noting(&id, now, |agent| agent.progress(&prompt_id, progress, now));
            }
            Fact::Orphaned(id, prompt_id, text) => {
                return self.noting(&id, now, |agent| agent.turns.orphaned(&prompt_id, &text, now));
            }
            Fact::Queue(id, queue) => {
                if self.agents.get(&id).is_some_and(|agent| agent.queue != queue) {
                    return self.with(&id, now, |agent| agent.queue = queue);
                }
            }
            Fact::Interrupted(id) => return self.with(&id, now, |agent| agent.tracker.interrupted(now)),
            Fact::Refused(Some(id), sentence) => {
                return self.with(&id, now, |agent| agent.error = sentence.into());
            }
            Fact::Refused(None, sentence) => {
                self.refusal = sentence.into();
                self.dirty = true;
            }
        }
        Vec::new()
    }

    /// Lets time pass for agents whose deadline has come, for [`MAX_TICKED`] at most:
    /// the deadline of the others has still come.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Note> {
        let due: Vec<AgentId> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.tracker.deadline().is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .take(MAX_TICKED)
            .collect();
        due.iter().flat_map(|id| self.with(id, now, |agent| agent.tracker.tick(now))).collect()
    }

    /// When [`World::tick`] has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.agents
            .values()
            .filter(|agent| agent.record.lifecycle.state.is_live())
            .filter_map(|agent| agent.tracker.deadline())
            .min()
    }

    /// When the next relaunch counts as left undone.
    pub fn next_left_undone(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.agents.values().filter_map(|agent| recovery::relaunching_until(&agent.record));
        until.filter(|until| *until > now).min()
    }

    /// The agents whose relaunch was left undone, and whether their sessions are there, once that is known.
    pub fn left_undone(&self, now: Timestamp) -> impl Iterator<Item = (&AgentId, Option<bool>)> {
        let due = move |agent: &Agent| recovery::relaunching_until(&agent.record).is_some_and(|until| until <= now);
        self.agents
            .iter()
            .filter(move |(_, agent)| due(agent))
            .map(|(id, agent)| (id, agent.probe.as_ref().map(|probe| probe.session)))
    }

    /// Shows events in their agent's history and in that of all agents.
    fn show(&mut self, id: &AgentId, events: &[Event]) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        for (event, lines) in events.iter().filter_map(|event| Some((event, Lines::of(event)?))) {
            agent.history.push(&lines);
            self.chronicle.push(&agent.record.manifest_path, event, &lines);
        }
    }

    /// Numbers the Homes, from 1 in the order in which they are first seen.
    fn take_homes(&mut self, homes: Vec<Home>) {
        let mut numbered = BTreeMap::new();
        for home in homes {
            let next = u32::try_from(self.home_numbers.len() + 1).unwrap_or(u32::MAX);
            let number = *self.home_numbers.entry(home.path.clone()).or_insert(next);
            numbered.insert(number, Arc::new(home));
        }
        self.dirty |= self.homes != numbered;
        self.homes = numbered;
    }

    pub(super) fn take_record(
        &mut self,
        record: Record,
        path: Arc<Path>,
        manifest: Result<Box<Manifest>, String>,
        now: Timestamp,
    ) -> Vec<Note> {
        let id = record.id.clone();
        let tool = self.tools.get_or_generic(&record.tool).clone();
        match self.agents.get_mut(&id) {
            Some(agent) if agent.record == record && agent.record_path == path && agent.manifest == manifest => {
                Vec::new()
            }
            Some(agent) => {
                // Another launch is another life: nothing seen of the last one counts.
                let relaunched = agent.record.generation != record.generation
                    || (!agent.record.lifecycle.state.is_live() && record.lifecycle.state.is_live());
                // So is another program in its own session, but the agent is the same.
                let respawned = !relaunched
                    && record.lifecycle.state == LifecycleState::Relaunching
                    && agent.record.lifecycle.state == LifecycleState::Active;
                if relaunched || respawned {
                    agent.tracker = Tracker::new(began_at(&record, &manifest), now);
                    (agent.terminal, agent.probe) = (Terminal::Unseen, None);
                    (agent.scrollback, agent.error, agent.transcript) = (Arc::default(), Arc::default(), None);
                    agent.headless = None;
                }
                if relaunched {
                    self.last_slot += 1;
                    agent.slot = self.last_slot;
                    // A session of its own has a history of its own.
                    if agent.record.manifest_path != record.manifest_path {
                        (agent.history, agent.prompt) = (History::default(), Arc::default());
                        (agent.turns, agent.receipts) = (TurnLog::default(), History::default());
                    }
                }
                (agent.record, agent.record_path, agent.manifest, agent.tool) = (record, path, manifest, tool);
                agent.identify();
                self.noting(&id, now, |agent| if respawned { agent.turns.lose(now) } else { Vec::new() })
            }
            None => {
                self.last_slot += 1;
                let agent = Agent {
                    identity: Arc::new(compose::identity(&record, manifest.as_deref().ok(), &Beside::default())),
                    beside: Beside::default(),
                    tracker: Tracker::new(began_at(&record, &manifest), now),
                    record,
                    record_path: path,
                    manifest,
                    tool,
                    terminal: Terminal::Unseen,
                    probe: None,
                    scrollback: Arc::default(),
                    slot: self.last_slot,
                    history: History::default(),
                    prompt: Arc::default(),
                    turns: TurnLog::default(),
                    queue: Arc::default(),
                    receipts: History::default(),
                    asked_at: None,
                    transcript: None,
                    headless: None,
                    error: Arc::default(),
                    noted_status: None,
                    changed: true,
                    view: None,
                };
                self.agents.insert(id.clone(), Box::new(agent));
                self.with(&id, now, |_| {})
            }
        }
    }

    /// Changes one agent, and notes what that means for its turns and its status.
    pub(super) fn with(&mut self, id: &AgentId, now: Timestamp, change: impl FnOnce(&mut Agent)) -> Vec<Note> {
        self.noting(id, now, |agent| {
            change(agent);
            Vec::new()
        })
    }

    fn noting(
        &mut self,
        id: &AgentId,
        now: Timestamp,
        change: impl FnOnce(&mut Agent) -> Vec<(Actor, EventKind)>,
    ) -> Vec<Note> {
        let Some(agent) = self.agents.get_mut(id) else { return Vec::new() };
        let mut notes = change(agent);
        agent.changed = true;
        // Before the first look there is no verdict, and the first is where we came in, not a change.
        if !agent.is_live(now) || matches!(agent.terminal, Terminal::Unseen) {
            agent.noted_status = None;
            if !agent.is_live(now) {
                notes.extend(agent.turns.lose(now));
            }
        } else {
            notes.extend(agent.follow_turns(now));
            let (status, why) = (agent.tracker.status(), agent.tracker.why().to_owned());
            if let Some(from) = agent.noted_status.replace(status).filter(|from| *from != status) {
                notes.push((Actor::Observed, EventKind::Status { from, to: status, why }));
            }
        }
        notes.into_iter().map(|(actor, kind)| (id.clone(), actor, kind)).collect()
    }
}

/// When its program was launched. One that was joined ran already, we do not know since when: that nothing can be told
/// of it is no beginning.
fn began_at(record: &Record, manifest: &Result<Box<Manifest>, String>) -> Timestamp {
    let at = record.lifecycle.updated_at;
    if manifest.as_ref().is_ok_and(|manifest| manifest.joined) { at - STARTING_LIMIT } else { at }
}
