//! What another process does with an agent, and only the journal tells.

use super::*;
use crate::model::{Actor, Event, EventKind, Look, Pane, PaneId, Process, Programs, Receipt, Screen, Stage, Terminal};

const IDLE: &str = "╭────╮\n│ ❯  │\n╰────╯\n  ready · enter sends";
const WORKS: &str = "✶ Working (2s · esc to interrupt)\n╭────╮\n│ ❯  │\n╰────╯\n  working · esc stops";

fn ms(at: i64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000_000 + at).unwrap()
}

fn seen(text: &str) -> Terminal {
    let argv = ["stand-in".to_owned()].to_vec();
    let all = vec![Process { pid: 7, start_time: 1, comm: "stand-in".to_owned(), argv }];
    let pane = Pane { size: (80, 24), command: "stand-in".to_owned(), ..Pane::new(PaneId::parse("%1").unwrap(), 7) };
    let screen = Screen { ansi: text.into(), text: text.into() };
    Terminal::Seen(Box::new(Look { pane, screen, programs: Programs { all, foreground: vec![7] } }))
}

/// An agent that is seen by us, and prompted by somebody else.
struct Rig {
    world: World,
    id: AgentId,
    seq: u64,
}

impl Rig {
    fn new() -> Self {
        Self { world: world(vec![record("i", "a", LifecycleState::Active)]), id: AgentId("i".into()), seq: 0 }
    }

    fn looks(&mut self, text: &str, at: i64) {
        self.world.take(Fact::Terminal(self.id.clone(), seen(text)), ms(at));
    }

    fn reads(&mut self, kind: EventKind, at: i64) {
        self.seq += 1;
        let (agent, agent_id) = ("a".to_owned(), "i".to_owned());
        let event = Event { seq: self.seq, at: ms(at), agent, agent_id, actor: Actor::Cli { uid: 1, pid: 2 }, kind };
        self.world.take(Fact::Journal(self.id.clone(), vec![event]), ms(at));
    }

    fn status(&mut self, at: i64) -> Status {
        self.world.tick(ms(at));
        self.world.agents[&self.id].status()
    }
}

fn receipt(submitted: i64, settled: i64) -> EventKind {
    EventKind::Receipt(Receipt {
        prompt_id: "p".into(),
        turn: 1,
        stage: Stage::Confirmed,
        bytes: 2,
        sha256: String::new(),
        accepted_at: ms(5000),
        pasted_at: Some(ms(5010)),
        submitted_at: Some(ms(submitted)),
        settled_at: Some(ms(settled)),
        presses: 1,
        proof: Some("screen".into()),
        reason: None,
    })
}

#[test]
fn a_turn_that_is_over_before_its_receipt_is_not_waited_for() {
    let mut rig = Rig::new();
    rig.looks(IDLE, 0);
    assert_eq!(rig.status(4000), Status::Ready);
    rig.reads(EventKind::Prompt { prompt_id: "p".into(), turn: 1, text: "go".into() }, 5000);
    assert_eq!(rig.status(5010), Status::Pending);
    rig.looks(WORKS, 5100);
    assert_eq!(rig.status(5110), Status::Active);
    rig.looks(IDLE, 5200);
    assert_eq!(rig.status(6500), Status::Ready);
    rig.reads(receipt(5020, 7000), 7000);
    assert_eq!(rig.status(7010), Status::Ready);
}

#[test]
fn a_turn_that_has_not_been_seen_yet_is_waited_for() {
    let mut rig = Rig::new();
    rig.looks(IDLE, 0);
    assert_eq!(rig.status(4000), Status::Ready);
    // Its prompt is in a part of the journal that was not read.
    rig.reads(receipt(5020, 5030), 5030);
    assert_eq!(rig.status(5050), Status::Pending);
}
