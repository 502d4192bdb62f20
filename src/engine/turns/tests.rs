//! Turns and receipts from what happens, in milliseconds.

use super::*;
use crate::model::Event;
use crate::model::live::{LastTurn, TurnResult};
use proptest::prelude::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000 + ms).unwrap()
}

fn me() -> Actor {
    Actor::Cli { uid: 1, pid: 2 }
}

/// A log with what its tracker says.
#[derive(Default)]
struct Rig {
    log: TurnLog,
    now: TurnNow,
    status: Option<Status>,
    notes: Vec<(i64, EventKind)>,
}

impl Rig {
    fn note(&mut self, notes: Notes, ms: i64) {
        self.notes.extend(notes.into_iter().map(|(_, kind)| (ms, kind)));
    }

    fn accept(&mut self, id: &str, ms: i64) {
        let prompt = Accepted { prompt_id: id.to_owned(), text: format!("text of {id}"), actor: me() };
        let notes = self.log.accepted(prompt, at(ms));
        self.note(notes, ms);
        self.now.submitted = true;
        self.follow(Status::Pending, ms);
    }

    fn progress(&mut self, id: &str, progress: Progress, ms: i64) {
        let notes = self.log.progress(id, progress, at(ms));
        self.note(notes, ms);
    }

    fn submit(&mut self, id: &str, ms: i64) {
        self.progress(id, Progress::Pasted(at(ms)), ms);
        self.progress(id, Progress::Submitted { at: at(ms), presses: 1, shell: false }, ms);
    }

    fn begin(&mut self, source: TurnSource, ms: i64) {
        (self.now.submitted, self.now.active) = (false, Some(source));
        self.follow(Status::Active, ms);
    }

    fn end(&mut self, result: TurnResult, ms: i64) {
        let source = self.now.active.take().unwrap_or_default();
        self.now.last = LastTurn { result, source, updated_at_utc: Some(at(ms)) };
        self.follow(Status::Ready, ms);
    }

    fn follow(&mut self, status: Status, ms: i64) {
        self.status = Some(status);
        let answer =
            |turn: &Turn| Some(Reply { text: format!("to {}", turn.number).into(), source: ReplySource::Screen });
        let notes = self.log.follow(self.now, status, answer, at(ms));
        self.note(notes, ms);
    }

    fn receipts(&self) -> Vec<(&str, Stage)> {
        let mut receipts = Vec::new();
        for (_, kind) in &self.notes {
            if let EventKind::Receipt(receipt) = kind {
                receipts.push((receipt.prompt_id.as_str(), receipt.stage));
            }
        }
        receipts
    }

    fn outcomes(&self) -> Vec<(u64, Option<TurnOutcome>)> {
        self.log.shown().iter().map(|turn| (turn.number, turn.outcome)).collect()
    }
}

use crate::model::ReplySource;

#[test]
fn a_prompt_a_turn_an_answer() {
    let mut rig = Rig::default();
    rig.accept("p", 0);
    assert_eq!(rig.outcomes(), [(1, None)], "its turn is open as soon as it is accepted");
    rig.submit("p", 50);
    rig.begin(TurnSource::ExplicitInput, 100);
    assert_eq!(rig.receipts(), [("p", Stage::Confirmed)]);
    rig.end(TurnResult::Success, 900);
    let turn = &rig.log.shown()[0];
    assert_eq!((turn.outcome, turn.ended_at), (Some(TurnOutcome::Success), Some(at(900))));
    assert_eq!(turn.reply.as_ref().map(|reply| reply.text.as_ref()), Some("to 1"));
}

#[test]
fn a_prompt_without_a_turn_is_unconfirmed_and_a_late_turn_is_its() {
    let mut rig = Rig::default();
    rig.accept("p", 0);
    rig.submit("p", 50);
    rig.now.submitted = false;
    rig.follow(Status::Ready, 2050);
    assert_eq!(rig.receipts(), [("p", Stage::Unconfirmed)]);
    assert_eq!(rig.outcomes(), [(1, Some(TurnOutcome::Unconfirmed))]);
    rig.begin(TurnSource::SurfaceInference, 5000);
    assert_eq!(rig.receipts(), [("p", Stage::Unconfirmed), ("p", Stage::Confirmed)]);
    rig.end(TurnResult::Success, 6000);
    assert_eq!(rig.outcomes(), [(1, Some(TurnOutcome::Success))]);
    rig.begin(TurnSource::SurfaceInference, 50_000);
    assert_eq!(rig.outcomes().len(), 2, "the next one is another");
    assert_eq!(rig.receipts().len(), 2);
}

#[test]
fn a_refused_prompt_does_not_take_a_strangers_turn() {
    let mut rig = Rig::default();
    rig.accept("p", 0);
    rig.progress("p", Progress::Failed { reason: "no".into(), typed: false }, 10);
    rig.now.submitted = false;
    rig.follow(Status::Ready, 10);
    rig.begin(TurnSource::SurfaceInference, 2000);
    assert_eq!(rig.receipts(), [("p", Stage::Refused)]);
    assert_eq!(rig.outcomes(), [(1, Some(TurnOutcome::Refused)), (2, None)]);
}

#[test]
fn an_end_that_is_retracted_is_none() {
    let mut rig = Rig::default();
    rig.begin(TurnSource::SurfaceInference, 0);
    rig.end(TurnResult::Success, 1000);
    rig.begin(TurnSource::SurfaceInference, 1500);
    assert_eq!(rig.outcomes(), [(1, None)]);
    rig.end(TurnResult::Interrupted, 3000);
    assert_eq!(rig.outcomes(), [(1, Some(TurnOutcome::Interrupted))]);
}

#[test]
fn an_end_that_nobody_saw_is_lost_unless_there_is_an_answer() {
    let mut rig = Rig::default();
    let event = |seq, kind| Event { seq, at: at(0), agent: "a".into(), agent_id: "i".into(), actor: me(), kind };
    rig.log.apply(&event(1, EventKind::Prompt { prompt_id: "p".into(), turn: 7, text: "hi".into() }));
    rig.log.apply(&event(2, EventKind::TurnBegan { turn: 7, source: TurnSource::ExplicitInput }));
    let notes = rig.log.follow(TurnNow::default(), Status::Ready, |_| None, at(10));
    rig.note(notes, 10);
    assert_eq!(rig.outcomes(), [(7, Some(TurnOutcome::Lost))]);
    rig.accept("q", 20);
    assert_eq!(rig.outcomes().last(), Some(&(8, None)), "numbers go on");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Accept,
    Submit,
    Fail(bool),
    Begin,
    End,
    GiveUp,
    Die,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    prop::collection::vec(
        prop_oneof![
            Just(Accept),
            Just(Submit),
            any::<bool>().prop_map(Fail),
            Just(Begin),
            Just(End),
            Just(GiveUp),
            Just(Die)
        ],
        0..60,
    )
}

proptest! {
    /// Whatever happens: numbers go up by one, only the last turn is open, every prompt that was followed to its end has one
    /// final receipt, and reading the events again gives the same turns.
    #[test]
    fn turns_are_a_chain(steps in steps(), gap in 1..4000i64) {
        let mut rig = Rig::default();
        let (mut ms, mut prompts) = (0, 0);
        for step in steps {
            ms += gap;
            match step {
                Step::Accept if rig.now == (TurnNow { active: None, submitted: false, ..rig.now }) => {
                    prompts += 1;
                    rig.accept(&prompts.to_string(), ms);
                }
                Step::Submit if rig.now.submitted => rig.submit(&prompts.to_string(), ms),
                Step::Fail(typed) if rig.now.submitted => {
                    rig.progress(&prompts.to_string(), Progress::Failed { reason: "x".into(), typed }, ms);
                    rig.now.submitted = false;
                    rig.follow(Status::Ready, ms);
                }
                Step::Begin if rig.now.active.is_none() => {
                    let ours = rig.now.submitted;
                    rig.begin(if ours { TurnSource::ExplicitInput } else { TurnSource::SurfaceInference }, ms);
                }
                Step::End if rig.now.active.is_some() => rig.end(TurnResult::Success, ms),
                Step::GiveUp if rig.now.submitted => {
                    rig.now.submitted = false;
                    rig.follow(Status::Ready, ms);
                }
                Step::Die => {
                    (rig.now.submitted, rig.now.active) = (false, None);
                    rig.follow(Status::Gone, ms);
                }
                _ => {}
            }
            let turns = rig.log.shown();
            prop_assert!(turns.iter().zip(turns.iter().skip(1)).all(|(a, b)| a.number + 1 == b.number && a.has_ended()));
            prop_assert!(turns.len() <= MAX_TURNS);
        }
        for prompt in 1..prompts {
            let id = prompt.to_string();
            let stages: Vec<Stage> = rig.receipts().into_iter().filter(|(known, _)| *known == id).map(|(_, stage)| stage).collect();
            prop_assert!(matches!(stages.as_slice(), [_] | [Stage::Unconfirmed, Stage::Confirmed]), "{stages:?}");
        }
        let mut again = TurnLog::default();
        for (seq, (ms, kind)) in (1..).zip(&rig.notes) {
            let kind = kind.clone();
            again.apply(&Event { seq, at: at(*ms), agent: "a".into(), agent_id: "i".into(), actor: me(), kind });
        }
        let seen = |log: &TurnLog| {
            log.shown().iter().map(|turn| (turn.number, turn.outcome, turn.ended_at, turn.reply.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!(seen(&again), seen(&rig.log));
    }
}

#[test]
fn a_command_of_the_shell_is_no_turn_of_the_model() {
    let mut rig = Rig::default();
    rig.accept("p", 0);
    rig.progress("p", Progress::Pasted(at(10)), 10);
    rig.progress("p", Progress::Submitted { at: at(20), presses: 1, shell: true }, 20);
    rig.begin(TurnSource::ExplicitInput, 60);
    rig.end(TurnResult::Success, 500);
    assert_eq!(rig.receipts(), [("p", Stage::Unconfirmed)]);
    assert_eq!(rig.outcomes(), [(1, Some(TurnOutcome::Unconfirmed))]);
    assert_eq!(rig.log.shown()[0].reply, None, "what the shell printed is no answer");
    // The next turn is confirmed as ever.
    rig.accept("q", 2000);
    rig.submit("q", 2010);
    rig.begin(TurnSource::ExplicitInput, 2050);
    rig.end(TurnResult::Success, 2500);
    assert_eq!(rig.receipts(), [("p", Stage::Unconfirmed), ("q", Stage::Confirmed)]);
    assert_eq!(rig.outcomes()[1], (2, Some(TurnOutcome::Success)));
}

#[test]
fn a_turn_that_began_and_ended_at_once_has_ended_once() {
    let mut rig = Rig::default();
    rig.accept("p", 0);
    rig.submit("p", 20);
    rig.now = TurnNow { submitted: false, ..rig.now };
    let reply = Reply { text: "ok".into(), source: ReplySource::Screen };
    let notes = rig.log.answered_unseen(rig.now, reply, at(2000));
    rig.note(notes, 2000);
    // Our own journal is read like anybody's.
    for (_, kind) in rig.notes.clone() {
        let (agent, agent_id) = ("a".into(), "i".into());
        rig.log.apply(&Event { seq: 1, at: at(2000), agent, agent_id, actor: me(), kind });
    }
    rig.follow(Status::Ready, 2010);
    assert_eq!(rig.outcomes(), [(1, Some(TurnOutcome::Success))]);
    assert_eq!(rig.notes.iter().filter(|(_, kind)| matches!(kind, EventKind::TurnEnded { .. })).count(), 1);
}
