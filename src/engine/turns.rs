//! One agent's turns and what becomes of its prompts: from what was accepted, what
//! was done and what the tracker sees, to numbered turns, receipts and events.
//!
//! The events are all there is on disk: whoever reads them from the journal again
//! knows the same turns. Several processes may see the same turn; it has the same
//! number for each, because each goes on from the last number it knows.

mod delivery;
mod kept;
mod process;

pub use delivery::{Accepted, LATE_TURN, Progress};
pub use kept::{MAX_REPLY_BYTES, MAX_TURN_BYTES, MAX_TURNS};

use crate::model::live::{Status, TurnSource};
use crate::model::{Actor, EventKind, Reply, ReplySource, Stage, Turn, TurnOutcome};
use crate::tracker::{RETRACT_WITHIN, TurnNow};
use delivery::Delivery;
use jiff::Timestamp;
use kept::cut;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is to be written down, and who did it.
type Notes = Vec<(Actor, EventKind)>;

/// The turns of one agent.
#[derive(Debug, Clone, Default)]
pub(super) struct TurnLog {
    turns: VecDeque<Arc<Turn>>,
    shown: Arc<[Arc<Turn>]>,
    /// The prompt that is on its way.
    delivery: Option<Delivery>,
    /// The last prompt that nothing has proven yet.
    unproven: Option<Delivery>,
    /// The last turn that was no more than a command of the shell.
    shell: Option<u64>,
    /// The last prompts that have a receipt.
    settled: VecDeque<Box<str>>,
    was: TurnNow,
}

impl TurnLog {
    /// What is shown, oldest first.
    pub(super) fn shown(&self) -> &Arc<[Arc<Turn>]> {
        &self.shown
    }

    /// The last turn, if it has not ended.
    pub(super) fn open(&self) -> Option<&Arc<Turn>> {
        self.turns.back().filter(|turn| !turn.has_ended())
    }

    /// The turn of a prompt of ours that the tracker has just given up, and when that was submitted.
    pub(super) fn given_up(&self, is: TurnNow) -> Option<(&Turn, Timestamp)> {
        let receipt = &self.delivery.as_ref()?.receipt;
        let given_up = self.was.submitted && !is.submitted && is.active.is_none();
        Some((self.open().filter(|_| given_up)?, receipt.submitted_at?))
    }

    /// Nobody saw the turn of the prompt that is on its way, but its answer is there.
    pub(super) fn answered_unseen(&mut self, is: TurnNow, reply: Reply, now: Timestamp) -> Notes {
        self.was = is;
        let mut notes = self.began(TurnSource::ExplicitInput, now);
        notes.extend(self.end(TurnOutcome::Success, Some(reply), now));
        notes
    }

    /// Follows the tracker. `reply` gives the answer to a turn that is over.
    pub(super) fn follow(
        &mut self,
        is: TurnNow,
        status: Status,
        reply: impl Fn(&Turn) -> Option<Reply>,
        now: Timestamp,
    ) -> Notes {
        let was = std::mem::replace(&mut self.was, is);
        let mut notes = Vec::new();
        let ended = is.last.updated_at_utc.is_some() && is.last != was.last;
        // One that began and ended between two looks.
        let unseen = was.active.is_none() && is.active.is_none() && ended;
        if was.active.is_none()
            && let Some(source) = is.active.or(unseen.then_some(is.last.source))
        {
            notes.extend(self.began(source, now));
        }
        if (was.active.is_some() || unseen) && is.active.is_none() {
            let outcome = if ended { is.last.result.into() } else { TurnOutcome::Lost };
            // What an interrupted or failed turn shows is no answer.
            let reply = self.open().filter(|_| outcome == TurnOutcome::Success).and_then(|turn| reply(turn));
            notes.extend(self.end(outcome, reply, now));
        }
        if was.submitted && !is.submitted && is.active.is_none() && !ended {
            let alive = status.is_alive();
            let reason = if alive { "no turn began" } else { "the program ended before its turn began" };
            notes.extend(self.settle(Stage::Unconfirmed, None, Some(reason.to_owned()), now));
            let outcome = if alive { TurnOutcome::Unconfirmed } else { TurnOutcome::Lost };
            notes.extend(self.end(outcome, None, now));
        } else if status == Status::Ready && is.active.is_none() && !is.submitted && self.delivery.is_none() {
            // A turn that began before we watched: its end was seen by nobody.
            if let Some(turn) = self.open().cloned() {
                let reply = reply(&turn);
                let outcome = if reply.is_some() { TurnOutcome::Success } else { TurnOutcome::Lost };
                notes.extend(self.end(outcome, reply, now));
            }
        }
        notes
    }

    /// The turn whose answer the program's transcript may have: the one that goes on, or the last.
    pub(super) fn asked(&self) -> Option<&Arc<Turn>> {
        self.turns.back()
    }

    /// The program's transcript has the prompt of the last turn; `reply` is the answer, once that is there.
    pub(super) fn proven(&mut self, reply: Option<Reply>, now: Timestamp) -> Notes {
        let late = self.delivery.is_none() && self.unproven.is_some();
        if late {
            self.delivery = self.unproven.take();
        }
        let mut notes = self.settle(Stage::Confirmed, Some("transcript"), None, now);
        let Some(last) = self.turns.back().cloned().filter(|last| last.has_ended()) else { return notes };
        let Some(reply) = reply else { return notes };
        if late {
            notes.extend(self.began(TurnSource::ExplicitInput, now));
            notes.extend(self.end(TurnOutcome::Success, Some(reply), now));
        } else if last.outcome == Some(TurnOutcome::Success)
            && last.reply.as_ref().is_none_or(|known| known.source == ReplySource::Screen)
        {
            // What was read off the screen is the lesser answer.
            notes.push(self.answer(&last, Some(cut(reply))));
        }
        notes
    }

    /// Gives a turn that is over its answer.
    fn answer(&mut self, turn: &Turn, reply: Option<Reply>) -> (Actor, EventKind) {
        self.change(turn.number, turn.accepted_at, |turn| turn.reply.clone_from(&reply));
        let (reply_source, outcome) =
            (reply.as_ref().map(|reply| reply.source), turn.outcome.unwrap_or(TurnOutcome::Lost));
        let reply = reply.map(|reply| reply.text.to_string());
        (Actor::Observed, EventKind::TurnEnded { turn: turn.number, outcome, reply, reply_source })
    }

    /// The agent was stopped.
    pub(super) fn lose(&mut self, now: Timestamp) -> Notes {
        let reason = "the agent was stopped or relaunched before its turn was seen".to_owned();
        let mut notes = self.settle(Stage::Unconfirmed, None, Some(reason), now);
        notes.extend(self.end(TurnOutcome::Lost, None, now));
        notes
    }

    fn began(&mut self, source: TurnSource, now: Timestamp) -> Notes {
        let last = self.turns.back().cloned();
        let mut notes = Vec::new();
        let turn = match last {
            Some(turn) if !turn.has_ended() => turn.number,
            Some(turn) if self.is_late(&turn, now) => {
                self.delivery = self.unproven.take();
                turn.number
            }
            // The end of the last turn is retracted: it goes on.
            Some(turn) if self.goes_on(&turn, now) => turn.number,
            _ => {
                let number = self.last_number() + 1;
                self.push(Turn::new(number, source, now));
                number
            }
        };
        self.change(turn, now, |turn| {
            turn.started_at.get_or_insert(now);
            (turn.ended_at, turn.outcome, turn.reply) = (None, None, None);
        });
        if self.delivery.as_ref().is_some_and(|delivery| delivery.receipt.submitted_at.is_some()) {
            notes.extend(self.settle_begun(now));
        }
        notes.push((Actor::Observed, EventKind::TurnBegan { turn, source }));
        notes
    }

    fn goes_on(&self, turn: &Turn, now: Timestamp) -> bool {
        let ended = turn.ended_at.filter(|_| turn.outcome == Some(TurnOutcome::Success));
        ended.is_some_and(|ended| now < ended + RETRACT_WITHIN)
    }

    /// Ends the open turn, if there is one.
    fn end(&mut self, outcome: TurnOutcome, reply: Option<Reply>, now: Timestamp) -> Notes {
        let Some(turn) = self.open().map(|turn| turn.number) else { return Vec::new() };
        let shell = self.shell == Some(turn) && outcome == TurnOutcome::Success;
        let outcome = if shell { TurnOutcome::Unconfirmed } else { outcome };
        self.change(turn, now, |turn| (turn.ended_at, turn.outcome) = (Some(now), Some(outcome)));
        // What an interrupted or failed turn has said is no answer.
        let reply = reply.filter(|_| outcome == TurnOutcome::Success).map(cut);
        let ended = self.turns.back().cloned();
        ended.map(|turn| self.answer(&turn, reply)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
