//! How what is known of an agent's processes of turns changes it.

use super::agent::Agent;
use super::turns::Progress;
use crate::model::headless::{Headless, TurnStanding};
use crate::model::{Actor, EventKind, HeadlessTurns, Reply, ReplySource, Turn};
use jiff::Timestamp;
use std::sync::Arc;

impl Agent {
    /// Its turns that are processes of their own, once they have been read.
    pub fn headless(&self) -> Option<&Arc<HeadlessTurns>> {
        self.headless.as_ref()
    }

    /// Takes in how its last turn stands.
    pub(super) fn read_turns(&mut self, turns: HeadlessTurns, now: Timestamp) -> Vec<(Actor, EventKind)> {
        let mut notes = Vec::new();
        let ours = turns.prompt_id.clone().filter(|id| {
            self.turns.delivers(id) || self.turns.open().is_some_and(|open| open.prompt_id.as_ref() == Some(id))
        });
        if let Some(prompt_id) = turns.prompt_id.as_deref().filter(|_| turns.has_begun()) {
            notes.extend(self.turns.has_process(prompt_id, turns.last.started_at_utc.unwrap_or(now), now));
        }
        match ours {
            Some(_) if turns.has_begun() => {
                // It may have begun and ended with nobody to see it run.
                let running = Headless { standing: Some(TurnStanding::Active), ..turns.last.clone() };
                self.show_turns(HeadlessTurns { last: running, ..turns.clone() }, now);
                self.tracker.proven(now);
                notes.extend(self.follow_turns(now));
            }
            Some(prompt_id) if !turns.is_active() => {
                let reason = turns.last.error.clone().unwrap_or_else(|| "its program was never started".to_owned());
                notes.extend(self.progress(&prompt_id, Progress::Failed { reason, typed: true }, now));
            }
            Some(_) | None => {}
        }
        self.show_turns(turns, now);
        notes
    }

    fn show_turns(&mut self, turns: HeadlessTurns, now: Timestamp) {
        self.headless = Some(Arc::new(turns));
        self.look_at_turns(now);
    }

    /// Brings the status up to date with its pane and its turns.
    pub(super) fn look_at_turns(&mut self, now: Timestamp) {
        let screen = self.screen();
        self.tracker.observe_turns(&self.tool, &self.terminal, &screen, self.headless.as_deref(), now);
    }
}

/// What the process of that turn has answered, once it has ended.
pub(super) fn printed(turns: Option<&HeadlessTurns>, turn: &Turn) -> Option<Reply> {
    let turns = turns.filter(|turns| !turns.is_active() && !turns.answer.is_empty())?;
    let same = turn.prompt_id.is_some() && turns.prompt_id == turn.prompt_id;
    same.then(|| Reply { text: turns.answer.clone(), source: ReplySource::Output })
}
