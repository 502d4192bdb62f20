//! Frames and keys on made-up snapshots.

mod frames;
mod keys;

use super::Ui;
use crate::engine::made;
use crate::model::history::Lines;
use crate::model::live::{Identity, TurnSource};
use crate::model::{
    Actor, AgentId, AgentView, Choice, Clue, Event, EventKind, Evidence, Listing, Question, Record, Reply, ReplySource,
    Screen, Snapshot, Status, Turn, TurnOutcome,
};
use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::path::Path;
use std::sync::Arc;

/// So many seconds after the time of all that is made up here.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// An agent that has had that status since `since`.
fn agent(slot: u32, name: &str, status: Status, since: i64) -> AgentView {
    let root = format!("/home/ann/.troop/sessions/local_interactive/{name}");
    let record = Record {
        tool: "claude".to_owned(),
        session_root: Some(Path::new(&root).into()),
        ..made::record(&format!("id-{name}"), name, at(0))
    };
    let mut view = made::view(record, status, at(since), at(0));
    view.slot = slot;
    let mut state = (*view.state).clone();
    let cwd = format!("/home/ann/src/{name}");
    state.identity = Arc::new(Identity { working_directory: Some(cwd), ..(*state.identity).clone() });
    view.state = Arc::new(state);
    view
}

fn with_tool(mut view: AgentView, tool: &str) -> AgentView {
    let mut state = (*view.state).clone();
    state.identity = Arc::new(Identity { tool: tool.to_owned(), ..(*state.identity).clone() });
    view.state = Arc::new(state);
    view
}

fn turn(number: u64, prompt: &str, reply: Option<&str>) -> Arc<Turn> {
    let reply = reply.map(|text| Reply { text: text.into(), source: ReplySource::Screen });
    let (ended_at, outcome) = if reply.is_some() { (Some(at(1)), Some(TurnOutcome::Success)) } else { (None, None) };
    Arc::new(Turn {
        prompt: prompt.into(),
        reply,
        ended_at,
        outcome,
        ..Turn::new(number, TurnSource::ExplicitInput, at(0))
    })
}

/// A screen of 100 columns and 30 rows with colours and wide characters.
fn screen() -> Screen {
    let mut rows = String::from("\u{1b}[1;38;5;208m◇ fixer\u{1b}[0m  \u{1b}[2m~/src/app\u{1b}[0m\n");
    for row in 1..28 {
        let colour = 31 + row % 6;
        let far = format!("column 90 of row {row}");
        rows.push_str(&format!("{row:>2} \u{1b}[{colour}m修正 {}\u{1b}[0m{:>79}\n", "▇".repeat(row % 9), far));
    }
    rows.push_str("\u{1b}[48;2;40;40;60m❯ and now the tests          \u{1b}[0m\n  esc interrupts\n");
    Screen::parse(rows.as_bytes())
}

/// Six agents: one of each kind that matters, and a stopped one.
fn troop() -> Snapshot {
    let mut bob = agent(1, "bob", Status::Blocked, -754);
    bob.evidence = Arc::new(Evidence {
        clues: vec![Clue {
            source: "screen".to_owned(),
            rule: "approval-dialog".to_owned(),
            shows: "blocked: approval",
            priority: 80,
            lines: vec!["│ Do you want to proceed? │".to_owned()],
            decides: true,
        }],
        since: Some(at(-754)),
        seen: Some(at(-2)),
        question: Some(question("rm -r build")),
    });
    bob.screen = screen();
    for (seq, text) in [(1, "run the tests"), (2, "remove what was built\nand build again")] {
        let kind = EventKind::Prompt { prompt_id: "p".into(), turn: seq, text: text.to_owned() };
        let (agent, agent_id) = ("bob".to_owned(), "id-bob".to_owned());
        let actor = Actor::Cli { uid: 1000, pid: 4242 };
        let event = Event { seq, at: at(-800 + seq as i64 * 30), agent, agent_id, actor, kind };
        bob.history.push(&Lines::of(&event).unwrap());
    }
    bob.turns = [turn(11, "run the tests", Some("fine")), turn(12, "remove what was built", None)].into();

    let mut alice = agent(2, "alice", Status::Ready, -3725);
    alice.turns = [turn(3, "count", Some("There are 42 files.\n\nAll tests pass: 修正しました。\n"))].into();
    alice.screen = Screen::parse(b"> \n");
    let mut fixer = with_tool(agent(3, "fixer-of-parsers-and-more", Status::Ready, -30), "codex");
    fixer.turns = [turn(207, "fix", Some("Done; see `git diff`."))].into();
    let mut carol = with_tool(agent(4, "carol", Status::Active, -61), "gemini");
    carol.turns = [turn(1, "\nlook at the parser\nand its tests", None)].into();
    let dave = with_tool(agent(5, "dave", Status::Down, -100_000), "kimi");
    let erin = agent(6, "erin", Status::Gone, -7200);

    let mut snapshot = Snapshot { version: 1, settled: true, ..Snapshot::default() };
    for view in [bob, alice, fixer, carol, dave] {
        snapshot.agents.insert(view.dir_name.clone(), Arc::new(view));
    }
    snapshot.stopped.insert(erin.dir_name.clone(), Arc::new(erin));
    snapshot.slots = snapshot
        .agents
        .values()
        .map(|view| (view.slot, (Listing::Live, view.clone())))
        .chain(snapshot.stopped.values().map(|view| (view.slot, (Listing::Stopped, view.clone()))))
        .collect();
    snapshot
}

fn question(command: &str) -> Question {
    let choice = |number, label: &str| Choice { number, label: label.to_owned(), selected: number == 1 };
    Question {
        text: vec![command.to_owned(), String::new(), "Do you want to proceed?".to_owned()],
        choices: vec![choice(1, "Yes"), choice(2, "Yes, and do not ask again"), choice(3, "No")],
    }
}

/// The same troop with one agent changed.
fn changed(snapshot: &Snapshot, name: &str, change: impl FnOnce(&mut AgentView)) -> Snapshot {
    let mut snapshot = snapshot.clone();
    snapshot.version += 1;
    let mut view = (*snapshot.agents[name]).clone();
    change(&mut view);
    let view = Arc::new(view);
    snapshot.agents.insert(name.into(), view.clone());
    snapshot.slots.insert(view.slot, (Listing::Live, view));
    snapshot
}

fn set_status(view: &mut AgentView, status: Status) {
    let mut state = (*view.state).clone();
    (state.status, state.status_since) = (status, at(0));
    view.state = Arc::new(state);
}

/// Keys in words: `j`, `enter`, `^c`.
fn key(word: &str) -> KeyEvent {
    let mut modifiers = KeyModifiers::NONE;
    let code = match word {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "space" => KeyCode::Char(' '),
        _ => {
            let mut chars = word.chars();
            let first = chars.next().unwrap();
            match chars.next() {
                Some(letter) if first == '^' => {
                    modifiers = KeyModifiers::CONTROL;
                    KeyCode::Char(letter)
                }
                _ => KeyCode::Char(first),
            }
        }
    };
    KeyEvent::new(code, modifiers)
}

/// Presses keys, separated by blanks; what the last of them asks for.
fn press(ui: &mut Ui, snapshot: &Snapshot, keys: &str) -> Option<super::Act> {
    keys.split(' ').filter(|word| !word.is_empty()).fold(None, |_, word| ui.key(key(word), snapshot))
}
