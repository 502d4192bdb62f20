//! From the world to the snapshot that everybody sees.

use super::agent::{Agent, Beside};
use super::world::World;
use crate::model::live::{
    Attention, Diagnostics, Identity, LastTurn, LifecycleView, LiveState, Stability, Status, Surface, Turn,
};
use crate::model::{AgentView, Listing, Manifest, Record, Screen, Snapshot, Terminal};
use crate::tracker::Tracked;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl World {
    /// The next snapshot, or none when nothing has changed since the last one.
    pub fn publish(&mut self, now: Timestamp) -> Option<Snapshot> {
        if !self.dirty && !self.agents.values().any(|agent| agent.changed) {
            return None;
        }
        self.dirty = false;
        let names = dir_names(self, now);
        let mut snapshot = Snapshot {
            tools: self.tool_files.clone(),
            history: self.chronicle.history.clone(),
            refusal: self.refusal.clone(),
            collected: self.collected.clone(),
            oddities: self.oddities,
            homes: self.homes.clone(),
            settled: self.settled,
            ..Snapshot::default()
        };
        for (id, agent) in &mut self.agents {
            let Some((listing, name)) = names.get(id) else {
                (agent.changed, agent.view) = (false, None);
                continue;
            };
            let renamed = agent.view.as_ref().is_some_and(|view| view.dir_name != *name);
            if agent.changed || renamed {
                agent.view = Some(Arc::new(agent.compose(name.clone(), *listing, now)));
                agent.changed = false;
            }
            let Some(view) = agent.view.clone() else { continue };
            snapshot.slots.insert(agent.slot, (*listing, view.clone()));
            match listing {
                Listing::Live => snapshot.agents.insert(name.clone(), view),
                Listing::Stopped => snapshot.stopped.insert(name.clone(), view),
            };
        }
        self.version += 1;
        snapshot.version = self.version;
        Some(snapshot)
    }
}

/// Where each agent is listed and under which name: its own, or with the first
/// eight characters of its id where several share it (contract, section 4.8).
fn dir_names(world: &World, now: Timestamp) -> BTreeMap<crate::model::AgentId, (Listing, Arc<str>)> {
    let listed = |agent: &Agent| {
        if agent.is_live(now) {
            Some(Listing::Live)
        } else if agent.record.lifecycle.can_return() {
            Some(Listing::Stopped)
        } else {
            None
        }
    };
    // One that nobody has named takes no name away: only it gets another.
    let mut shared: BTreeMap<(Listing, &str), (u32, u32)> = BTreeMap::new();
    let rows: Vec<_> = world
        .agents
        .iter()
        .filter_map(|(id, agent)| Some((id, listed(agent)?, agent.record.name.as_str(), agent.is_managed())))
        .collect();
    for (_, listing, name, is_managed) in &rows {
        let (managed, all) = shared.entry((*listing, name)).or_default();
        *managed += u32::from(*is_managed);
        *all += 1;
    }
    rows.iter()
        .map(|(id, listing, name, is_managed)| {
            let (managed, all) = shared.get(&(*listing, name)).copied().unwrap_or_default();
            let unique = if *is_managed { managed == 1 } else { all == 1 };
            // A foreign name may be longer than a directory's name can be.
            let name = if name.len() > MAX_DIR_NAME { &name[..MAX_DIR_NAME] } else { name };
            let dir_name = if unique { name.into() } else { format!("{name}~{}", id.short()).into() };
            ((*id).clone(), (*listing, dir_name))
        })
        .collect()
}

/// The longest part of a registry name that becomes a directory's name; with `~`
/// and eight more characters it stays below the kernel's 255. Registry names are ASCII.
const MAX_DIR_NAME: usize = 200;

impl Agent {
    fn compose(&self, dir_name: Arc<str>, listing: Listing, now: Timestamp) -> AgentView {
        let mut tracked = match listing {
            Listing::Live => self.tracker.tracked(&self.tool.name, now),
            Listing::Stopped => stopped(&self.record.lifecycle, now),
        };
        let screen = match &self.terminal {
            Terminal::Seen(look) => look.screen.clone(),
            _ => self.view.as_ref().map_or_else(Screen::default, |view| view.screen.clone()),
        };
        AgentView {
            slot: self.slot,
            dir_name,
            id: self.record.id.clone(),
            evidence: std::mem::take(&mut tracked.evidence).share(),
            state: Arc::new(self.live_state(tracked, now)),
            screen,
            scrollback: self.scrollback.clone(),
            history: self.history.clone(),
            prompt: self.prompt.clone(),
            turns: self.turns.shown().clone(),
            queue: self.queue.clone(),
            receipts: self.receipts.clone(),
            transcript: self.transcript.clone(),
            headless: self.headless.clone(),
            error: self.error.clone(),
            record_path: self.record_path.clone(),
            changed_at: now,
        }
    }

    fn live_state(&self, tracked: Tracked, now: Timestamp) -> LiveState {
        let record = &self.record;
        let mut diagnostics = tracked.diagnostics;
        if let Err(why) = &self.manifest {
            diagnostics.parse_error = Some(why.clone());
        }
        LiveState {
            status: tracked.status,
            status_since: tracked.status_since,
            identity: self.identity.clone(),
            lifecycle: LifecycleView {
                state: record.lifecycle.state,
                relaunchable: record.lifecycle.relaunchable,
                stop_reason: record.lifecycle.stop_reason.clone(),
            },
            recovery: self.recovery(now),
            attention: tracked.attention,
            diagnostics,
            probe_snapshot: tracked.probe_snapshot,
            parsed_surface: tracked.parsed_surface,
            surface: tracked.surface,
            turn: tracked.turn,
            last_turn: tracked.last_turn,
            chat_context: tracked.chat_context,
            headless: self.headless.as_ref().map(|turns| Box::new(turns.last.clone())),
            stability: tracked.stability,
            recent_transitions: tracked.recent_transitions,
            sources: tracked.sources,
        }
    }
}

/// What a record and its manifest say of an agent, as `state.json` shows it.
pub(super) fn identity(record: &Record, manifest: Option<&Manifest>, beside: &Beside) -> Identity {
    let text = |path: &PathBuf| path.display().to_string();
    Identity {
        agent_name: record.name.clone(),
        agent_id: record.id.0.clone(),
        managed: !beside.unmanaged,
        generation_id: record.generation.clone(),
        tool: record.tool.clone(),
        backend: record.backend,
        observed_tool_version: manifest.and_then(|m| m.tool_version.clone()),
        tmux_session_name: record.session.clone(),
        tmux_socket: manifest.and_then(|m| m.tmux_socket.as_ref()).map(text),
        manifest_path: if beside.unmanaged { Path::new("").into() } else { record.manifest_path.clone() },
        session_root: record.session_root.clone(),
        working_directory: manifest.map(|m| text(&m.working_directory)),
        gateway: beside.gateway.clone(),
    }
}

/// The state of an agent that was stopped: everything about a terminal is unknown.
fn stopped(lifecycle: &crate::model::Lifecycle, now: Timestamp) -> Tracked {
    let why = lifecycle.stop_reason.as_deref().unwrap_or("no reason recorded");
    Tracked {
        status: Status::Gone,
        status_since: lifecycle.stopped_at.unwrap_or(lifecycle.updated_at),
        attention: Attention::None,
        diagnostics: Diagnostics::default(),
        probe_snapshot: None,
        parsed_surface: None,
        surface: Surface::default(),
        turn: Turn::default(),
        last_turn: LastTurn::default(),
        chat_context: crate::model::live::ChatContext::default(),
        evidence: crate::model::Evidence::default(),
        stability: Stability { stable: true, stable_since_utc: lifecycle.stopped_at.filter(|at| *at <= now) },
        recent_transitions: Vec::new(),
        sources: Box::new([crate::model::live::Source {
            source: "record".into(),
            rule: String::new(),
            says: format!("stopped: {why}"),
        }]),
    }
}
