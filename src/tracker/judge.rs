//! The status: one word from liveness, evidence and time.

use super::{Liveness, QUIET_IS_READY, SESSION_LIMIT, STARTING_LIMIT, Tracker, UNKNOWN_AFTER};
use crate::model::live::Status;
use crate::tool::Shows;
use jiff::{SignedDuration, Timestamp};

impl Tracker {
    /// The status at `now` and why, in a few words.
    pub(super) fn judge(&self, now: Timestamp) -> (Status, String) {
        let starting = now < self.launched_at + self.starting_limit() && !self.seen_alive;
        let unless_starting = |status: Status, why: &str| {
            if starting { (Status::Starting, format!("launched, {why}")) } else { (status, why.to_owned()) }
        };
        match &self.reading.liveness {
            Liveness::Unseen => unless_starting(Status::Unknown, "not observed yet"),
            Liveness::Failed(why) => (Status::Unknown, why.clone()),
            Liveness::NoSession => unless_starting(Status::Gone, "no tmux session or pane"),
            Liveness::Dead(why) => (Status::Down, why.clone()),
            Liveness::Ended(why) => unless_starting(Status::Down, why),
            Liveness::Behind(why) => (Status::Unknown, why.clone()),
            Liveness::Alive => self.judge_alive(now),
        }
    }

    /// How long it may be starting, seen as it is.
    pub(super) fn starting_limit(&self) -> SignedDuration {
        if self.reading.liveness == Liveness::NoSession { SESSION_LIMIT } else { STARTING_LIMIT }
    }

    fn judge_alive(&self, now: Timestamp) -> (Status, String) {
        let (status, why) = if self.reading.has_rules || self.posture(now).is_some() {
            self.judge_evidence(now)
        } else {
            self.judge_stillness(now)
        };
        if self.submission.is_some() && !matches!(status, Status::Active | Status::Blocked) {
            return (Status::Pending, "a prompt is being delivered".to_owned());
        }
        (status, why)
    }

    fn judge_evidence(&self, now: Timestamp) -> (Status, String) {
        let launching = now < self.launched_at + STARTING_LIMIT;
        let Some(held) = &self.evidence else {
            let status = if launching { Status::Starting } else { Status::Unknown };
            return (status, "no rule has matched the screen yet".to_owned());
        };
        if self.posture(now).is_none() && now >= held.last + UNKNOWN_AFTER {
            return (Status::Unknown, "no rule matches the screen".to_owned());
        }
        let why = format!("rule {}", held.rule);
        match held.shows {
            Shows::Active
                if now >= self.screen_changed_at.saturating_add(self.tool.stale_after).unwrap_or(Timestamp::MAX) =>
            {
                let still = self.tool.stale_after.as_secs();
                (Status::Unknown, format!("rule {} says active, but nothing has moved for {still} s", held.rule))
            }
            Shows::Active => (Status::Active, why),
            shows if shows.is_blocked() => (Status::Blocked, why),
            Shows::Starting => (if launching { Status::Starting } else { Status::Unknown }, why),
            shows if shows.is_idle() && now >= self.ready_at(held) => (Status::Ready, why),
            // Not settled: the state from before stands, unless it was none.
            shows if shows.is_idle() => match self.status {
                Status::Active | Status::Ready | Status::Pending => (self.status, self.why.clone()),
                // A question needs something to be seen; the turn that asked it may go on.
                Status::Blocked if self.turn.is_some() => (Status::Active, format!("{why}, after a question")),
                _ if launching => (Status::Starting, why),
                _ => (Status::Unknown, why),
            },
            _ => (Status::Unknown, format!("rule {}: nothing can be told", held.rule)),
        }
    }

    fn judge_stillness(&self, now: Timestamp) -> (Status, String) {
        if now >= self.screen_changed_at + QUIET_IS_READY {
            (Status::Ready, "the screen is still; this program has no rules".to_owned())
        } else {
            (Status::Active, "the screen changes; this program has no rules".to_owned())
        }
    }
}
