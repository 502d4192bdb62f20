//! Agents whose turns are processes of their own.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::world::{LIMIT, World, errno};
use crate::support::{wait_for, wait_until};

/// The program that runs turns in these tests.
pub(super) fn turner() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/turner")
}

/// Launches a headless agent of that style and waits until it is ready.
#[track_caller]
pub(super) fn launch(world: &World, name: &str, style: &str) {
    let (work, log) = (world.sandbox().work(), world.log_path(name));
    let command = format!(
        "launch {name} --tool {style} --headless --cwd {} -- {} --style {style} --log {}\n",
        work.display(),
        turner().display(),
        log.display()
    );
    world.write("control", &command);
    world.wait_there(&format!("agents/{name}"));
    world.wait_status(name, "ready");
}

/// A world with one headless agent that is ready.
#[track_caller]
fn with(name: &str, style: &str) -> World {
    let world = World::new();
    launch(&world, name, style);
    world
}

pub(super) fn headless(world: &World, name: &str) -> Value {
    world.state(&format!("agents/{name}"))["headless"].clone()
}

/// Waits until the program has read its prompt, the one of that number: from then on it hears signals.
#[track_caller]
fn working(world: &World, prompts: usize) {
    wait_until("the program to have read its prompt", LIMIT, || match world.prompts("a").len() == prompts {
        true => Ok(()),
        false => Err(world.read("agents/a/history")),
    });
    world.wait_status("a", "active");
}

/// The answer to a prompt, once its turn has ended.
#[track_caller]
pub(super) fn ask(world: &World, name: &str, prompt: &str) -> String {
    world.write(&format!("agents/{name}/prompt"), prompt);
    world.sh("sh", &format!("timeout 30 cat agents/{name}/wait/ready agents/{name}/reply")).out
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// The only directory in `managed_agents`.
pub(super) fn managed(world: &World) -> PathBuf {
    let dir = world.sandbox().troop_home().join("managed_agents");
    let list = || fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect::<Vec<PathBuf>>();
    // A launch writes it after the agent is there.
    wait_for("an authority", LIMIT, || list().iter().any(|dir| dir.join("authority.json").exists()));
    let dirs = list();
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    dirs[0].clone()
}

/// Every record of a turn there, by the number of the turn.
pub(super) fn records(world: &World) -> Vec<Value> {
    let entries = fs::read_dir(managed(world).join("turns")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    // Not what is just being written.
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut all: Vec<Value> = paths.map(|path| json(&path)).collect();
    all.sort_by_key(|record| record["turn_index"].as_u64());
    all
}

/// `launch NAME --headless` (also `troop launch --headless`) makes an agent without a terminal interface, for tools whose
/// definition has a `[headless]`: each turn is a process of its own in the agent's pane, and between two nothing runs.
/// The same tree stands for it. `status` is `ready` when no turn goes on; a prompt while one does is EBUSY, whoever began
/// it; `ask`, `queue`, `wait`, `turns` and receipts work as ever, and a receipt is confirmed (`proof` is `process`) when the program
/// runs. `keys` is ENXIO. The prompt goes in by standard input or in a file: it is in no process's arguments.
#[test]
fn headless_agents() {
    let world = with("a", "claude");
    let secret = "sim:work=600 sim:say=the-answer a-word-nobody-else-has";
    world.write("agents/a/prompt", secret);
    assert!(["pending\n", "active\n"].contains(&world.read("agents/a/status").as_str()));
    world.wait_status("a", "active");
    for pid in ["runner_pid", "child_pid"].map(|key| headless(&world, "a")[key].as_i64().unwrap()) {
        // While a process becomes another program it has no arguments.
        let argv = wait_until("its arguments", LIMIT, || {
            fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|argv| !argv.is_empty()).ok_or(pid)
        });
        assert!(!String::from_utf8_lossy(&argv).contains("nobody-else"), "{argv:?}");
    }
    let (number, sentence) = world.refused("agents/a/prompt", "another");
    assert_eq!(number, libc::EBUSY, "{sentence}");
    let said = world.troop(&["prompt", "a", "another"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    assert_eq!(errno(fs::write(world.at("agents/a/keys"), "Enter\n")), libc::ENXIO);
    let told = world.sh("sh", "timeout 30 cat agents/a/wait/ready agents/a/reply");
    assert_eq!(told.out, "ready ready 1 success\nthe answer\n", "{}", world.read("agents/a/history"));
    let receipt: Value = serde_json::from_str(world.read("agents/a/delivery.jsonl").trim()).unwrap();
    assert_eq!((&receipt["stage"], &receipt["proof"]), (&"confirmed".into(), &"process".into()));
    assert_eq!(world.sh("sh", "exec 3<>agents/a/ask; echo sim:say=asked >&3; cat <&3").out, "asked\n");
    for name in ["1", "2", "3"] {
        world.write(&format!("agents/a/queue/{name}"), &format!("sim:work=50 sim:say=queued-{name}"));
    }
    wait_for("the queue to empty", LIMIT, || world.read("agents/a/reply") == "queued 3\n");
    let said = world.troop(&["prompt", "a", "sim:say=by-command"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    wait_for("its answer", LIMIT, || world.read("agents/a/reply") == "by command\n");
    let text = |prompt: &str| prompt.replace("\n", "");
    let prompts: Vec<String> = world.prompts("a").iter().map(|prompt| text(prompt)).collect();
    let queued = |n: u32| format!("sim:work=50 sim:say=queued-{n}");
    let all = [secret.to_owned(), "sim:say=asked".to_owned(), queued(1), queued(2), queued(3)];
    assert_eq!(prompts[..5], all);
    assert_eq!(prompts[5..], ["sim:say=by-command"]);
    // Nothing of the mount's environment but what the tool is given.
    let received = world.received("a");
    let names: Vec<&str> = received[0]["env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"HOUMAO_AGENT_ID") && !names.contains(&"XDG_CONFIG_HOME"), "{names:?}");
    assert!(world.read("agents/a/control").contains("stop"));
    world.write("agents/a/control", "stop\n");
    world.wait_gone("agents/a");
}

/// Each turn of a headless agent goes on with the conversation of the one before, by the program's own name for it, which
/// `state.json` has in `headless.session_id` and the session's manifest as Houmao does.
#[test]
fn the_conversation_goes_on() {
    for style in ["claude", "codex"] {
        let world = with("a", style);
        assert_eq!(headless(&world, "a")["session_id"], Value::Null);
        assert_eq!(ask(&world, "a", "sim:say=one"), "ready ready 1 success\none\n");
        let session = headless(&world, "a")["session_id"].as_str().unwrap().to_owned();
        assert_eq!(ask(&world, "a", "sim:say=two"), "ready ready 2 success\ntwo\n");
        let received: Vec<Value> = world.received("a").into_iter().filter(|event| event["event"] == "prompt").collect();
        assert_eq!(
            (&received[0]["session"], &received[1]["session"]),
            (&session.clone().into(), &session.clone().into())
        );
        let argv: Vec<&str> = received[1]["argv"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let word = if style == "claude" { "--resume" } else { "resume" };
        let at = argv.iter().position(|argument| *argument == word).unwrap_or_else(|| panic!("{argv:?}"));
        assert_eq!(argv[at + 1], session);
        assert!(!received[0]["argv"].as_array().unwrap().iter().any(|argument| *argument == word));
        let manifest = json(&world.at("agents/a/manifest"));
        assert_eq!(manifest["headless"]["session_id"], session.as_str());
        assert_eq!(
            (&manifest["headless"]["turn_index"], &manifest["backend"]),
            (&2.into(), &format!("{style}_headless").into())
        );
        // What a relaunch with a new conversation leaves: no number of turns without a session.
        let root = fs::canonicalize(world.at("agents/a/session")).unwrap();
        troop::store::conversation::select(&root, &troop::model::ChatSession::New).unwrap();
        let manifest = json(&world.at("agents/a/manifest"));
        assert_eq!(
            (&manifest["headless"]["session_id"], &manifest["headless"]["turn_index"]),
            (&Value::Null, &0.into())
        );
        assert_eq!(ask(&world, "a", "sim:say=three"), "ready ready 3 success\nthree\n");
        assert_ne!(headless(&world, "a")["session_id"], session.as_str());
        assert_eq!(headless(&world, "a")["turn_index"], 3);
        let exact = troop::model::ChatSession::Exact(session.clone());
        troop::store::conversation::select(&root, &exact).unwrap();
        assert_eq!(ask(&world, "a", "sim:say=four"), "ready ready 4 success\nfour\n");
        assert_eq!(headless(&world, "a")["session_id"], session.as_str());
        world.troop(&["stop", "a"]);
    }
}

/// `turns/N` of a headless agent has besides `stdout`, `stderr` and `exitcode`, links to the files of the process in the
/// session root, which can be read while it runs; `exitcode` appears when it has ended. `headless` in
/// `state.json` says which turn of the session root it is, which process runs it, what that does, what it exited with, and why it failed. A turn whose
/// program fails, or ends without saying that its turn is over, is `known_failure`, and has no answer.
#[test]
fn files_of_a_turn() {
    let world = with("a", "codex");
    let gate = world.sandbox().path().join("gate");
    world.write("agents/a/prompt", &format!("sim:tool=command_execution sim:gate={} sim:say=done", gate.display()));
    world.wait_status("a", "active");
    wait_for("what it does", LIMIT, || headless(&world, "a")["doing"] == "uses command_execution");
    assert_eq!(world.names("agents/a/turns/1"), ["exitcode", "prompt", "reply", "stderr", "stdout", "turn.json"]);
    assert!(world.read("agents/a/turns/1/stdout").contains("thread.started"));
    assert_eq!(errno(fs::read(world.at("agents/a/turns/1/exitcode"))), libc::ENOENT);
    fs::write(&gate, "").unwrap();
    assert_eq!(
        world.sh("sh", "timeout 30 cat agents/a/wait/ready agents/a/turns/1/exitcode").out,
        "ready ready 1 success\n0\n"
    );
    assert_eq!(ask(&world, "a", "sim:say=half sim:fail=no-such-model"), "ready ready 2 known_failure\n");
    let state = headless(&world, "a");
    assert_eq!(
        (&state["turn_index"], &state["exit_code"], &state["standing"]),
        (&2.into(), &1.into(), &"failed".into())
    );
    assert_eq!(state["error"], "the program exited with 1: no such model");
    assert_eq!(world.read("agents/a/turns/2/stderr"), "no such model\n");
    assert_eq!(ask(&world, "a", "sim:say=half sim:mute"), "ready ready 3 known_failure\n");
    assert_eq!(ask(&world, "a", "sim:exit=7"), "ready ready 4 known_failure\n");
    assert_eq!(headless(&world, "a")["error"], "the program exited with 7: told to exit");
    assert_eq!(ask(&world, "a", "sim:say=well"), "ready ready 5 success\nwell\n");
    let standings: Vec<Value> = records(&world).iter().map(|record| record["status"].clone()).collect();
    assert_eq!(standings, ["completed", "failed", "failed", "failed", "completed"]);
    // An agent with a terminal has no such files.
    world.launch("b");
    world.write("agents/b/prompt", "sim:say=x");
    world.wait_status("b", "ready");
    assert_eq!(world.names("agents/b/turns/1"), ["prompt", "reply", "turn.json"]);
    assert_eq!(world.state("agents/b")["headless"], Value::Null);
}

/// `interrupt` ends the turn of a headless agent whoever began it, also when troop was started anew since: its program, and
/// everything that has started, gets the signal that the tool takes for an interrupt, and SIGKILL when it has not ended 5
/// seconds later. The turn's outcome is `interrupted`.
#[test]
fn interrupted_from_anywhere() {
    let mut world = with("a", "claude");
    assert_eq!(world.refused("agents/a/control", "interrupt\n").0, libc::EBUSY);
    world.write("agents/a/prompt", "sim:say=half sim:work=600000");
    working(&world, 1);
    world.write("agents/a/control", "interrupt\n");
    assert_eq!(world.sh("sh", "timeout 30 cat agents/a/wait/ready agents/a/reply").out, "ready ready 1 interrupted\n");
    // By another process, after the one that began it was killed.
    world.write("agents/a/prompt", "sim:work=600000");
    working(&world, 2);
    world.mount().end(Signal::SIGKILL);
    let said = world.troop(&["interrupt", "a"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    world.mount_again();
    world.wait_status("a", "ready");
    assert_eq!(world.state("agents/a")["last_turn"]["result"], "interrupted", "{}", world.read("agents/a/history"));
    let signals = world.received("a").iter().filter(|event| event["name"] == "SIGINT").count();
    assert_eq!(signals, 2);
    // One that does not listen.
    world.write("agents/a/prompt", "sim:stubborn sim:say=half sim:work=600000");
    // From then on it hears no SIGINT.
    wait_for("it to have said something", LIMIT, || headless(&world, "a")["doing"] == "writes");
    let child = headless(&world, "a")["child_pid"].as_i64().unwrap();
    world.write("agents/a/control", "interrupt\n");
    assert_eq!(world.sh("sh", "timeout 30 cat agents/a/wait/ready").out, "ready ready 3 interrupted\n");
    assert!(!Path::new(&format!("/proc/{child}")).exists());
    assert_eq!(headless(&world, "a")["exit_code"], 137);
    // Ctrl-C of a person who looks on.
    world.write("agents/a/prompt", "sim:work=600000");
    working(&world, 4);
    world.tmux(&["send-keys", "-t", &format!("={}:", world.session("a")), "C-c"]);
    assert_eq!(world.sh("sh", "timeout 30 cat agents/a/wait/ready").out, "ready ready 4 interrupted\n");
    assert_eq!(ask(&world, "a", "sim:say=on"), "ready ready 5 success\non\n");
    let standings: Vec<Value> = records(&world).iter().map(|record| record["status"].clone()).collect();
    assert_eq!(standings, ["interrupted", "interrupted", "interrupted", "interrupted", "completed"]);
    assert!(records(&world)[1]["interrupt_requested_at_utc"].is_string());
}

/// A turn of a headless agent needs no mount and no daemon: when troop is killed it goes on, and whoever looks next
/// shows it active, or how it ended and its answer. A turn is run once and counted once, wherever troop or
/// what runs the turn was killed, and one that ended well is never shown as failed.
#[test]
fn turns_outlive_troop() {
    let mut world = with("a", "claude");
    let gate = world.sandbox().path().join("gate");
    // It still runs when troop is back.
    world.write("agents/a/prompt", &format!("sim:gate={} sim:say=first", gate.display()));
    world.wait_status("a", "active");
    world.mount().end(Signal::SIGKILL);
    world.mount_again();
    world.wait_status("a", "active");
    assert_eq!(world.refused("agents/a/prompt", "x").0, libc::EBUSY);
    fs::write(&gate, "").unwrap();
    assert_eq!(
        world.sh("sh", "timeout 30 cat agents/a/wait/ready agents/a/reply").out,
        "ready ready 1 success\nfirst\n"
    );
    // It ends while troop is away.
    for (round, (words, outcome, reply)) in
        [("sim:work=300 sim:say=second", "success", "second\n"), ("sim:work=300 sim:fail=so", "known_failure", "")]
            .into_iter()
            .enumerate()
    {
        let turn = round + 2;
        world.write("agents/a/prompt", words);
        world.wait_status("a", "active");
        world.mount().end(Signal::SIGKILL);
        wait_for("the turn to end", LIMIT, || {
            records(&world).iter().any(|record| record["turn_index"] == turn && record["status"] != "active")
        });
        world.mount_again();
        let told = world.sh("sh", "timeout 30 cat agents/a/wait/ready agents/a/reply").out;
        assert_eq!(told, format!("ready ready {turn} {outcome}\n{reply}"), "{}", world.read("agents/a/history"));
    }
    // What runs it is killed, and the program goes on by itself.
    let gate = world.sandbox().path().join("gate2");
    world.write("agents/a/prompt", &format!("sim:orphan sim:say=fourth sim:gate={}", gate.display()));
    world.wait_status("a", "active");
    let answered = || headless(&world, "a")["doing"] == "writes";
    wait_for("it to have said something", LIMIT, answered);
    let runner = headless(&world, "a")["runner_pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(runner).unwrap()), Signal::SIGKILL).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(world.read("agents/a/status"), "active\n");
    assert_eq!(world.refused("agents/a/prompt", "x").0, libc::EBUSY);
    fs::write(&gate, "").unwrap();
    let told = world.sh("sh", "timeout 30 cat agents/a/wait/ready agents/a/reply").out;
    assert_eq!(told, "ready ready 4 success\nfourth\n", "{}", world.read("agents/a/history"));
    let last = records(&world).pop().unwrap();
    assert_eq!((&last["status"], &last["returncode"]), (&"completed".into(), &Value::Null));
    assert_eq!(world.prompts("a").len(), 4);
    assert_eq!(records(&world).len(), 4);
}

/// Of each headless agent the Home has `managed_agents/<id>/` with `authority.json`, `turns/<turn-id>.json` and, while a turn
/// goes on, `active_turn.json`, in Houmao's words. They are replaced whole.
#[test]
fn managed_agents() {
    let world = with("a", "claude");
    let dir = managed(&world);
    let authority = json(&dir.join("authority.json"));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let sorted = |text: &str| {
        let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(
        keys(&authority),
        sorted(
            "tracked_agent_id backend tool manifest_path session_root tmux_session_name tmux_window_id tmux_pane_id \
             agent_def_dir agent_name agent_id created_at_utc updated_at_utc"
        )
    );
    assert_eq!((&authority["backend"], &authority["agent_name"]), (&"claude_headless".into(), &"a".into()));
    let id = authority["tracked_agent_id"].as_str().unwrap();
    assert!(id.len() == 12 && dir.ends_with(id), "{id}");
    assert!(!dir.join("active_turn.json").exists());
    world.write("agents/a/prompt", "sim:work=500 sim:say=x");
    world.wait_status("a", "active");
    let registered = || json(&dir.join("active_turn.json"))["child_pid"].is_number();
    wait_for("who runs it", LIMIT, registered);
    let active = json(&dir.join("active_turn.json"));
    assert_eq!(
        keys(&active),
        sorted(
            "tracked_agent_id turn_id turn_index turn_artifact_dir started_at_utc tmux_session_name tmux_window_name \
             tmux_window_id tmux_pane_id process_path process_started_at_utc runner_pid child_pid interrupt_requested_at_utc"
        )
    );
    assert_eq!(headless(&world, "a")["active_turn_id"], active["turn_id"]);
    world.wait_status("a", "ready");
    wait_until("it not to be active", LIMIT, || match dir.join("active_turn.json").exists() {
        true => Err("it is there"),
        false => Ok(()),
    });
    let turn = json(&dir.join("turns").join(format!("{}.json", active["turn_id"].as_str().unwrap())));
    assert_eq!(
        keys(&turn),
        sorted(
            "tracked_agent_id turn_id turn_index status started_at_utc completed_at_utc turn_artifact_dir \
             tmux_session_name tmux_window_name tmux_window_id tmux_pane_id process_path process_started_at_utc \
             runner_pid child_pid stdout_path stderr_path status_path completion_source returncode error \
             interrupt_requested_at_utc history_summary diagnostics"
        )
    );
    assert_eq!((&turn["status"], &turn["completion_source"]), (&"completed".into(), &"process_exit".into()));
    let artifacts = PathBuf::from(turn["turn_artifact_dir"].as_str().unwrap());
    assert!(artifacts.ends_with("manifest.turn-artifacts/turn-0001"));
    assert_eq!(fs::read_to_string(artifacts.join("exitcode")).unwrap(), "0\n");
    assert_eq!(keys(&json(&artifacts.join("process.json"))), ["child_pid", "launched_at_utc", "runner_pid"]);
    let canonical = fs::read_to_string(artifacts.join("canonical-events.jsonl")).unwrap();
    let kinds: Vec<Value> =
        canonical.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["progress", "assistant", "completion"]);
}
