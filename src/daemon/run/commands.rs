//! A command, from its request to the jobs that carry it out and to its answer.

use super::Loop;
use crate::command::Command;
use crate::daemon::effects::{Job, Target};
use crate::engine::Fact;
use crate::engine::{Effect, plan};
use crate::error::{Error, Result};
use crate::model::{Actor, AgentId, EventKind};
use crate::port::{Request, Until};
use crate::store::Change;
use crate::tmux::Key;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// The same refusal within this time is not written down again.
const REFUSAL_REPEAT: Duration = Duration::from_secs(1);

impl Loop {
    /// Plans a command and starts what it asks for.
    pub(super) fn obey(&mut self, request: Request, now: Timestamp) {
        let Request { command, actor, until, answer } = request;
        let (agent, what) = (command.agent().cloned(), command.what().to_owned());
        let effects = match known_keys(&command).and_then(|()| plan(&self.world, command, now)) {
            Ok(effects) => effects,
            Err(error) => {
                self.refused(agent, what, &error, actor, now);
                self.publish(now);
                return answer(Err(error));
            }
        };
        let mut jobs = Vec::new();
        for effect in effects {
            match &effect {
                Effect::Deliver { agent, text } => {
                    jobs.extend(self.accept(agent, text.clone(), actor.clone(), now));
                }
                Effect::Refuse { agent, what, error } => {
                    self.refused(agent.clone(), what.clone(), error, actor.clone(), now);
                }
                Effect::Rescan => self.reread(Change::Rescan),
                _ => {}
            }
            jobs.extend(Job::of(effect, |id| self.target(id), |tool| self.world.tools.get_or_generic(tool).clone()));
        }
        let waits = match until {
            Until::Accepted => {
                self.accepted.push(answer);
                None
            }
            Until::Done => Some(answer),
        };
        tokio::spawn(self.hands.clone().carry_out(jobs, actor, waits));
    }

    /// Shows and notes a refusal; the same one is noted once in [`REFUSAL_REPEAT`].
    pub(in crate::daemon) fn refused(
        &mut self,
        agent: Option<AgentId>,
        what: String,
        error: &Error,
        actor: Actor,
        now: Timestamp,
    ) {
        self.learn(Fact::Refused(agent.clone(), error.to_string()), now);
        let Some(id) = agent else { return };
        let repeated = self
            .last_refusal
            .get(&id)
            .is_some_and(|(sentence, at)| sentence == error.sentence() && at.elapsed() < REFUSAL_REPEAT);
        if !repeated {
            self.last_refusal.insert(id.clone(), (error.to_string(), Instant::now()));
            self.note((id, actor, EventKind::Refused { what, error: error.to_string() }), now);
        }
    }

    /// What is acted on for that agent, as it is at this moment; none when there is no such agent.
    pub(in crate::daemon) fn target(&self, id: &AgentId) -> Option<Target> {
        let agent = self.world.agents.get(id)?;
        let manifest = agent.manifest.as_deref().ok();
        let socket = self.observers.socket_of(manifest);
        let link = self.observers.link(id);
        let joined = manifest.is_some_and(|manifest| manifest.joined);
        let last_turn = agent.headless().map_or(0, |turns| turns.last.turn_index);
        Some(Target { joined, last_turn, ..Target::bare(agent.record.clone(), agent.tool.clone(), socket, link) })
    }
}

/// Refuses a command with a key that no terminal has, before any is pressed.
fn known_keys(command: &Command) -> Result<()> {
    match command {
        Command::Keys { keys, .. } => keys.iter().try_for_each(|key| Key::parse(key).map(drop)),
        _ => Ok(()),
    }
}
