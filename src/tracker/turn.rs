//! Turns: how one begins, and how it ended.

use super::{ELSEWHERE_LIMIT, Liveness, NO_SIGN_LIMIT, NO_TURN_LIMIT, RETRACT_WITHIN, Tracker};
use crate::model::live::{LastTurn, Status, TurnResult, TurnSource};
use crate::tool::Shows;
use jiff::Timestamp;

/// A prompt that has been accepted and whose turn has not been seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Submission {
    pub(super) submitted_at: Option<Timestamp>,
    /// Another process delivers it, and may tell us nothing of it any more.
    pub(super) elsewhere: bool,
    /// It is too long for a command.
    pub(super) long: bool,
    /// The rows right above the composer when it was accepted.
    pub(super) before: Option<u64>,
}

/// What a tracker says of turns at one moment: two of these tell what has happened between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurnNow {
    /// The turn that goes on, and how it is known that it began.
    pub active: Option<TurnSource>,
    /// A prompt has been accepted, and its turn has not been seen.
    pub submitted: bool,
    /// The last turn that was over.
    pub last: LastTurn,
}

impl Tracker {
    /// When the turn of a submission is no longer waited for.
    pub(super) fn submission_deadline(&self) -> Option<Timestamp> {
        let submission = self.submission?;
        let at = submission.submitted_at?;
        let shows_something = !submission.long && submission.before != self.tail();
        Some(match (submission.elsewhere, shows_something) {
            (true, _) => at + ELSEWHERE_LIMIT,
            (false, true) => at + NO_TURN_LIMIT,
            (false, false) => at + NO_SIGN_LIMIT,
        })
    }

    /// The rows right above the composer.
    pub(super) fn tail(&self) -> Option<u64> {
        self.reading.fingerprint.as_ref().map(|fingerprint| fingerprint.tail)
    }

    /// Ends a submission once its turn shows, once it would have, or with the program.
    pub(super) fn settle_submission(&mut self, now: Timestamp) {
        let Some(submission) = self.submission else { return };
        let late = self.submission_deadline().is_some_and(|at| now >= at);
        let (proven, over) = match self.reading.liveness {
            Liveness::Alive => (submission.submitted_at.is_some_and(|at| self.shows_turn_since(at)), late),
            Liveness::Behind(_) | Liveness::Failed(_) | Liveness::Unseen => (false, late),
            Liveness::NoSession | Liveness::Dead(_) | Liveness::Ended(_) => (false, true),
        };
        if proven {
            self.turn_is_proven(now);
        } else if over {
            self.submission = None;
        }
    }

    /// Something proves that the accepted prompt has begun its turn.
    pub(super) fn turn_is_proven(&mut self, now: Timestamp) {
        if let Some(submission) = self.submission.take() {
            self.turn = Some(TurnSource::ExplicitInput);
            (self.proven_at, self.sent_at) = (Some(now), submission.submitted_at);
        }
    }

    fn shows_turn_since(&self, at: Timestamp) -> bool {
        let newer = self.read_at.is_some_and(|read| read >= at);
        let shown = self.worked_at.is_some_and(|worked| worked >= at);
        let stirred = !self.reading.has_rules && self.screen_changed_at >= at;
        newer && (shown || stirred)
    }

    /// Whether a mark says that of the turn that goes on. One that stood there when its prompt was accepted is of the turn
    /// before, until work has been seen since.
    fn has_ended_as(&self, mark: Shows) -> bool {
        let unseen = self.turn == Some(TurnSource::ExplicitInput) && self.worked_at < self.sent_at;
        self.reading.has(mark) && !(unseen && self.old_marks.contains(&mark))
    }

    /// Whether ready waits for the answer in the program's transcript, which is written about when the screen says ready:
    /// whoever sees ready can read the answer then. An interrupted or failed turn may never write one.
    pub(super) fn owes_answer(&self) -> bool {
        self.answered == Some(false)
            && self.turn.is_some()
            && self.interrupted_at.is_none()
            && !self.has_ended_as(Shows::Interrupted)
            && !self.has_ended_as(Shows::Failed)
    }

    /// Follows the status: work begins a turn, ready ends it.
    pub(super) fn follow_turn(&mut self, status: Status, now: Timestamp) {
        // A menu or a login is no part of a turn.
        let asks = self.evidence.as_ref().is_some_and(|held| matches!(held.shows, Shows::Approval | Shows::Question));
        match status {
            Status::Blocked if !asks && self.turn.is_none() => {}
            Status::Active | Status::Blocked => {
                let retracted = self.last_turn.result == TurnResult::Success
                    && self.last_turn.updated_at_utc.is_some_and(|at| now < at + RETRACT_WITHIN);
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
                    let result = if interrupted || self.has_ended_as(Shows::Interrupted) {
                        TurnResult::Interrupted
                    } else if self.has_ended_as(Shows::Failed) {
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
