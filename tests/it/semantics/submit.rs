//! What the submit key does to programs that take prompts in their own ways (`tests/support/clerk`).

use super::world::{LIMIT, World};
use crate::support::{Sandbox, wait_for};
use serde_json::Value;
use std::fs;
use std::path::Path;

const DEFINITION: &str = r#"
name = "clerk"
summary = "a program of the tests"
[start]
command = ["clerk"]
[process]
names = ["clerk"]
[submit]
key = "Enter"
settle_ms = 20
blank_after = '\'
[interrupt]
key = "Escape"
[ready]
start_ms = 0
[regions]
composer = '(?m)^---\n(?s:.*)\n===$'
[[rule]]
id = "working"
region = "below:composer:1"
match = '\Aworking'
shows = "active"
priority = 30
[[rule]]
id = "empty"
region = "composer"
match = '\A---\n> *\n===\z'
shows = "ready"
priority = 20
[[rule]]
id = "draft"
region = "composer"
shows = "draft"
priority = 10
[[rule]]
id = "shell"
region = "composer"
match = '\A---\n!'
shows = "shell"
priority = 5
"#;

fn world() -> World {
    let sandbox = Sandbox::new();
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("clerk.toml"), DEFINITION).unwrap();
    let world = World::mounted(sandbox, &[]);
    let clerk = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clerk");
    let work = world.sandbox().work();
    let (clerk, work) = (clerk.display(), work.display());
    world.write("control", &format!("launch a --tool clerk --cwd {work} -- {clerk} {work}/clerk.log\n"));
    world.wait_there("agents/a");
    world.wait_status("a", "ready");
    world
}

/// What it wrote down of that kind.
fn noted(world: &World, event: &str) -> Vec<String> {
    let log = fs::read_to_string(world.sandbox().work().join("clerk.log")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event).map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// Writes a prompt and gives its receipt and its turn once both are over.
fn told(world: &World, prompt: &str) -> (Value, Value) {
    let before = world.read("agents/a/delivery.jsonl").lines().count();
    world.write("agents/a/prompt", prompt);
    let turn = || serde_json::from_str::<Value>(&world.read("agents/a/turns/last/turn.json")).unwrap();
    let receipts = || world.read("agents/a/delivery.jsonl");
    wait_for("the receipt and the end", LIMIT, || receipts().lines().count() > before && !turn()["outcome"].is_null());
    world.wait_status("a", "ready");
    (serde_json::from_str(receipts().lines().last().unwrap()).unwrap(), turn())
}

#[test]
fn a_command_that_stays_in_the_composer_is_submitted_once() {
    let world = world();
    let (receipt, turn) = told(&world, "/nosuch thing");
    assert_eq!((&receipt["stage"], &receipt["presses"]), (&"unconfirmed".into(), &1.into()), "{receipt}");
    assert!(receipt["submitted_at"].is_string() && receipt["reason"].as_str().unwrap().contains("keys"), "{receipt}");
    assert_eq!(turn["outcome"], "unconfirmed");
    assert_eq!(noted(&world, "enter"), ["/nosuch thing"]);
    // What is left there is never joined to another prompt.
    let (number, sentence) = world.refused("agents/a/prompt", "next");
    assert!(number == libc::EBUSY && sentence.contains("unsent text"), "{number} {sentence}");
    world.write("agents/a/keys", "C-u\n");
    wait_for("an empty composer", LIMIT, || world.state("agents/a")["surface"]["editing_input"] == "no");
    let (receipt, turn) = told(&world, "next");
    assert_eq!((&receipt["stage"], &turn["outcome"]), (&"confirmed".into(), &"success".into()));
    assert_eq!(noted(&world, "prompt"), ["next"]);
}

#[test]
fn a_command_of_the_shell_is_not_confirmed() {
    let world = world();
    let (receipt, turn) = told(&world, "!true");
    assert_eq!(receipt["stage"], "unconfirmed", "{receipt}");
    assert!(receipt["reason"].as_str().unwrap().contains("shell"), "{receipt}");
    assert_eq!((&turn["outcome"], world.read("agents/a/reply").trim()), (&"unconfirmed".into(), ""));
    let (receipt, turn) = told(&world, "and now a prompt");
    assert_eq!((&receipt["stage"], &turn["outcome"]), (&"confirmed".into(), &"success".into()));
    assert_eq!(noted(&world, "enter").len(), 2);
    assert_eq!(noted(&world, "prompt"), ["and now a prompt"]);
}

#[test]
fn a_prompt_that_ends_in_a_backslash_arrives() {
    let world = world();
    let (receipt, _) = told(&world, "a path like C:\\");
    assert_eq!((&receipt["stage"], &receipt["presses"]), (&"confirmed".into(), &1.into()), "{receipt}");
    assert_eq!(noted(&world, "prompt"), ["a path like C:\\"]);
}

#[test]
fn a_key_that_was_swallowed_is_pressed_again() {
    let world = world();
    let (receipt, _) = told(&world, "swallow this");
    assert_eq!((&receipt["stage"], &receipt["presses"]), (&"confirmed".into(), &2.into()), "{receipt}");
    assert_eq!(noted(&world, "prompt"), ["swallow this"]);
}
