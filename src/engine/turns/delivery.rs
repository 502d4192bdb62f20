//! A prompt of ours, from its acceptance to its receipt.

use super::kept::MAX_TURNS;
use super::{Notes, TurnLog};
use crate::model::live::TurnSource;
use crate::model::{Actor, EventKind, Receipt, Stage, Turn, TurnOutcome, digest};
use jiff::{SignedDuration, Timestamp};

/// A turn that begins this soon after an unconfirmed prompt was pasted, with nothing accepted since, is taken for its turn.
pub const LATE_TURN: SignedDuration = SignedDuration::from_secs(30);

/// Why a command of the shell is not confirmed.
const SHELL: &str = "the program took it for a command of the shell, which begins no turn";

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

/// A prompt of ours, and its receipt as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) receipt: Receipt,
    actor: Actor,
    /// It is a command of the shell: the work that is seen is no turn of the model.
    shell: bool,
}

impl TurnLog {
    /// Whether the prompt of that id is on its way.
    pub(in crate::engine) fn delivers(&self, prompt_id: &str) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.receipt.prompt_id == prompt_id)
    }

    /// Whether a prompt is still being typed: whatever is seen meanwhile, nobody else may type.
    pub(in crate::engine) fn is_typing(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.receipt.submitted_at.is_none())
    }

    /// Whether a prompt of ours is on its way.
    pub(in crate::engine) fn is_delivering(&self) -> bool {
        self.delivery.is_some()
    }

    /// A prompt was accepted: its turn is open from now on.
    pub(in crate::engine) fn accepted(&mut self, prompt: Accepted, now: Timestamp) -> Notes {
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
    pub(in crate::engine) fn progress(&mut self, prompt_id: &str, progress: Progress, now: Timestamp) -> Notes {
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

    /// Whoever delivered that prompt has died before its receipt was written: nobody knows how far it came.
    pub(in crate::engine) fn orphaned(&mut self, prompt_id: &str, text: &str, now: Timestamp) -> Notes {
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

    /// Writes the receipt of the prompt that is on its way.
    pub(super) fn settle(
        &mut self,
        stage: Stage,
        proof: Option<&str>,
        reason: Option<String>,
        now: Timestamp,
    ) -> Notes {
        let Some(mut delivery) = self.delivery.take() else { return Vec::new() };
        let receipt = &mut delivery.receipt;
        (receipt.stage, receipt.settled_at, receipt.reason) = (stage, Some(now), reason);
        receipt.proof = proof.map(str::to_owned);
        let note = (delivery.actor.clone(), EventKind::Receipt(receipt.clone()));
        self.unproven = Some(delivery).filter(|_| stage == Stage::Unconfirmed);
        vec![note]
    }

    /// Writes the receipt of the prompt whose work was seen to begin.
    pub(super) fn settle_begun(&mut self, now: Timestamp) -> Notes {
        let Some(turn) = self.delivery.as_ref().filter(|delivery| delivery.shell).map(|delivery| delivery.receipt.turn)
        else {
            return self.settle(Stage::Confirmed, Some("screen"), None, now);
        };
        self.shell = Some(turn);
        let notes = self.settle(Stage::Unconfirmed, None, Some(SHELL.to_owned()), now);
        self.unproven = None;
        notes
    }

    /// Whether a turn that begins now is the one of a prompt that seemed to have begun none.
    pub(super) fn is_late(&self, turn: &Turn, now: Timestamp) -> bool {
        self.unproven.as_ref().is_some_and(|delivery| {
            delivery.receipt.turn == turn.number
                && delivery.receipt.pasted_at.is_some_and(|pasted| now < pasted + LATE_TURN)
        })
    }

    /// The prompt of that id has a receipt.
    pub(super) fn remember_settled(&mut self, prompt_id: &str) {
        if self.settled.len() == MAX_TURNS {
            self.settled.pop_front();
        }
        self.settled.push_back(prompt_id.into());
    }
}

/// The receipt of a prompt that was just accepted.
fn receipt(prompt_id: &str, turn: u64, text: &str, now: Timestamp) -> Receipt {
    Receipt {
        prompt_id: prompt_id.to_owned(),
        turn,
        stage: Stage::Accepted,
        bytes: text.len(),
        sha256: digest::sha256(text.as_bytes()),
        accepted_at: now,
        pasted_at: None,
        submitted_at: None,
        settled_at: None,
        presses: 0,
        proof: None,
        reason: None,
    }
}
