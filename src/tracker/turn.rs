//! Turns: how one begins, and how it ended.

use super::{Liveness, NO_TURN_LIMIT, RETRACT_WITHIN, Tracker};
use crate::model::live::{LastTurn, Status, TurnResult, TurnSource};
use crate::tool::Shows;
use jiff::Timestamp;

/// A prompt of ours that has been accepted and whose turn has not been seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Submission {
    pub(super) submitted_at: Option<Timestamp>,
}

impl Tracker {
    /// Ends a submission once its turn shows, once it would have, or with the program.
    pub(super) fn settle_submission(&mut self, now: Timestamp) {
        let Some(submission) = self.submission else { return };
        let over = match self.reading.liveness {
            Liveness::Alive => match submission.submitted_at {
                Some(at) => {
                    let newer = self.read_at.is_some_and(|read| read >= at);
                    let shown = self.evidence.as_ref().is_some_and(|held| {
                        (held.shows == Shows::Active || held.shows.is_blocked()) && held.last >= at
                    });
                    let stirred = !self.reading.has_rules && self.screen_changed_at >= at;
                    (newer && (shown || stirred)) || now >= at + NO_TURN_LIMIT
                }
                None => false,
            },
            Liveness::Behind(_) | Liveness::Failed(_) | Liveness::Unseen => false,
            Liveness::NoSession | Liveness::Dead(_) | Liveness::Ended(_) => true,
        };
        if over {
            self.submission = None;
            if matches!(self.reading.liveness, Liveness::Alive) {
                self.turn = Some(TurnSource::ExplicitInput);
            }
        }
    }

    /// Follows the status: work begins a turn, ready ends it.
    pub(super) fn follow_turn(&mut self, status: Status, now: Timestamp) {
        // A menu or a login is no part of a turn.
        let asks = self.evidence.as_ref().is_some_and(|held| matches!(held.shows, Shows::Approval | Shows::Question));
        match status {
            Status::Blocked if !asks && self.turn.is_none() => {}
            Status::Active | Status::Blocked => {
                let retracted = self.last_turn.updated_at_utc.is_some_and(|at| now < at + RETRACT_WITHIN);
                let same = retracted.then_some(self.last_turn.source);
                self.turn.get_or_insert(same.unwrap_or(TurnSource::SurfaceInference));
                if self.status != status && status == Status::Active && self.status != Status::Blocked {
                    self.interrupted_at = None;
                    self.last_turn = LastTurn::default();
                }
            }
            Status::Ready => {
                if let Some(source) = self.turn.take() {
                    let interrupted = self.interrupted_at.take().is_some();
                    let result = if interrupted || self.reading.has(Shows::Interrupted) {
                        TurnResult::Interrupted
                    } else if self.reading.has(Shows::Failed) {
                        TurnResult::KnownFailure
                    } else {
                        TurnResult::Success
                    };
                    self.last_turn = LastTurn { result, source, updated_at_utc: Some(now) };
                }
            }
            Status::Down | Status::Gone => self.turn = None,
            Status::Starting | Status::Pending | Status::Unknown => {}
        }
    }
}
