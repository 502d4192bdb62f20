//! Agents that have a record: which changes of it begin another life.

use super::agent::{Agent, Beside};
use super::compose;
use super::fact::Note;
use super::turns::TurnLog;
use super::world::World;
use crate::model::history::History;
use crate::model::{LifecycleState, Manifest, Record, Terminal};
use crate::tracker::{STARTING_LIMIT, Tracker};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

impl World {
    /// Takes in a record that was read at `path`, with its manifest or why that could not be. Gives what belongs into
    /// journals because of it.
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
                // What the last one's rules made of the screen says nothing.
                let has_other_rules = agent.tool.name != tool.name;
                if relaunched || respawned || has_other_rules {
                    agent.tracker = Tracker::new(began_at(&record, &manifest), now);
                }
                if relaunched || respawned {
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
                self.noting(&id, now, |agent| {
                    if has_other_rules {
                        // One that is still is not looked at again by itself.
                        agent.look(agent.terminal.clone(), now);
                    }
                    if respawned { agent.turns.lose(now) } else { Vec::new() }
                })
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
}

/// When its program was launched. One that was joined ran already, we do not know since when: that nothing can be told
/// of it is no beginning.
fn began_at(record: &Record, manifest: &Result<Box<Manifest>, String>) -> Timestamp {
    let at = record.lifecycle.updated_at;
    if manifest.as_ref().is_ok_and(|manifest| manifest.joined) { at - STARTING_LIMIT } else { at }
}
