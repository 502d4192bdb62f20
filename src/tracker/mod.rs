//! From successive looks at one agent's terminal to its live state, with the
//! rule that decided. Pure: the time is an argument, and whoever waits asks
//! [`Tracker::deadline`] when to come back.
//!
//! Liveness comes first: without the program there is no turn and no surface.
//! Any evidence may prove a turn active at once; ready has to hold for
//! [`READY_SETTLE`]; when no rule matches, the last verdict lasts
//! [`UNKNOWN_AFTER`] and then the state is unknown.

mod reading;
mod view;

pub use reading::{Liveness, Reading, read};
pub use view::Tracked;

use crate::model::live::{LastTurn, Status, Transition, TurnResult, TurnSource};
use crate::model::{Screen, Terminal};
use crate::tool::{Shows, Tool};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

/// How long evidence of ready has to hold before it counts.
pub const READY_SETTLE: SignedDuration = SignedDuration::from_millis(250);
/// How long a verdict lasts when no rule matches any more.
pub const UNKNOWN_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// How long a launch may take before the agent counts as unknown, down or gone.
pub const STARTING_LIMIT: SignedDuration = SignedDuration::from_secs(30);
/// How long after the submit key a turn may take to show before the prompt counts as
/// answered unseen. Programs show a turn within 0.4 s (`agent-clis`, sources of state).
pub const NO_TURN_LIMIT: SignedDuration = SignedDuration::from_secs(2);
/// How long the screen of a program without rules has to be still to count as ready.
pub const QUIET_IS_READY: SignedDuration = SignedDuration::from_millis(1500);
/// How long the public state has to stay the same to count as stable (the reference, section 4.4).
pub const STABLE_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// What is known of one agent, as far as its terminal tells.
#[derive(Debug, Clone)]
pub struct Tracker {
    launched_at: Timestamp,
    seen_alive: bool,
    reading: Reading,
    read_at: Option<Timestamp>,
    screen_changed_at: Timestamp,
    evidence: Option<Evidence>,
    submission: Option<Submission>,
    interrupted_at: Option<Timestamp>,
    turn: Option<TurnSource>,
    last_turn: LastTurn,
    status: Status,
    status_since: Timestamp,
    why: String,
    public_since: Timestamp,
    ticked_at: Timestamp,
    transitions: VecDeque<Arc<Transition>>,
    public: view::Public,
}

/// The newest match of a rule and since when its kind has held.
#[derive(Debug, Clone)]
struct Evidence {
    shows: Shows,
    rule: String,
    since: Timestamp,
    last: Timestamp,
}

/// A prompt of ours that has been accepted and whose turn has not been seen.
#[derive(Debug, Clone, Copy)]
struct Submission {
    submitted_at: Option<Timestamp>,
}

impl Tracker {
    /// A tracker in the explicit unknown state. `launched_at` is when the record
    /// says the agent became active: from then on it may be `starting`.
    pub fn new(launched_at: Timestamp, now: Timestamp) -> Self {
        let mut tracker = Self {
            launched_at,
            seen_alive: false,
            reading: Reading::default(),
            read_at: None,
            screen_changed_at: now,
            evidence: None,
            submission: None,
            interrupted_at: None,
            turn: None,
            last_turn: LastTurn::default(),
            status: Status::Unknown,
            status_since: now,
            why: String::new(),
            public_since: now,
            ticked_at: now,
            transitions: VecDeque::new(),
            public: view::Public::default(),
        };
        (tracker.status, tracker.why) = tracker.judge(now);
        tracker.public = tracker.public_now();
        tracker
    }

    /// Takes in one look. `before` is the screen of the look before it.
    pub fn observe(&mut self, tool: &Tool, terminal: &Terminal, before: &Screen, now: Timestamp) {
        self.reading = read(tool, terminal);
        self.read_at = matches!(terminal, Terminal::Seen(_)).then_some(now).or(self.read_at);
        if matches!(self.reading.liveness, Liveness::Alive) {
            self.seen_alive = true;
        }
        if let Terminal::Seen(look) = terminal
            && look.screen.text != before.text
        {
            self.screen_changed_at = now;
        }
        match &self.reading.matched {
            Some((shows, rule)) => match &mut self.evidence {
                Some(evidence) if same_kind(evidence.shows, *shows) => {
                    (evidence.shows, evidence.last) = (*shows, now);
                    evidence.rule.clone_from(rule);
                }
                _ => self.evidence = Some(Evidence { shows: *shows, rule: rule.clone(), since: now, last: now }),
            },
            None if !matches!(self.reading.liveness, Liveness::Alive) => self.evidence = None,
            None => {}
        }
        self.tick(now);
    }

    /// A prompt was accepted: the state from before no longer counts as ready.
    pub fn accepted(&mut self, now: Timestamp) {
        self.submission = Some(Submission { submitted_at: None });
        self.tick(now);
    }

    /// The submit key was pressed. `at` is the moment before it, so that a turn
    /// seen between the key and this call counts.
    pub fn submitted(&mut self, at: Timestamp, now: Timestamp) {
        if let Some(submission) = &mut self.submission {
            submission.submitted_at = Some(at);
        }
        self.tick(now);
    }

    /// The prompt could not be delivered.
    pub fn undelivered(&mut self, now: Timestamp) {
        self.submission = None;
        self.tick(now);
    }

    /// The interrupt key was pressed.
    pub fn interrupted(&mut self, now: Timestamp) {
        self.interrupted_at = Some(now);
        self.tick(now);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Timestamp) {
        self.ticked_at = now;
        self.settle_submission(now);
        let (status, why) = self.judge(now);
        self.follow_turn(status, now);
        if status != self.status {
            self.status = status;
            self.status_since = now;
        }
        self.why = why;
        let public = self.public_now();
        if public != self.public {
            let transition = view::transition(&self.public, &public, now);
            if self.transitions.len() == crate::model::live::RECENT_TRANSITIONS {
                self.transitions.pop_front();
            }
            self.transitions.push_back(Arc::new(transition));
            self.public = public;
            self.public_since = now;
        }
    }

    /// When [`Tracker::tick`] would next say something new by itself.
    pub fn deadline(&self) -> Option<Timestamp> {
        let evidence = self.evidence.as_ref();
        [
            evidence.filter(|e| is_ready(e.shows)).map(|e| e.since + READY_SETTLE),
            self.reading.matched.is_none().then(|| evidence.map(|e| e.last + UNKNOWN_AFTER)).flatten(),
            (self.status == Status::Starting).then_some(self.launched_at + STARTING_LIMIT),
            self.submission.and_then(|s| s.submitted_at).map(|at| at + NO_TURN_LIMIT),
            Some(self.screen_changed_at + QUIET_IS_READY),
            Some(self.public_since + STABLE_AFTER),
        ]
        .into_iter()
        .flatten()
        .filter(|&at| at > self.ticked_at)
        .min()
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Why the status is what it is, in a few words.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether a prompt of ours is under way.
    pub fn has_submission(&self) -> bool {
        self.submission.is_some()
    }

    /// Whether somebody's unsent text stands in the composer.
    pub fn has_draft(&self) -> bool {
        matches!(self.reading.matched, Some((Shows::Draft, _)))
    }

    fn judge(&self, now: Timestamp) -> (Status, String) {
        let starting = now < self.launched_at + STARTING_LIMIT && !self.seen_alive;
        let unless_starting = |status: Status, why: &str| {
            if starting { (Status::Starting, format!("launched, {why}")) } else { (status, why.to_owned()) }
        };
        match &self.reading.liveness {
            Liveness::Unseen => unless_starting(Status::Unknown, "not observed yet"),
            Liveness::Failed(why) => (Status::Unknown, why.clone()),
            Liveness::NoSession => unless_starting(Status::Gone, "no tmux session"),
            Liveness::Dead(why) => (Status::Down, why.clone()),
            Liveness::Ended(why) => unless_starting(Status::Down, why),
            Liveness::Behind(why) => (Status::Unknown, why.clone()),
            Liveness::Alive => self.judge_alive(now),
        }
    }

    fn judge_alive(&self, now: Timestamp) -> (Status, String) {
        let (status, why) = if self.reading.has_rules { self.judge_evidence(now) } else { self.judge_stillness(now) };
        if self.submission.is_some() && !matches!(status, Status::Active | Status::Blocked) {
            return (Status::Pending, "a prompt is being delivered".to_owned());
        }
        (status, why)
    }

    fn judge_evidence(&self, now: Timestamp) -> (Status, String) {
        let launching = now < self.launched_at + STARTING_LIMIT;
        let Some(evidence) = &self.evidence else {
            let status = if launching { Status::Starting } else { Status::Unknown };
            return (status, "no rule has matched the screen yet".to_owned());
        };
        if self.reading.matched.is_none() && now >= evidence.last + UNKNOWN_AFTER {
            return (Status::Unknown, "no rule matches the screen".to_owned());
        }
        let why = format!("rule {}", evidence.rule);
        match evidence.shows {
            Shows::Active => (Status::Active, why),
            Shows::Blocked => (Status::Blocked, why),
            Shows::Starting => (if launching { Status::Starting } else { Status::Unknown }, why),
            Shows::Ready | Shows::Draft if now >= evidence.since + READY_SETTLE => (Status::Ready, why),
            // Not settled: the state from before stands, unless it was none.
            Shows::Ready | Shows::Draft => match self.status {
                Status::Active | Status::Blocked | Status::Ready | Status::Pending => (self.status, self.why.clone()),
                _ if launching => (Status::Starting, why),
                _ => (Status::Unknown, why),
            },
        }
    }

    fn judge_stillness(&self, now: Timestamp) -> (Status, String) {
        if now >= self.screen_changed_at + QUIET_IS_READY {
            (Status::Ready, "the screen is still; this program has no rules".to_owned())
        } else {
            (Status::Active, "the screen changes; this program has no rules".to_owned())
        }
    }

    /// Ends a submission once its turn shows, once it would have, or with the program.
    fn settle_submission(&mut self, now: Timestamp) {
        let Some(submission) = self.submission else { return };
        let over = match self.reading.liveness {
            Liveness::Alive => match submission.submitted_at {
                Some(at) => {
                    let newer = self.read_at.is_some_and(|read| read >= at);
                    let shown = matches!(&self.evidence, Some(e) if matches!(e.shows, Shows::Active | Shows::Blocked) && e.last >= at);
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

    fn follow_turn(&mut self, status: Status, now: Timestamp) {
        match status {
            Status::Active | Status::Blocked => {
                if self.turn.is_none() {
                    self.turn = Some(TurnSource::SurfaceInference);
                }
                if self.status != status && status == Status::Active && self.status != Status::Blocked {
                    self.interrupted_at = None;
                    self.last_turn = LastTurn::default();
                }
            }
            Status::Ready => {
                if let Some(source) = self.turn.take() {
                    let result = if self.interrupted_at.take().is_some() {
                        TurnResult::Interrupted
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

fn is_ready(shows: Shows) -> bool {
    matches!(shows, Shows::Ready | Shows::Draft)
}

/// Typing turns ready into draft and back without the turn having moved.
fn same_kind(a: Shows, b: Shows) -> bool {
    a == b || (is_ready(a) && is_ready(b))
}

#[cfg(test)]
mod tests;
