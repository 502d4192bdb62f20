//! The evidence that is held: which rule decides, since when, and how long it has to hold.

use super::{ANSWER_LIMIT, LONE_SETTLE, Liveness, MOVING_FOR, Tracker};
use crate::tool::{Found, Shows};
use jiff::{SignedDuration, Timestamp};

/// The newest rule that decided, and since when its kind has held.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) shows: Shows,
    pub(super) rule: String,
    pub(super) source: &'static str,
    pub(super) since: Timestamp,
    pub(super) last: Timestamp,
}

impl Tracker {
    /// What decides now: a rule on the last look, or what the program says elsewhere.
    pub(super) fn posture(&self, now: Timestamp) -> Option<&Found> {
        self.with_reports(self.seen(now), now)
    }

    /// What a rule on the last look decides.
    fn seen(&self, now: Timestamp) -> Option<&Found> {
        self.reading.posture(self.moved_at.is_some_and(|at| now < at + MOVING_FOR))
    }

    /// Brings the evidence up to date with the last look and the time.
    pub(super) fn hold(&mut self, now: Timestamp) {
        if !matches!(self.reading.liveness, Liveness::Alive) {
            (self.evidence, self.composer) = (None, None);
            return;
        }
        self.see_composer(self.seen(now).map(|found| found.shows), now);
        let Some(found) = self.posture(now) else { return };
        let (shows, rule, source) = (found.shows, found.rule.clone(), found.source);
        // A menu that a command opens is no turn.
        if matches!(shows, Shows::Active | Shows::Approval | Shows::Question) {
            self.worked_at = Some(now);
        }
        match &mut self.evidence {
            Some(held) if same_kind(held.shows, shows) => {
                (held.shows, held.rule, held.source, held.last) = (shows, rule, source, now);
            }
            held => *held = Some(Box::new(Held { shows, rule, source, since: now, last: now })),
        }
    }

    /// When a composer that has been seen counts as ready, if nothing changes.
    pub(super) fn ready_at(&self, held: &Held) -> Timestamp {
        let alone = self.tool.untuned
            || (self.tool.titles_ready && !self.reading.title_agrees() && !self.report_agrees(self.ticked_at));
        let settle = match alone {
            true => self.tool.ready_settle.max(LONE_SETTLE),
            // There is no turn yet that it could be a part of.
            false if self.coming_up => SignedDuration::ZERO,
            false => self.tool.ready_settle,
        };
        // A composer from before the turn does not end it; its answer does.
        let settled = match self.proven_at.filter(|_| self.owes_answer()) {
            Some(proven) => held.since.max(proven) + settle + ANSWER_LIMIT,
            None if self.owes_answer() => held.since + settle + ANSWER_LIMIT,
            None => held.since + settle,
        };
        // What a look from before shows is no end of the turn, and what stands in the composer right after is what was
        // sent: another look is on its way.
        let stale = self.read_at < self.sent_at || held.shows.is_draft();
        let settled = match self.proven_at.filter(|_| stale) {
            Some(proven) => settled.max(proven + ANSWER_LIMIT),
            None => settled,
        };
        if self.coming_up { settled.max(self.screen_changed_at + self.tool.start_settle) } else { settled }
    }
}

/// Typing turns ready into draft and back without the turn having moved.
fn same_kind(a: Shows, b: Shows) -> bool {
    a == b || (a.is_idle() && b.is_idle()) || (a.is_blocked() && b.is_blocked())
}
