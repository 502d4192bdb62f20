//! The turns that are kept: numbered, bounded, and the same for whoever reads the journal.

use super::TurnLog;
use crate::model::live::TurnSource;
use crate::model::{Event, EventKind, Reply, ReplySource, Turn};
use jiff::Timestamp;
use std::sync::Arc;

/// The most turns of an agent that are shown; older ones are in its journal.
pub const MAX_TURNS: usize = 64;
/// The most bytes of prompts and answers that are kept for them; the last turn is kept whole.
pub const MAX_TURN_BYTES: usize = 2 << 20;
/// The most bytes of an answer that are kept; the program's transcript has the rest.
pub const MAX_REPLY_BYTES: usize = 1 << 20;

impl TurnLog {
    /// The number of the newest turn; 0 when there is none.
    pub(super) fn last_number(&self) -> u64 {
        self.turns.back().map_or(0, |turn| turn.number)
    }

    /// Changes a turn; one that is newer than all that are known is added first.
    pub(super) fn change(&mut self, number: u64, at: Timestamp, change: impl FnOnce(&mut Turn)) {
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

    /// Adds a turn, and lets go of the oldest when there are too many.
    pub(super) fn push(&mut self, turn: Turn) {
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

    /// Takes in what a journal says, of ours or of another process.
    pub(in crate::engine) fn apply(&mut self, event: &Event) {
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
}

/// At most [`MAX_REPLY_BYTES`] of an answer, cut between two characters.
pub(super) fn cut(reply: Reply) -> Reply {
    if reply.text.len() <= MAX_REPLY_BYTES {
        return reply;
    }
    let end = (0..=MAX_REPLY_BYTES).rev().find(|&end| reply.text.is_char_boundary(end)).unwrap_or(0);
    Reply { text: reply.text[..end].into(), ..reply }
}
