//! A headless turn whose daemon or runner is killed at every one of its effects.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::headless::{ask, launch, managed, records, turner};
use super::world::{LIMIT, World, said};
use crate::support::{wait_for, wait_until};

/// The variable that names where to die.
const CRASH_AT: &str = "TROOP_CRASH_AT";
/// A tool of that name is claude in all but its name, and its programs are told where to die as well.
const TOOL: &str = "turner";

/// What is told when something does not hold.
fn show(world: &World) -> String {
    let read = |name: &str| fs::read_to_string(world.at(format!("agents/a/{name}"))).unwrap_or_default();
    let parts = [read("history"), read("screen"), read("error")];
    format!("{}\n{:#?}", parts.join("\n"), world.received("a").len())
}

fn world_with_tool() -> World {
    let world = World::new();
    let dir = world.sandbox().home().join(".config/troop/tools");
    fs::create_dir_all(&dir).unwrap();
    let text = include_str!("../../../src/tool/claude.toml")
        .replace("name = \"claude\"", &format!("name = \"{TOOL}\""))
        .replace("inherit_env = [", &format!("inherit_env = [\"{CRASH_AT}\","))
        .replace("env = \"CLAUDE_CONFIG_DIR\"", "env = \"TURNER_HOME\"");
    fs::write(dir.join(format!("{TOOL}.toml")), text).unwrap();
    world
}

/// How often a round is tried: tmux 3.3a may end with all its sessions when a client goes that output is queued for, and
/// who is killed here is such a client.
const TRIES: usize = 6;

/// Launches the agent, has its first turn die at `point`, and gives the world with troop mounted again.
fn die_at(point: &str, in_runner: bool) -> World {
    for _ in 0..TRIES {
        let mut world = world_with_tool();
        world.mount().end(Signal::SIGTERM);
        if in_runner {
            world.set(CRASH_AT, point);
        }
        world.mount_again();
        launch_turner(&world);
        let session = tmux_session(&world).expect("a session that was just made");
        if !in_runner {
            world.mount().end(Signal::SIGTERM);
            world.set(CRASH_AT, point);
            world.mount_again();
            world.wait_status("a", "ready");
        }
        // Where the daemon dies, the write is cut off.
        let _ = fs::write(world.at("agents/a/prompt"), "sim:work=100 sim:say=the-answer");
        // What judges the turn of a runner that was killed may die at the same point.
        let over = || match fs::read_to_string(world.at("agents/a/turns/1/turn.json")) {
            Ok(text) if in_runner && serde_json::from_str::<Value>(&text).is_ok_and(|t| !t["outcome"].is_null()) => {
                Ok(())
            }
            Err(_) if fs::metadata(world.at("README")).is_err() => Ok(()),
            _ => Err(show(&world)),
        };
        wait_until(&format!("{point}: somebody to be killed"), LIMIT, over);
        world.mount().end(Signal::SIGTERM);
        world.set(CRASH_AT, "");
        if tmux_session(&world).as_ref() != Some(&session) {
            continue;
        }
        world.tmux(&["set-environment", "-t", &session, CRASH_AT, ""]);
        world.mount_again();
        return world;
    }
    panic!("{point}: tmux has ended {TRIES} times");
}

fn launch_turner(world: &World) {
    let (work, log) = (world.sandbox().work(), world.log_path("a"));
    world.write(
        "control",
        &format!(
            "launch a --tool {TOOL} --headless --cwd {} -- {} --style claude --log {}\n",
            work.display(),
            turner().display(),
            log.display()
        ),
    );
    world.wait_there("agents/a");
    world.wait_status("a", "ready");
}

fn tmux_session(world: &World) -> Option<String> {
    let listed = world.sandbox().tmux(["list-sessions", "-F", "#{session_name}"]).env_remove("TMUX").output().unwrap();
    Some(format!("={}:", String::from_utf8(listed.stdout).unwrap().lines().next()?))
}

/// Whatever was killed: the prompt was run once at most, its turn is counted once, what ended well is a success and
/// nothing else is, and the next prompt is taken.
fn check(world: &World, point: &str) {
    world.wait_status("a", "ready");
    let turn = || serde_json::from_str::<Value>(&world.read("agents/a/turns/1/turn.json")).unwrap();
    wait_until(&format!("{point}: the turn to have ended"), LIMIT, || {
        if turn()["outcome"].is_null() { Err(show(world)) } else { Ok(()) }
    });
    let runs = world.prompts("a").len();
    assert!(runs <= 1, "{point}: {}", show(world));
    let ended_well = world.received("a").iter().any(|event| event["event"] == "end");
    let outcome = turn()["outcome"].as_str().unwrap().to_owned();
    assert_eq!(outcome == "success", ended_well, "{point}: {outcome} {}", show(world));
    let answer = if ended_well { "the answer\n" } else { "" };
    assert_eq!(world.read("agents/a/reply"), answer, "{point}: {}", show(world));
    assert!(!managed(world).join("active_turn.json").exists(), "{point}: {}", show(world));
    let told = records(world);
    assert!(told.len() <= 1, "{point}: {told:#?}");
    for record in &told {
        let status = if ended_well { "completed" } else { "failed" };
        assert_eq!(record["status"], status, "{point}: {}", show(world));
    }
    let answer = ask(world, "a", "sim:say=the-next");
    assert_eq!(answer, "ready ready 2 success\nthe next\n", "{point}: {}", show(world));
    assert_eq!(world.prompts("a").len(), runs + 1, "{point}: {}", show(world));
    let told = records(world);
    assert_eq!(told.last().unwrap()["status"], "completed", "{point}: {}", show(world));
    let mut ids: Vec<&str> = told.iter().filter_map(|record| record["turn_id"].as_str()).collect();
    ids.dedup();
    assert_eq!(ids.len(), told.len());
}

#[test]
fn the_daemon_is_killed_at_every_effect() {
    for (point, runs) in [
        ("headless.directory", false),
        ("headless.active", false),
        ("headless.admitted", false),
        ("headless.started", true),
    ] {
        let world = die_at(point, false);
        check(&world, point);
        assert_eq!(world.prompts("a").len() == 2, runs, "{point}: {}", show(&world));
    }
}

#[test]
fn the_runner_is_killed_before_its_program_ends() {
    for point in ["headless.starting", "headless.spawned", "headless.registered"] {
        check(&die_at(point, true), point);
    }
}

#[test]
fn the_runner_is_killed_after_its_program_has_ended() {
    for point in [
        "headless.exited",
        "headless.exitcode",
        "headless.manifest",
        "headless.recorded",
        "headless.cleared",
        "headless.judged",
    ] {
        let world = die_at(point, true);
        check(&world, point);
        assert_eq!(world.prompts("a").len(), 2, "{point}: {}", show(&world));
    }
}

// Nobody but the runner dies, every time: nothing waits for ever.
#[test]
fn the_runner_is_always_killed() {
    let mut world = world_with_tool();
    world.mount().end(Signal::SIGTERM);
    world.set(CRASH_AT, "headless.starting");
    world.mount_again();
    launch_turner(&world);
    for turn in 1..=4 {
        world.write("agents/a/prompt", "sim:say=never");
        let told = world.sh("sh", "timeout 30 cat agents/a/wait/ready").out;
        assert_eq!(told, format!("ready ready {turn} unconfirmed\n"), "{}", show(&world));
    }
    assert_eq!(world.prompts("a"), [""; 0]);
    assert!(records(&world).iter().all(|record| record["status"] == "failed"), "{}", show(&world));
}

#[test]
fn who_interrupts_is_killed() {
    let mut world = World::new();
    launch(&world, "a", "claude");
    world.write("agents/a/prompt", "sim:work=1000 sim:say=the-answer");
    world.wait_status("a", "active");
    world.set(CRASH_AT, "headless.interrupting");
    assert_eq!(world.troop(&["interrupt", "a"]).code, None);
    world.set(CRASH_AT, "");
    // It was killed before the signal: the turn ended by itself, and well.
    let told = world.sh("sh", "timeout 30 cat agents/a/wait/ready agents/a/reply").out;
    assert_eq!(told, "ready ready 1 success\nthe answer\n", "{}", show(&world));
    assert_eq!(records(&world)[0]["status"], "completed");
}

#[test]
fn one_turn_at_a_time_for_all_processes() {
    const PROCESSES: usize = 6;
    let world = World::new();
    launch(&world, "a", "claude");
    let log = |event: &str| world.received("a").iter().filter(|known| known["event"] == event).count();
    let mut accepted = 0;
    for round in 0..3 {
        let children: Vec<_> = (0..PROCESSES)
            .map(|number| {
                let mut command = world.sandbox().command(crate::support::sandbox::troop_bin());
                command.args(["prompt", "a", &format!("sim:work=400 sim:say={round}-{number}")]);
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let told: Vec<_> = children.into_iter().map(|child| said(child.wait_with_output().unwrap())).collect();
        let codes: Vec<_> = told.iter().map(|said| said.code).collect();
        assert!(codes.iter().all(|code| [Some(0), Some(4)].contains(code)), "{told:?}\n{}", show(&world));
        let well = codes.iter().filter(|code| **code == Some(0)).count();
        assert!(well >= 1, "{told:?}");
        accepted += well;
        wait_for("the turns to end", LIMIT, || log("end") == accepted);
        world.wait_status("a", "ready");
        assert_eq!(log("prompt"), accepted, "{}", show(&world));
    }
    assert_eq!(records(&world).len(), accepted, "{}", show(&world));
    // No two at once.
    let events: Vec<String> = world.received("a").iter().map(|e| e["event"].as_str().unwrap().to_owned()).collect();
    assert!(events.chunks(2).all(|pair| pair == ["prompt", "end"]), "{events:?}");
}
