//! Waits on made-up snapshots.

use super::*;
use crate::engine::made;
use crate::model::live::TurnSource;
use crate::model::{Listing, Reply, ReplySource};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + seconds).unwrap()
}

/// An agent with that status since 0 and those turns.
fn view(status: Status, turns: &[Turn]) -> AgentView {
    let mut view = made::view(made::record("a", "alice", at(0)), status, at(0), at(0));
    view.turns = turns.iter().cloned().map(Arc::new).collect();
    view
}

fn snapshot(view: &AgentView) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.slots.insert(view.slot, (Listing::Live, Arc::new(view.clone())));
    snapshot
}

fn turn(number: u64, outcome: Option<TurnOutcome>) -> Turn {
    let ended_at = outcome.map(|_| at(10));
    Turn { ended_at, outcome, prompt: "?".into(), ..Turn::new(number, TurnSource::ExplicitInput, at(0)) }
}

/// The line that a wait begun with the first view gives in the second at 10 s.
#[track_caller]
fn line(condition: Condition, began: &AgentView, now: &AgentView) -> Option<String> {
    match Wait::begin(condition, began).look(&snapshot(now), at(10)) {
        Awaited::Come(line) => Some(line.to_string()),
        Awaited::NotYet(_) => None,
    }
}

const SUCCESS: Option<TurnOutcome> = Some(TurnOutcome::Success);

#[test]
fn what_is_so_already_need_not_be_waited_for() {
    let turns = [turn(1, SUCCESS), turn(2, Some(TurnOutcome::Interrupted))];
    for status in Status::ALL {
        let view = view(status, &turns);
        let holds = |condition| line(condition, &view, &view);
        let expect = |holds: bool, word: &str| match status {
            Status::Gone => Some("gone gone 2 interrupted".to_owned()),
            _ => holds.then(|| format!("{word} {status} 2 interrupted")),
        };
        assert_eq!(holds(Condition::Ready), expect(status == Status::Ready, "ready"));
        assert_eq!(holds(Condition::Active), expect(status == Status::Active, "active"));
        assert_eq!(holds(Condition::Blocked), expect(status == Status::Blocked, "blocked"));
        assert_eq!(holds(Condition::Gone), expect(false, "gone"));
        assert_eq!(holds(Condition::Change), expect(false, "change"));
        assert_eq!(holds(Condition::Turn(3)), expect(false, "turn/3"));
        assert_eq!(holds(Condition::Turn(1)), Some(format!("turn/1 {status} 1 success")));
        let settles = matches!(status, Status::Ready | Status::Blocked | Status::Down | Status::Gone);
        assert_eq!(holds(Condition::Settled), settles.then(|| format!("settled {status} 2 interrupted")));
    }
}

#[test]
fn an_agent_that_went_ends_every_wait() {
    let (began, other) = (view(Status::Active, &[turn(1, None)]), AgentView { slot: 99, ..view(Status::Ready, &[]) });
    for condition in WORDS.map(|(_, condition)| condition).into_iter().chain([Condition::Turn(1)]) {
        let word = if condition == Condition::Settled { "settled" } else { "gone" };
        // A successor of the same name is another agent, however ready it is.
        assert_eq!(line(condition, &began, &other), Some(format!("{word} gone - -")), "{condition}");
    }
}

#[test]
fn unknown_settles_after_a_while() {
    let unknown = view(Status::Unknown, &[]);
    let wait = Wait::begin(Condition::Settled, &unknown);
    let limit = at(0) + UNKNOWN_LIMIT;
    assert_eq!(wait.look(&snapshot(&unknown), at(29)), Awaited::NotYet(Some(limit)));
    let Awaited::Come(line) = wait.look(&snapshot(&unknown), limit) else { panic!("it did not settle") };
    assert_eq!(line.to_string(), "settled unknown - -");
}

#[test]
fn a_change_is_one_of_status_turn_or_outcome() {
    let began = view(Status::Active, &[turn(4, None)]);
    let change = |now: &AgentView| line(Condition::Change, &began, now);
    assert_eq!(change(&view(Status::Active, &[turn(4, None)])), None);
    assert_eq!(change(&view(Status::Ready, &[turn(4, None)])).as_deref(), Some("change ready 4 -"));
    assert_eq!(change(&view(Status::Active, &[turn(4, SUCCESS)])).as_deref(), Some("change active 4 success"));
    assert_eq!(change(&view(Status::Active, &[turn(4, SUCCESS), turn(5, None)])).as_deref(), Some("change active 5 -"));
    assert_eq!(change(&view(Status::Gone, &[turn(4, None)])).as_deref(), Some("gone gone 4 -"));
}

#[test]
fn turns_that_are_over_running_next_and_beyond() {
    let view = view(Status::Active, &[turn(7, SUCCESS), turn(8, None)]);
    assert_eq!(line(Condition::Turn(7), &view, &view).as_deref(), Some("turn/7 active 7 success"));
    assert_eq!(line(Condition::Turn(3), &view, &view).as_deref(), Some("turn/3 active 3 -"), "too old to be kept");
    for waits in [8, 9] {
        assert_eq!(line(Condition::Turn(waits), &view, &view), None);
    }
    for (number, may) in [(0, false), (1, true), (8, true), (9, true), (10, false), (u64::MAX, false)] {
        assert_eq!(may_await_turn(&view, number), may, "{number}");
    }
    assert_eq!(next_turn(&super::tests::view(Status::Ready, &[])), 1);
}

#[test]
fn conditions_are_read_as_they_are_shown() {
    for condition in WORDS.map(|(_, condition)| condition).into_iter().chain([Condition::Turn(12)]) {
        assert_eq!(condition.to_string().parse(), Ok(condition));
    }
    assert_eq!("turn:3".parse(), Ok(Condition::Turn(3)));
    for bad in ["", "Ready", "turn", "turn/", "turn/0", "turn/-1", "turn/x", "turn/18446744073709551616"] {
        assert_eq!(bad.parse::<Condition>().unwrap_err().kind(), Kind::Invalid, "{bad}");
    }
}

#[test]
fn an_answer_comes_when_its_turn_has_ended() {
    let answered =
        |text: &str| Turn { reply: Some(Reply { text: text.into(), source: ReplySource::Screen }), ..turn(1, SUCCESS) };
    let asked = Asked::last_of(&view(Status::Pending, &[turn(1, None)])).unwrap();
    let look = |status, turns: &[Turn], now| asked.look(&snapshot(&view(status, turns)), now);
    assert_eq!(look(Status::Active, &[turn(1, None)], at(10)), Awaited::NotYet(None));
    assert_eq!(look(Status::Ready, &[answered("yes\u{1b}[m")], at(10)), Awaited::Come(Ok("yes[m\n".to_owned())));
    // A later turn does not take its place.
    assert_eq!(
        look(Status::Active, &[answered("one\n"), turn(2, None)], at(10)),
        Awaited::Come(Ok("one\n".to_owned()))
    );
    // An answer may become known a little after the turn has ended.
    assert_eq!(look(Status::Ready, &[turn(1, SUCCESS)], at(11)), Awaited::NotYet(Some(at(10) + REPLY_LIMIT)));
    for (status, turns, now, kind) in [
        (Status::Ready, vec![turn(1, SUCCESS)], 12, Kind::Io),
        (Status::Ready, vec![turn(1, Some(TurnOutcome::Interrupted))], 10, Kind::Io),
        (Status::Ready, vec![turn(1, Some(TurnOutcome::KnownFailure))], 10, Kind::Io),
        (Status::Ready, vec![turn(1, Some(TurnOutcome::Unconfirmed))], 10, Kind::TimedOut),
        (Status::Ready, vec![turn(1, Some(TurnOutcome::Refused))], 10, Kind::Busy),
        (Status::Down, vec![turn(1, Some(TurnOutcome::Lost))], 10, Kind::Gone),
        (Status::Gone, vec![turn(1, None)], 10, Kind::Gone),
        (Status::Ready, vec![turn(300, None)], 10, Kind::Io),
    ] {
        let Awaited::Come(Err(error)) = look(status, &turns, at(now)) else { panic!("{turns:?}") };
        assert_eq!(error.kind(), kind, "{turns:?}");
    }
    let replaced = AgentView { slot: 99, ..view(Status::Ready, &[answered("no")]) };
    assert!(
        matches!(asked.look(&snapshot(&replaced), at(10)), Awaited::Come(Err(error)) if error.kind() == Kind::Gone)
    );
}
