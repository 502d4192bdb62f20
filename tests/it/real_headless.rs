//! Codex, the Gemini CLI and kimi-code, as released, one process a turn, offline against the mock model server.

use crate::real_support::model::{Model, answer_to};
use crate::real_support::{World, programs, wait};
use crate::{real_codex, real_gemini, real_kimicode};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// An agent of that tool whose turns are run by that program of `.cache/real`, and its model.
fn launch(tool: &str, program: &str, prepare: fn(&mut World, &Model)) -> Option<(World, Model)> {
    let needs = ["bin/node", program];
    let real = programs("real_headless", &needs)?;
    let mut world = World::new(&[&real.join("bin")]);
    let model = Model::start(&world);
    prepare(&mut world, &model);
    world.mount();
    let argv = needs.map(|need| real.join(need).to_str().unwrap().to_owned());
    let work = world.path("work").to_str().unwrap().to_owned();
    world.troop(&["launch", "h", "--tool", tool, "--headless", "--cwd", &work, "--", &argv[0], &argv[1]]);
    world.wait_for("agents/h/status", "ready");
    Some((world, model))
}

fn headless(world: &World) -> Value {
    serde_json::from_str::<Value>(&world.read("agents/h/state.json")).unwrap_or_default()["headless"].clone()
}

/// Writes a prompt and waits for the end of its turn; gives the outcome and the answer.
fn ask(world: &World, prompt: &str) -> (String, String) {
    world.echo(prompt, "agents/h/prompt");
    let turn = || serde_json::from_str::<Value>(&world.read("agents/h/turns/last/turn.json")).unwrap_or_default();
    let outcome = || turn()["outcome"].as_str().map(str::to_owned);
    let outcome = wait("the end of a turn", outcome, || world.show("agents/h/status"));
    world.wait_for("agents/h/status", "ready");
    (outcome, world.read("agents/h/reply").trim().to_owned())
}

/// No process has the words in its arguments.
fn in_no_arguments(words: &str) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let argv = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let argv = String::from_utf8_lossy(&argv).replace('\0', " ");
        assert!(!argv.contains(words), "{argv}");
    }
}

fn two_turns_and_an_interrupt(world: &World, model: &Model) {
    let well = |reply: &str| ("success".to_owned(), reply.to_owned());
    assert_eq!(ask(world, "mock.say.hello-there"), well("hello there"), "{}", world.show("agents/h/status"));
    let session = headless(world)["session_id"].as_str().unwrap().to_owned();
    let before = model.last_id();
    assert_eq!(ask(world, "mock.say.second and more"), well("second"));
    assert_eq!(headless(world)["session_id"], session.as_str());
    // The conversation that reached the model has the first turn in it.
    let request = model.request(before, 0, "mock.say.second");
    assert!(model.body(&request).contains("hello there"));
    // It is ended while the model is silent.
    let before = model.last_id();
    // Not for long: the one after it may reach the model as one message with it.
    world.echo("mock.wait.15000", "agents/h/prompt");
    let request = model.request(before, 0, "mock.wait.15000");
    world.wait_for("agents/h/status", "active");
    in_no_arguments("mock.wait.15000");
    let child = headless(world)["child_pid"].as_i64().unwrap();
    world.echo("interrupt", "agents/h/control");
    assert_eq!(model.end_of(&request), "client_gone");
    let outcome = || world.read("agents/h/turns/3/turn.json").contains("\"interrupted\"").then_some(());
    wait("the end of the turn", outcome, || world.show("agents/h/status"));
    world.wait_for("agents/h/status", "ready");
    assert!(!Path::new(&format!("/proc/{child}")).exists());
    assert_eq!(ask(world, "mock.say.again"), well("again"), "{}", world.show("agents/h/status"));
    let (outcome, reply) = ask(world, "mock.err.400");
    assert_eq!((outcome.as_str(), reply.as_str()), ("known_failure", ""), "{}", world.show("agents/h/status"));
    assert!(headless(world)["error"].as_str().is_some_and(|error| error.contains("400")), "{}", headless(world));
}

#[test]
fn codex_runs_headless_turns() {
    let program = "codex/node_modules/.bin/codex";
    let Some((world, model)) = launch("codex", program, real_codex::prepare) else { return };
    two_turns_and_an_interrupt(&world, &model);
}

#[test]
fn the_gemini_cli_runs_headless_turns() {
    let program = "gemini/node_modules/.bin/gemini";
    let Some((world, model)) = launch("gemini", program, real_gemini::prepare) else { return };
    let manifest: Value = serde_json::from_str(&world.read("agents/h/manifest")).unwrap();
    assert_eq!(manifest["launch_plan"]["metadata"]["troop_backend"], "gemini_headless");
    two_turns_and_an_interrupt(&world, &model);
}

#[test]
fn kimi_code_runs_headless_turns() {
    let program = "kimicode/node_modules/.bin/kimi";
    let Some((world, model)) = launch("kimi", program, real_kimicode::prepare) else { return };
    let mut sessions = Vec::new();
    for words in ["some words", "other words"] {
        let before = model.last_id();
        let (outcome, reply) = ask(&world, words);
        // It is told where the prompt is; the mock reads no files.
        let request = model.request(before, 0, "troop-prompt");
        assert!(!request.prompt.contains(words), "{}", request.prompt);
        assert_eq!((outcome.as_str(), reply), ("success", answer_to(&request.prompt)));
        sessions.push(headless(&world)["session_id"].clone());
    }
    assert!(sessions[0].is_string() && sessions[0] == sessions[1], "{sessions:?}");
}
