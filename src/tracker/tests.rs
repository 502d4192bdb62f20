//! Sequences of looks and moments, and the status each leads to.

mod always;
mod merge;
mod recorded;
mod reports;
mod sent;

use super::*;
use crate::model::live::{Availability, TurnPhase, TurnResult};
use crate::model::{Look, Pane, PaneId, Process, Programs};
use crate::tool::Tools;

/// How the definitions of the tests begin.
const HEAD: &str = "
name = 'x'
summary = 'a tool of the tests'
[start]
command = ['x']
[process]
names = ['x']
[submit]
key = 'Enter'
settle_ms = 1
[interrupt]
key = 'Escape'
";

/// Four rules, and no wait before the first ready.
const TOOL: &str = "
[ready]
start_ms = 0
[[rule]]
id = 'busy'
region = 'screen'
match = 'BUSY'
shows = 'active'
priority = 3
[[rule]]
id = 'asks'
region = 'screen'
match = 'ASKS'
shows = 'approval'
priority = 2
[[rule]]
id = 'draft'
region = 'screen'
match = '> .'
shows = 'draft'
priority = 1
[[rule]]
id = 'empty'
region = 'screen'
match = '>'
shows = 'ready'
priority = 0
";

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000_000 + ms).unwrap()
}

fn process(comm: &str, pid: i32) -> Process {
    Process { pid, start_time: 1, comm: comm.to_owned(), argv: vec![comm.to_owned()] }
}

fn seen(text: &str) -> Terminal {
    let programs = Programs { all: vec![process("x", 7)], foreground: vec![7] };
    with_programs(text, programs)
}

fn with_programs(text: &str, programs: Programs) -> Terminal {
    let pane = Pane::new(PaneId::parse("%1").unwrap(), 7);
    let screen = Screen { ansi: text.into(), text: text.into() };
    Terminal::Seen(Box::new(Look { pane, screen, programs }))
}

fn dead(status: i32) -> Terminal {
    let Terminal::Seen(mut look) = with_programs("", Programs::default()) else { unreachable!() };
    (look.pane.dead, look.pane.exit_status) = (true, Some(status));
    Terminal::Seen(look)
}

/// What can happen to a tracker.
#[derive(Debug, Clone)]
enum Step {
    Look(Terminal),
    Accepted,
    Submitted,
    Undelivered,
    Interrupted,
    Wait,
}
use Step::{Accepted, Interrupted, Submitted, Undelivered, Wait};

fn look(text: &str) -> Step {
    Step::Look(seen(text))
}

struct Rig {
    tool: Tool,
    tracker: Tracker,
    screen: Screen,
}

impl Rig {
    /// A tracker of a tool that is defined by [`HEAD`] and `rest`.
    fn new(rest: &str) -> Self {
        Self {
            tool: Tool::parse(&format!("{HEAD}{rest}"), "x.toml").unwrap(),
            tracker: Tracker::new(at(0), at(0)),
            screen: Screen::default(),
        }
    }

    fn step(&mut self, step: &Step, now: Timestamp) {
        match step {
            Step::Look(terminal) => {
                self.tracker.observe(&self.tool, None, terminal, &self.screen, now);
                if let Terminal::Seen(look) = terminal {
                    self.screen = look.screen.clone();
                }
            }
            Step::Accepted => self.tracker.accepted(1, now),
            Step::Submitted => self.tracker.submitted(now, now),
            Step::Undelivered => self.tracker.undelivered(now),
            Step::Interrupted => self.tracker.interrupted(now),
            Step::Wait => self.tracker.tick(now),
        }
    }
}

/// Plays steps at their milliseconds and compares the status after each.
fn check(steps: &[(i64, Step, Status)]) -> Tracker {
    let mut rig = Rig::new(TOOL);
    for (ms, step, expected) in steps {
        rig.step(step, at(*ms));
        assert_eq!(rig.tracker.status(), *expected, "at {ms} ms after {step:?}: {}", rig.tracker.why());
    }
    rig.tracker
}

#[test]
fn a_launch_is_ready_at_its_first_composer_when_its_screen_need_not_be_still() {
    check(&[
        (0, Step::Look(Terminal::NoSession), Status::Starting),
        (100, Step::Look(with_programs("", Programs::default())), Status::Starting),
        (200, look("hello"), Status::Starting),
        (300, look(">"), Status::Ready),
    ]);
}

#[test]
fn a_launch_that_never_comes_is_gone() {
    check(&[
        (0, Step::Look(Terminal::NoSession), Status::Starting),
        (9_999, Wait, Status::Starting),
        (10_000, Wait, Status::Gone),
    ]);
}

#[test]
fn one_look_proves_active_and_ready_has_to_settle() {
    let tracker = check(&[
        (0, look(">"), Status::Starting),
        (250, Wait, Status::Ready),
        (1000, look("BUSY >"), Status::Active),
        (2000, look(">"), Status::Active),
        (2100, look("BUSY >"), Status::Active),
        (3000, look(">"), Status::Active),
        (3250, Wait, Status::Ready),
    ]);
    let last = tracker.tracked("x", at(3250)).last_turn;
    assert_eq!((last.result, last.source), (TurnResult::Success, TurnSource::SurfaceInference));
}

#[test]
fn an_accepted_prompt_is_pending_until_its_turn_shows() {
    let tracker = check(&[
        (0, look(">"), Status::Starting),
        (250, Wait, Status::Ready),
        (1000, Accepted, Status::Pending),
        (1010, look("> text"), Status::Pending),
        (1020, Submitted, Status::Pending),
        (1030, look(">"), Status::Pending),
        (1100, look("BUSY"), Status::Active),
        (1500, Interrupted, Status::Active),
        (1600, look(">"), Status::Active),
        (1850, Wait, Status::Ready),
    ]);
    let last = tracker.tracked("x", at(1850)).last_turn;
    assert_eq!((last.result, last.source), (TurnResult::Interrupted, TurnSource::ExplicitInput));
}

#[test]
fn a_prompt_without_a_turn_is_ready_again_after_a_while() {
    check(&[
        (0, look(">"), Status::Starting),
        (250, Wait, Status::Ready),
        (1000, Accepted, Status::Pending),
        (1020, Submitted, Status::Pending),
        (1100, look("help\n>"), Status::Pending),
        (3019, Wait, Status::Pending),
        (3020, Wait, Status::Ready),
    ]);
}

#[test]
fn a_program_that_shows_nothing_of_a_prompt_is_given_longer() {
    check(&[
        (0, look(">"), Status::Starting),
        (250, Wait, Status::Ready),
        (1000, Accepted, Status::Pending),
        (1020, Submitted, Status::Pending),
        (1100, look(">"), Status::Pending),
        (16_019, Wait, Status::Pending),
        (16_020, Wait, Status::Ready),
    ]);
}

#[test]
fn a_long_prompt_is_thought_about_for_longer() {
    for (bytes, gives_up) in [(LONG_PROMPT, 3020), (LONG_PROMPT + 1, 16_020)] {
        let mut rig = Rig::new(TOOL);
        rig.step(&look(">"), at(0));
        rig.step(&Wait, at(250));
        rig.tracker.accepted(bytes, at(1000));
        rig.step(&Submitted, at(1020));
        rig.step(&look("[pasted]\n>"), at(1100));
        for (ms, status) in [(gives_up - 1, Status::Pending), (gives_up, Status::Ready)] {
            rig.step(&Wait, at(ms));
            assert_eq!(rig.tracker.status(), status, "{bytes} bytes at {ms} ms");
        }
    }
}

#[test]
fn a_prompt_that_could_not_be_delivered_is_over() {
    check(&[
        (0, look(">"), Status::Starting),
        (250, Wait, Status::Ready),
        (1000, Accepted, Status::Pending),
        (1100, Undelivered, Status::Ready),
    ]);
}

#[test]
fn death_ends_everything_at_once() {
    let tracker = check(&[
        (0, look("BUSY"), Status::Active),
        (100, Accepted, Status::Active),
        (200, Step::Look(dead(3)), Status::Down),
    ]);
    let state = tracker.tracked("x", at(200));
    assert_eq!(state.turn.phase, TurnPhase::Unknown);
    assert_eq!(state.surface, crate::model::live::Surface::default());
    assert_eq!(state.diagnostics.availability, Availability::TuiDown);
    assert!(state.sources[0].says.contains("status 3"));
    check(&[(0, look(">"), Status::Starting), (100, Step::Look(Terminal::NoSession), Status::Gone)]);
}

#[test]
fn a_shell_in_front_is_unknown_and_a_shell_instead_is_down() {
    let behind = Programs { all: vec![process("bash", 6), process("x", 7)], foreground: vec![6] };
    let instead = Programs { all: vec![process("bash", 7)], foreground: vec![7] };
    check(&[
        (0, look(">"), Status::Starting),
        (250, Wait, Status::Ready),
        (300, Step::Look(with_programs(">", behind)), Status::Unknown),
        (400, Step::Look(with_programs(">", instead)), Status::Down),
    ]);
}

#[test]
fn a_verdict_outlives_its_rule_for_a_little_while() {
    check(&[
        (0, look("BUSY"), Status::Active),
        (100, look("???"), Status::Active),
        (1999, Wait, Status::Active),
        (2000, Wait, Status::Unknown),
        (2100, look("ASKS"), Status::Blocked),
    ]);
}

#[test]
fn a_program_without_rules_is_judged_by_stillness() {
    let (tools, _) = Tools::with_overrides(&[]);
    let mut rig = Rig::new(TOOL);
    rig.tool = tools.get(crate::tool::GENERIC).unwrap().as_ref().clone();
    rig.step(&look("a"), at(0));
    assert_eq!(rig.tracker.status(), Status::Active);
    rig.step(&Wait, at(1500));
    assert_eq!(rig.tracker.status(), Status::Ready);
}
