//! Everything known, and how facts change it.

use super::agent::Agent;
use super::chronicle::Chronicle;
use super::fact::{Fact, Note};
use super::recovery;
use crate::model::history::Lines;
use crate::model::snapshot::Oddities;
use crate::model::{Actor, AgentId, Event, EventKind, Home, Presets, Terminal};
use crate::tool::Tools;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The most agents that time passes for at once. Their new views are published before
/// the next ones are made, so that old and new are not all in memory together.
const MAX_TICKED: usize = 64;

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
    pub(super) last_slot: u32,
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

    /// Lets time pass for agents whose deadline has come, for `MAX_TICKED` at most:
    /// the others stay due.
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

    /// Changes one agent, and notes what that means for its turns and its status.
    pub(super) fn with(&mut self, id: &AgentId, now: Timestamp, change: impl FnOnce(&mut Agent)) -> Vec<Note> {
        self.noting(id, now, |agent| {
            change(agent);
            Vec::new()
        })
    }

    /// Changes one agent by what has notes of its own, which come first.
    pub(super) fn noting(
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
