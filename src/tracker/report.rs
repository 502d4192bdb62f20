//! What a program says of itself elsewhere: a status file, a hook, a notification.

use super::{LONE_SETTLE, Liveness, Tracker};
use crate::tool::{Found, Shows};
use jiff::{SignedDuration, Timestamp};

/// One statement of a source other than the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which source; a newer report of it takes the place of an older one.
    pub source: &'static str,
    /// What it says, as evidence.
    pub found: Found,
    /// When it said so.
    pub at: Timestamp,
    /// For how long that counts.
    pub fresh_for: SignedDuration,
}

impl Report {
    /// A report of `source`: in its own `words`, which the tool's definition takes for `shows`.
    pub fn new(source: &'static str, words: String, shows: Shows, at: Timestamp, fresh_for: SignedDuration) -> Self {
        let found = Found { rule: words, shows, source, priority: 0, moving: false, lines: Vec::new() };
        Self { source, found, at, fresh_for }
    }

    /// Until when it counts.
    fn until(&self) -> Timestamp {
        self.at.saturating_add(self.fresh_for).unwrap_or(Timestamp::MAX)
    }
}

/// A composer on the screen, with nothing beside it that says otherwise: from when to when it was seen last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Composer {
    since: Timestamp,
    last: Timestamp,
}

impl Tracker {
    /// Brings up to date since when the screen by itself has shown a composer. One that is out of sight has not gone.
    pub(super) fn see_composer(&mut self, seen: Option<Shows>, now: Timestamp) {
        match seen {
            Some(shows) if shows.is_idle() => {
                self.composer.get_or_insert(Composer { since: now, last: now }).last = now;
            }
            Some(_) => self.composer = None,
            None => {}
        }
    }

    /// Whether something says since then that the program has become ready: programs do not report every end, none of a
    /// turn that is interrupted or of a question that is refused.
    fn is_over(&self, report: &Report, now: Timestamp) -> bool {
        self.fresh(now).any(|other| other.found.shows.is_idle() && other.at > report.at)
            || self.composer.is_some_and(|composer| composer.last >= report.at + LONE_SETTLE)
    }

    /// What decides: what the terminal shows, or what the program says elsewhere.
    pub(super) fn with_reports<'a>(&'a self, seen: Option<&'a Found>, now: Timestamp) -> Option<&'a Found> {
        if !matches!(self.reading.liveness, Liveness::Alive) {
            return seen;
        }
        match seen {
            // A menu, a question or work on the screen is there to be seen.
            Some(seen) if !seen.shows.is_idle() => Some(seen),
            Some(seen) => {
                let since = self.composer.map_or(now, |composer| composer.since);
                let newer = self.fresh(now).find(|report| {
                    let is_new = report.at >= since && now < report.at + LONE_SETTLE;
                    report.found.shows == Shows::Active && is_new && !self.is_over(report, now)
                });
                Some(newer.map_or(seen, |report| &report.found))
            }
            None => {
                let rank = |report: &&Report| (report.found.shows.is_blocked(), report.found.shows == Shows::Active);
                self.fresh(now)
                    .filter(|report| !report.found.shows.is_idle() && !self.is_over(report, now))
                    .max_by_key(rank)
                    .map(|report| &report.found)
            }
        }
    }

    /// Whether the program says elsewhere that it is ready.
    pub(super) fn report_agrees(&self, now: Timestamp) -> bool {
        self.fresh(now).any(|report| report.found.shows.is_idle())
    }

    /// When the next report stops counting, or stops standing against a composer.
    pub(super) fn report_deadline(&self) -> Option<Timestamp> {
        let ends = self.reports.iter().flat_map(|report| [report.until(), report.at + LONE_SETTLE]);
        ends.filter(|&at| at > self.ticked_at).min()
    }

    /// The reports that count.
    pub(super) fn fresh(&self, now: Timestamp) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(move |report| report.at <= now && now < report.until())
    }
}
