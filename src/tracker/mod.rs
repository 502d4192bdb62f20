//! From successive looks at one agent's terminal to its live state, with the
//! rule that decided. Pure: the time is an argument, and whoever waits asks
//! [`Tracker::deadline`] when to come back.
//!
//! How evidence is merged (docs/TRACKING.md):
//!
//! 1. Liveness comes first: without the program there is no turn and no surface.
//! 2. Of all rules that match, title and screen alike, the highest priority decides. So any source
//!    may prove a turn active, and a question is believed only while it is to be seen.
//! 3. Ready has to hold for the tool's settle time, and for [`LONE_SETTLE`] when it has to be taken on
//!    weaker evidence: the title could agree and does not, or the release is newer than the rules.
//!    It is retracted by the first sign of work.
//! 4. What a program says elsewhere ([`Report`]) counts only while it is fresh. It decides where the rules are
//!    silent, unless a newer one says ready or a composer has been seen for [`LONE_SETTLE`] since; a newer report of
//!    work stands against a composer for as long; and a report of ready only agrees, as a title does.
//! 5. When no rule matches any more, the last verdict lasts [`UNKNOWN_AFTER`]; then the state is unknown.
//! 6. Work on a screen that stands still for the tool's stale time is unknown as well.

mod diff;
mod evidence;
mod headless;
mod judge;
mod reading;
mod report;
mod turn;
mod view;

pub use reading::{Liveness, Reading, read};
pub use report::Report;
pub use view::Tracked;

use crate::model::live::{LastTurn, Status, Transition, TurnResult, TurnSource};
use crate::model::{Screen, Terminal};
use crate::tool::{Shows, Tool};
use evidence::Held;
use jiff::{SignedDuration, Timestamp};
use semver::Version;
use std::collections::VecDeque;
use std::sync::Arc;
use turn::Submission;
pub use turn::TurnNow;

/// How long ready has to hold on weaker evidence. Houmao settles for 1 s, ccmanager for 1.5 s (`peers`, 5.7).
pub const LONE_SETTLE: SignedDuration = SignedDuration::from_millis(1500);
/// How long a verdict lasts when no rule matches any more.
pub const UNKNOWN_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// For how long after its last change a screen counts as moving.
pub const MOVING_FOR: SignedDuration = SignedDuration::from_millis(700);
/// How long a launch may take before the agent counts as unknown, down or gone.
pub const STARTING_LIMIT: SignedDuration = SignedDuration::from_secs(30);
/// How long after its record an agent's session may take to appear: a record is there first, so that a launcher that dies
/// leaves no session without one. tmux may have to start its server before.
pub const SESSION_LIMIT: SignedDuration = SignedDuration::from_secs(10);
/// How long after the submit key a turn may take to show before nothing is waited for any
/// more. Programs show a turn within 0.4 s (`agent-clis`, sources of state).
pub const NO_TURN_LIMIT: SignedDuration = SignedDuration::from_secs(2);
/// How long that may take while the program shows nothing of the prompt either: some load on when they get their first one.
pub const NO_SIGN_LIMIT: SignedDuration = SignedDuration::from_secs(15);
/// What is longer than this is no command of the program, and it may think for seconds before it shows a turn (gemini-cli, 20 KB
/// in one line).
pub const LONG_PROMPT: usize = 1 << 10;
/// How long a prompt that another process delivers is waited for. It waits at most 10 s for the agent's lock.
pub const ELSEWHERE_LIMIT: SignedDuration = SignedDuration::from_secs(20);
/// How long ready waits for the answer to be written into the program's transcript. They are written before the
/// screen says ready or within some 0.1 s after it.
pub const ANSWER_LIMIT: SignedDuration = SignedDuration::from_secs(1);
/// How long the screen of a program without rules has to be still to count as ready.
pub const QUIET_IS_READY: SignedDuration = SignedDuration::from_millis(1500);
/// Work that goes on this soon after a turn ended is the same turn: its end is retracted.
pub const RETRACT_WITHIN: SignedDuration = SignedDuration::from_millis(1500);
/// The most deadlines that pass in one [`Tracker::tick_until`].
const MAX_TICKS: usize = 64;
/// How long the public state has to stay the same to count as stable (the reference, section 4.4).
pub const STABLE_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// What is known of one agent, as far as its terminal tells.
#[derive(Debug, Clone)]
pub struct Tracker {
    launched_at: Timestamp,
    seen_alive: bool,
    /// It has been seen before it showed anything, and not been ready since.
    coming_up: bool,
    tool: Facts,
    reading: Reading,
    read_at: Option<Timestamp>,
    /// When anything that the terminal shows last changed.
    screen_changed_at: Timestamp,
    /// When the rows above the composer last changed, while the size stayed.
    moved_at: Option<Timestamp>,
    evidence: Option<Box<Held>>,
    /// When a turn was last to be seen.
    worked_at: Option<Timestamp>,
    /// The newest report of each source.
    reports: Vec<Report>,
    composer: Option<report::Composer>,
    submission: Option<Submission>,
    interrupted_at: Option<Timestamp>,
    /// Whether the program's transcript has the answer to the turn that goes on; none without a transcript.
    answered: Option<bool>,
    turn: Option<TurnSource>,
    /// When the last accepted prompt was proven to have begun its turn.
    proven_at: Option<Timestamp>,
    /// When that prompt was submitted.
    sent_at: Option<Timestamp>,
    /// How the turn before it ended, as far as that was on the screen when it was accepted.
    old_marks: Vec<Shows>,
    last_turn: LastTurn,
    status: Status,
    status_since: Timestamp,
    /// The status that was written down last, and since when: whoever wrote it has looked for longer.
    recorded: Option<(Status, Timestamp)>,
    why: String,
    public_since: Timestamp,
    ticked_at: Timestamp,
    transitions: VecDeque<Arc<Transition>>,
    public: view::Public,
}

/// What the decisions over time need to know of the tool.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    ready_settle: SignedDuration,
    start_settle: SignedDuration,
    stale_after: SignedDuration,
    /// Its title can say that it is ready.
    titles_ready: bool,
    /// It is newer than what its rules were tuned on.
    untuned: bool,
}

impl Tracker {
    /// A tracker in the explicit unknown state. `launched_at` is when the record
    /// says the agent became active: from then on it may be `starting`.
    pub fn new(launched_at: Timestamp, now: Timestamp) -> Self {
        let mut tracker = Self {
            launched_at,
            seen_alive: false,
            coming_up: false,
            tool: Facts::default(),
            reading: Reading::default(),
            read_at: None,
            screen_changed_at: now,
            moved_at: None,
            evidence: None,
            worked_at: None,
            reports: Vec::new(),
            composer: None,
            submission: None,
            interrupted_at: None,
            answered: None,
            turn: None,
            proven_at: None,
            sent_at: None,
            old_marks: Vec::new(),
            last_turn: LastTurn::default(),
            status: Status::Unknown,
            status_since: now,
            recorded: None,
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

    /// Takes in one look. `before` is the screen of the look before it; `version` is the release that runs, if known.
    pub fn observe(
        &mut self,
        tool: &Tool,
        version: Option<&Version>,
        terminal: &Terminal,
        before: &Screen,
        now: Timestamp,
    ) {
        let reading = read(tool, version, terminal);
        let facts = Facts {
            ready_settle: SignedDuration::try_from(tool.ready_settle).unwrap_or(LONE_SETTLE),
            start_settle: SignedDuration::try_from(tool.start_settle).unwrap_or(LONE_SETTLE),
            stale_after: SignedDuration::try_from(tool.stale_after).unwrap_or(SignedDuration::MAX),
            titles_ready: tool.titles_ready(),
            untuned: tool.is_untuned(version),
        };
        self.take_in(reading, facts, terminal, before, now);
    }

    fn take_in(&mut self, reading: Reading, facts: Facts, terminal: &Terminal, before: &Screen, now: Timestamp) {
        self.tool = facts;
        self.read_at = matches!(terminal, Terminal::Seen(_)).then_some(now).or(self.read_at);
        let launching = now < self.launched_at + STARTING_LIMIT;
        let alive = matches!(reading.liveness, Liveness::Alive);
        // A program that shows something at the first look has been there for longer than we have.
        let blank = reading.found.iter().all(|found| found.shows == Shows::Starting);
        self.coming_up |= launching && !self.seen_alive && (!alive || blank);
        self.seen_alive |= alive;
        if let (Some(was), Some(is)) = (&self.reading.fingerprint, &reading.fingerprint)
            && was.size == is.size
            && was.body != is.body
        {
            self.moved_at = Some(now);
        }
        if let Terminal::Seen(look) = terminal
            && (look.screen.text != before.text
                || self.reading.fingerprint.as_ref().is_none_or(|fingerprint| fingerprint.title != look.pane.title))
        {
            self.screen_changed_at = now;
        }
        self.reading = reading;
        self.tick(now);
    }

    /// Takes in what the program says of itself elsewhere.
    pub fn report(&mut self, report: Report, now: Timestamp) {
        self.reports.retain(|known| known.source != report.source);
        self.reports.push(report);
        self.tick(now);
    }

    /// A source says nothing any more.
    pub fn withdraw(&mut self, source: &str, now: Timestamp) {
        self.reports.retain(|known| known.source != source);
        self.tick(now);
    }

    /// A prompt of that many bytes was accepted: the state from before no longer counts as ready.
    pub fn accepted(&mut self, bytes: usize, now: Timestamp) {
        self.submission = Some(Submission { before: self.tail(), long: bytes > LONG_PROMPT, ..Submission::default() });
        self.old_marks =
            [Shows::Interrupted, Shows::Failed].into_iter().filter(|mark| self.reading.has(*mark)).collect();
        self.tick(now);
    }

    /// Another process has accepted a prompt, and delivers it.
    pub fn accepted_elsewhere(&mut self, now: Timestamp) {
        self.submission = Some(Submission { submitted_at: Some(now), elsewhere: true, long: false, before: None });
        self.tick(now);
    }

    /// Another process has seen the accepted prompt's turn.
    pub fn proven(&mut self, now: Timestamp) {
        self.turn_is_proven(now);
        self.tick(now);
    }

    /// What the program's transcript says of the last prompt: whether it has it (which proves that its turn began), and
    /// whether it has its answer; nothing when there is no transcript.
    pub fn transcript(&mut self, says: Option<(bool, bool)>, now: Timestamp) {
        self.answered = says.map(|(_, answered)| answered);
        if says.is_some_and(|(has_prompt, _)| has_prompt) {
            self.turn_is_proven(now);
        }
        self.tick(now);
    }

    /// Whether the rows above the composer have changed since then.
    pub fn has_moved_since(&self, at: Timestamp) -> bool {
        self.moved_at.is_some_and(|moved| moved >= at)
    }

    /// The accepted prompt's turn was over before anybody saw it.
    pub fn answered_unseen(&mut self, now: Timestamp) {
        self.last_turn =
            LastTurn { result: TurnResult::Success, source: TurnSource::ExplicitInput, updated_at_utc: Some(now) };
        self.tick(now);
    }

    /// What it says of turns.
    pub fn turn_now(&self) -> TurnNow {
        TurnNow { active: self.turn, submitted: self.submission.is_some(), last: self.last_turn }
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

    /// Takes in what was written down of the status: what was seen at `at`. Who first looks finds it unknown before, which
    /// is no change of a status that was written down already.
    pub fn recorded(&mut self, from: Status, to: Status, at: Timestamp) {
        let is_same = self.recorded.is_some_and(|(status, _)| status == to);
        if !(is_same && from == Status::Unknown) {
            self.recorded = Some((to, at));
        }
    }

    /// What was written down of the status says nothing about now any more.
    pub fn nothing_recorded(&mut self) {
        self.recorded = None;
    }

    /// The interrupt key was pressed.
    pub fn interrupted(&mut self, now: Timestamp) {
        self.interrupted_at = Some(now);
        self.tick(now);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Timestamp) {
        self.ticked_at = now;
        self.hold(now);
        self.settle_submission(now);
        let (status, why) = self.judge(now);
        self.follow_turn(status, now);
        self.coming_up &= status == Status::Starting;
        if status != self.status {
            // It has been seen to end.
            self.recorded = self.recorded.filter(|(recorded, _)| *recorded != self.status);
            self.status = status;
            self.status_since = now;
        }
        self.why = why;
        let public = self.public_now();
        if public != self.public {
            let transition = diff::transition(&self.public, &public, now);
            if self.transitions.len() == crate::model::live::RECENT_TRANSITIONS {
                self.transitions.pop_front();
            }
            self.transitions.push_back(Arc::new(transition));
            self.public = public;
            self.public_since = now;
        }
    }

    /// Lets every deadline before `now` pass at its own time: for a clock that jumps, such as a recording's.
    pub fn tick_until(&mut self, now: Timestamp) {
        for _ in 0..MAX_TICKS {
            match self.deadline().filter(|at| *at < now) {
                Some(at) => self.tick(at),
                None => break,
            }
        }
    }

    /// When [`Tracker::tick`] would next say something new by itself.
    pub fn deadline(&self) -> Option<Timestamp> {
        let held = self.evidence.as_ref();
        let moving = self.reading.found.iter().any(|found| found.moving);
        [
            held.filter(|held| held.shows.is_idle()).map(|held| self.ready_at(held)),
            held.filter(|held| self.posture(self.ticked_at).is_none() && held.last + UNKNOWN_AFTER > self.ticked_at)
                .map(|held| held.last + UNKNOWN_AFTER),
            held.filter(|held| held.shows == Shows::Active)
                .and_then(|_| self.screen_changed_at.checked_add(self.tool.stale_after).ok()),
            self.moved_at.filter(|_| moving).map(|at| at + MOVING_FOR),
            self.report_deadline(),
            (self.status == Status::Starting).then_some(self.launched_at + self.starting_limit()),
            self.submission_deadline(),
            (!self.reading.has_rules).then_some(self.screen_changed_at + QUIET_IS_READY),
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

    /// The rule that decided last.
    pub fn rule(&self) -> Option<&str> {
        self.evidence.as_ref().map(|held| held.rule.as_str())
    }

    /// Whether a prompt of ours is under way.
    pub fn has_submission(&self) -> bool {
        self.submission.is_some()
    }
}

#[cfg(test)]
mod tests;
