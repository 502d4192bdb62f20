//! `explain` and `question`: what a status rests on, and what an agent asks.

use super::world::{LIMIT, World};
use crate::support::wait_for;

/// `explain` says what the status rests on: the rule that decided, where it looked, the rows it found, since
/// when it has held and when it was last seen, and then everything else that was found, agreeing or not.
/// `troop explain NAME` prints the same without a mount.
#[test]
fn why_it_says_so() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:ask");
    world.wait_status("a", "blocked");
    let text = world.read("agents/a/explain");
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("blocked since 20") && first.ends_with("rule question"), "{text}");
    assert!(
        text.contains("decided by screen rule question (priority 100): approval\n  | ╭─ Allow this command?"),
        "{text}"
    );
    assert!(text.contains("  held since "), "{text}");
    assert!(text.contains("also found title rule title-asks (priority 30): approval\n  | ◆ stand-in asks"), "{text}");
    let printed = world.troop(&["explain", "a"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.out.contains("decided by screen rule question (priority 100): approval"), "{}", printed.out);
}

/// While an agent is `blocked`, `question` holds the rows of its dialog and then one line for each choice,
/// with its number; `*` marks the one its cursor stands on. At all other times it is empty.
#[test]
fn what_it_asks() {
    let world = World::with("a");
    assert_eq!(world.read("agents/a/question"), "");
    world.write("agents/a/prompt", "sim:ask");
    world.wait_status("a", "blocked");
    let question = world.read("agents/a/question");
    assert!(question.starts_with("Allow this command?"), "{question}");
    let choices: Vec<&str> = question.split("\n\n").last().unwrap().lines().collect();
    assert_eq!(choices.iter().map(|line| &line[..4]).collect::<Vec<_>>(), ["* 1 ", "  2 ", "  3 "], "{question}");
    let state = world.state("agents/a");
    assert!(state["parsed_surface"]["operator_blocked_excerpt"].as_str().unwrap().contains("Allow this command?"));
    assert_eq!(state["surface"]["accepting_input"], "no");
    world.write("agents/a/keys", "Down\n");
    wait_for("the cursor to move", LIMIT, || world.read("agents/a/question").contains("* 2 "));
    world.write("agents/a/keys", "Escape\n");
    wait_for("the question to go", LIMIT, || world.read("agents/a/question").is_empty());
}
