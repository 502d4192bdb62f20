//! One agent's turns and what becomes of its prompts: from what was accepted, what
//! was done and what the tracker sees, to numbered turns, receipts and events.
//!
//! The events are all there is on disk: whoever reads them from the journal again
//! knows the same turns. Several processes may see the same turn; it has the same
//! number for each, because each goes on from the last number it knows.

use crate::model::live::{Status, TurnSource};
use crate::model::{Actor, Event, EventKind, Receipt, Reply, ReplySource, Stage, Turn, TurnOutcome};
use crate::tracker::{RETRACT_WITHIN, TurnNow};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most turns of an agent that are shown; older ones are in its journal.
pub const MAX_TURNS: usize = 64;
/// The most bytes of prompts and answers that are kept for them; the last turn is kept whole.
pub const MAX_TURN_BYTES: usize = 2 << 20;
/// A turn that begins this soon after an unconfirmed prompt was submitted, with nothing accepted since, is taken for its turn.
pub const LATE_TURN: SignedDuration = SignedDuration::from_secs(30);
/// The most bytes of an answer that are kept; the program's transcript has the rest.
pub const MAX_REPLY_BYTES: usize = 1 << 20;

/// A prompt that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub prompt_id: String,
    /// Its text.
    pub text: String,
    /// Who wrote it.
    pub actor: Actor,
}

/// How far a prompt has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Its text is in the composer.
    Pasted(Timestamp),
    /// The submit key was pressed, first right after that moment, and the composer let go of the text.
    Submitted {
        /// The moment.
        at: Timestamp,
        /// How often it was pressed.
        presses: u32,
        /// Whether the composer was about to run it as a command of the shell.
        shell: bool,
    },
    /// It came to nothing.
    Failed {
        /// Why.
        reason: String,
        /// Whether anything may have been typed.
        typed: bool,
    },
}

/// Why a command of the shell is not confirmed.
const SHELL: &str = "the program took it for a command of the shell, which begins no turn";

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

/// A prompt of ours, and its receipt as far as it is known.
#[derive(Debug, Clone)]
struct Delivery {
    receipt: Receipt,
    actor: Actor,
    /// It is a command of the shell: the work that is seen is no turn of the model.
    shell: bool,
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

    /// Whether the prompt of that id is on its way.
    pub(super) fn delivers(&self, prompt_id: &str) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.receipt.prompt_id == prompt_id)
    }

    /// Whether a prompt is still being typed: whatever is seen meanwhile, nobody else may type.
    pub(super) fn is_typing(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.receipt.submitted_at.is_none())
    }

    /// Whether a prompt of ours is on its way.
    pub(super) fn is_delivering(&self) -> bool {
        self.delivery.is_some()
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

    /// A prompt was accepted: its turn is open from now on.
    pub(super) fn accepted(&mut self, prompt: Accepted, now: Timestamp) -> Notes {
        // Nobody accepts a prompt before the last one is over; should it be so, its fate is told as far as it is known.
        let began = self.open().is_some_and(|turn| turn.started_at.is_some());
        let reason = "the next prompt was accepted before its fate was known".to_owned();
        let mut notes =
            if began { self.settle_begun(now) } else { self.settle(Stage::Unconfirmed, None, Some(reason), now) };
        notes.extend(self.end(TurnOutcome::Lost, None, now));
        let turn = self.last_number() + 1;
        self.unproven = None;
        self.push(Turn {
            prompt_id: Some(prompt.prompt_id.as_str().into()),
            prompt: prompt.text.as_str().into(),
            ..Turn::new(turn, TurnSource::ExplicitInput, now)
        });
        self.delivery = Some(Delivery {
            receipt: receipt(&prompt.prompt_id, turn, &prompt.text, now),
            actor: prompt.actor.clone(),
            shell: false,
        });
        notes.push((prompt.actor, EventKind::Prompt { prompt_id: prompt.prompt_id, turn, text: prompt.text }));
        notes
    }

    /// A prompt has come further.
    pub(super) fn progress(&mut self, prompt_id: &str, progress: Progress, now: Timestamp) -> Notes {
        let Some(delivery) = self.delivery.as_mut().filter(|known| known.receipt.prompt_id == prompt_id) else {
            return Vec::new();
        };
        match progress {
            Progress::Pasted(at) => delivery.receipt.pasted_at = Some(at),
            Progress::Submitted { at, presses, shell } => {
                (delivery.receipt.submitted_at, delivery.receipt.presses) = (Some(at), presses);
                delivery.shell = shell;
                let number = delivery.receipt.turn;
                // Its turn may have been seen before we were told of the key.
                if self.turns.iter().rev().any(|turn| turn.number == number && turn.started_at.is_some()) {
                    return self.settle_begun(now);
                }
            }
            Progress::Failed { reason, typed } => {
                let (stage, outcome) = if typed {
                    (Stage::Unconfirmed, TurnOutcome::Unconfirmed)
                } else {
                    (Stage::Refused, TurnOutcome::Refused)
                };
                let mut notes = self.settle(stage, None, Some(reason), now);
                notes.extend(self.end(outcome, None, now));
                return notes;
            }
        }
        Vec::new()
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

    /// Whoever delivered that prompt has died before its receipt was written: nobody knows how far it came.
    pub(super) fn orphaned(&mut self, prompt_id: &str, text: &str, now: Timestamp) -> Notes {
        if self.settled.iter().any(|known| **known == *prompt_id) {
            return Vec::new();
        }
        let turn = self.turns.iter().rev().find(|turn| turn.prompt_id.as_deref() == Some(prompt_id));
        let (turn, accepted_at) = turn.map_or((0, now), |turn| (turn.number, turn.accepted_at));
        let receipt = Receipt { accepted_at, ..receipt(prompt_id, turn, text, now) };
        let before = self.delivery.replace(Delivery { receipt, actor: Actor::Observed, shell: false });
        let reason = "troop ended while it was being delivered; it is not typed again".to_owned();
        let notes = self.settle(Stage::Unconfirmed, None, Some(reason), now);
        self.delivery = before;
        notes
    }

    /// The agent was stopped.
    pub(super) fn lose(&mut self, now: Timestamp) -> Notes {
        let reason = "the agent was stopped or relaunched before its turn was seen".to_owned();
        let mut notes = self.settle(Stage::Unconfirmed, None, Some(reason), now);
        notes.extend(self.end(TurnOutcome::Lost, None, now));
        notes
    }

    /// Takes in what a journal says, of ours or of another process.
    pub(super) fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Prompt { prompt_id, turn, text } => self.change(*turn, event.at, |turn| {
                turn.prompt_id.get_or_insert_with(|| prompt_id.as_str().into());
                turn.source = TurnSource::ExplicitInput;
                if turn.prompt.is_empty() {
                    turn.prompt = text.as_str().into();
                }
            }),
            EventKind::TurnBegan { turn, .. } => self.change(*turn, event.at, |turn| {
                turn.started_at.get_or_insert(event.at);
                if turn.ended_at.is_some_and(|ended| ended < event.at) {
                    (turn.ended_at, turn.outcome, turn.reply) = (None, None, None);
                }
            }),
            EventKind::TurnEnded { turn, outcome, reply, reply_source } => self.change(*turn, event.at, |turn| {
                let is_better = *reply_source == Some(ReplySource::Transcript);
                if turn.ended_at.is_none() || is_better {
                    turn.ended_at.get_or_insert(event.at);
                    turn.outcome = Some(*outcome);
                    let source = reply_source.zip(reply.as_deref());
                    turn.reply = source.map(|(source, text)| Reply { text: text.into(), source });
                }
            }),
            EventKind::Receipt(receipt) => self.remember_settled(&receipt.prompt_id),
            _ => {}
        }
    }

    fn remember_settled(&mut self, prompt_id: &str) {
        if self.settled.len() == MAX_TURNS {
            self.settled.pop_front();
        }
        self.settled.push_back(prompt_id.into());
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

    /// Whether a turn that begins now is the one of a prompt that seemed to have begun none.
    fn is_late(&self, turn: &Turn, now: Timestamp) -> bool {
        self.unproven.as_ref().is_some_and(|delivery| {
            delivery.receipt.turn == turn.number
                && delivery.receipt.pasted_at.is_some_and(|pasted| now < pasted + LATE_TURN)
        })
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

    /// Writes the receipt of the prompt whose work was seen to begin.
    fn settle_begun(&mut self, now: Timestamp) -> Notes {
        let Some(turn) = self.delivery.as_ref().filter(|delivery| delivery.shell).map(|delivery| delivery.receipt.turn)
        else {
            return self.settle(Stage::Confirmed, Some("screen"), None, now);
        };
        self.shell = Some(turn);
        let notes = self.settle(Stage::Unconfirmed, None, Some(SHELL.to_owned()), now);
        self.unproven = None;
        notes
    }

    /// Writes the receipt of the prompt that is on its way.
    fn settle(&mut self, stage: Stage, proof: Option<&str>, reason: Option<String>, now: Timestamp) -> Notes {
        let Some(mut delivery) = self.delivery.take() else { return Vec::new() };
        let receipt = &mut delivery.receipt;
        (receipt.stage, receipt.settled_at, receipt.reason) = (stage, Some(now), reason);
        receipt.proof = proof.map(str::to_owned);
        let note = (delivery.actor.clone(), EventKind::Receipt(receipt.clone()));
        self.unproven = Some(delivery).filter(|_| stage == Stage::Unconfirmed);
        vec![note]
    }

    fn last_number(&self) -> u64 {
        self.turns.back().map_or(0, |turn| turn.number)
    }

    /// Changes a turn; one that is newer than all that are known is added first.
    fn change(&mut self, number: u64, at: Timestamp, change: impl FnOnce(&mut Turn)) {
        if number > self.last_number() {
            self.push(Turn::new(number, TurnSource::SurfaceInference, at));
        }
        // One that is not shown any more is in the journal.
        let Some(turn) = self.turns.iter_mut().rev().find(|turn| turn.number == number) else { return };
        let mut changed = Turn::clone(turn);
        change(&mut changed);
        if changed != **turn {
            *turn = Arc::new(changed);
            self.trim();
        }
    }

    fn push(&mut self, turn: Turn) {
        self.turns.push_back(Arc::new(turn));
        self.trim();
    }

    fn trim(&mut self) {
        let size = |turn: &Arc<Turn>| turn.prompt.len() + turn.reply.as_ref().map_or(0, |reply| reply.text.len());
        let mut bytes: usize = self.turns.iter().map(size).sum();
        while self.turns.len() > 1 && (self.turns.len() > MAX_TURNS || bytes > MAX_TURN_BYTES) {
            bytes -= self.turns.pop_front().as_ref().map_or(0, size);
        }
        self.shown = self.turns.iter().cloned().collect();
    }
}

/// The receipt of a prompt that was just accepted.
fn receipt(prompt_id: &str, turn: u64, text: &str, now: Timestamp) -> Receipt {
    Receipt {
        prompt_id: prompt_id.to_owned(),
        turn,
        stage: Stage::Accepted,
        bytes: text.len(),
        sha256: sha256(text.as_bytes()),
        accepted_at: now,
        pasted_at: None,
        submitted_at: None,
        settled_at: None,
        presses: 0,
        proof: None,
        reason: None,
    }
}

/// At most [`MAX_REPLY_BYTES`] of an answer, cut between two characters.
fn cut(reply: Reply) -> Reply {
    if reply.text.len() <= MAX_REPLY_BYTES {
        return reply;
    }
    let end = (0..=MAX_REPLY_BYTES).rev().find(|&end| reply.text.is_char_boundary(end)).unwrap_or(0);
    Reply { text: reply.text[..end].into(), ..reply }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

mod process;
#[cfg(test)]
mod tests;
