//! How agents come back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::stop::{plant_joined, record_of, running, stop_at_last, troop_dies_at};
use super::world::{LIMIT, World, said};
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_for, wait_until};

const STAND_IN: &str = include_str!("../../../src/tool/stand-in.toml");
const BY_ARGUMENT: &str = "method = \"native_append_system_prompt\"\nargs = [\"--role\", \"{role}\"]";

/// A world with the tools `teller`, a stand-in that is told its role by an argument, and `typist`, one that is told it as its
/// first prompt; each logs to `NAME.log` what it receives, as the agent of its tool's name.
fn world() -> World {
    let sandbox = Sandbox::new();
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    for name in ["teller", "typist"] {
        let log = sandbox.path().join(format!("{name}.log"));
        let command = format!("[\"{{troop}}\", \"stand-in\", \"--pace\", \"1\", \"--log\", {log:?}]");
        let text = STAND_IN.replace("name = \"stand-in\"", &format!("name = {name:?}"));
        let mut text = text.replace("[\"{troop}\", \"stand-in\"]", &command);
        assert!(text.contains(BY_ARGUMENT) && text.contains("--log"));
        if name == "typist" {
            text = text.replace(BY_ARGUMENT, "method = \"bootstrap_message\"");
        }
        fs::write(tools.join(format!("{name}.toml")), text).unwrap();
    }
    fs::write(sandbox.path().join("critic.md"), "You are the critic.\n").unwrap();
    World::mounted(sandbox, &[])
}

#[track_caller]
fn launch(world: &World, name: &str, options: &str) {
    let role = world.sandbox().path().join("critic.md");
    let line = format!("launch {name} --tool {name} --role {} {options}\n", role.display());
    world.write("control", &line);
    world.wait_status(name, "ready");
}

/// What the last of that many programs was told at its start: the conversation and the role.
#[track_caller]
fn told(world: &World, name: &str, starts: usize) -> (Value, Value) {
    let events = |kind: &str| -> Vec<Value> {
        world.received(name).into_iter().filter(|event| event["event"] == kind).collect()
    };
    wait_until("its program to start", LIMIT, || {
        let count = events("start").len();
        if count == starts { Ok(()) } else { Err(count) }
    });
    let lines = world.received(name);
    let last = lines.iter().rposition(|event| event["event"] == "start").unwrap();
    let told = lines[last..].iter().chain(lines[..last].last()).find(|event| event["event"] == "told");
    told.map_or((Value::Null, Value::Null), |told| (told["resume"].clone(), told["role"].clone()))
}

/// `relaunch` starts an agent's program again, with what its manifest says of its launch: its command line, directory, home,
/// variables and role. `relaunch` or `relaunch new` gives it a new conversation, `relaunch last` its last one, `relaunch exact
/// ID` the one that the program itself calls so; a program that cannot go on with one is ENXIO. In a session that is there it
/// starts in the same pane, as the same generation. A turn that was going on is lost; history and turns go on. A role that is
/// typed as the first prompt is typed into new conversations alone.
#[test]
fn relaunching_a_live_agent() {
    let world = world();
    launch(&world, "teller", "--env SECRET=of-mine");
    world.write("agents/teller/prompt", "sim:say=one");
    world.next_prompt("teller", 0);
    let (before, session) = (record_of(world.sandbox(), "teller"), world.session("teller"));
    let pane = |what: &str| world.tmux(&["display-message", "-p", "-t", &format!("={session}:"), what]);
    let role = json!("You are the critic.");
    let mut pids = vec![pane("#{pane_pid}")];
    let verbs = [("relaunch", Value::Null), ("relaunch last", json!("last")), ("relaunch exact abc-1", json!("abc-1"))];
    for (round, (verb, resume)) in verbs.into_iter().enumerate() {
        let turns = world.names("agents/teller/turns").len();
        world.write("agents/teller/prompt", "sim:work=600000");
        world.wait_status("teller", "active");
        world.write("agents/teller/control", &format!("{verb}\n"));
        assert_eq!(told(&world, "teller", round + 2), (resume, role.clone()), "{verb}");
        world.wait_status("teller", "ready");
        assert_eq!(running(&world, "teller"), 1, "{verb}");
        assert!(!pids.contains(&pane("#{pane_pid}")));
        pids.push(pane("#{pane_pid}"));
        let environ = fs::read(format!("/proc/{}/environ", pids[round + 1].trim())).unwrap();
        assert!(String::from_utf8_lossy(&environ).contains("\0SECRET=of-mine\0"));
        let prompts = world.prompts("teller").len();
        world.write("agents/teller/prompt", "sim:say=two");
        world.next_prompt("teller", prompts);
        assert_eq!(world.names("agents/teller/turns").len(), turns + 2);
        let lost = world.read(&format!("agents/teller/turns/{turns}/turn.json"));
        assert!(lost.contains("\"lost\""), "{lost}");
    }
    let after = record_of(world.sandbox(), "teller");
    for key in ["agent_id", "generation_id", "runtime", "terminal"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(after["lifecycle"]["state"], "active");
    assert_eq!(world.history("agents/teller").iter().filter(|event| event["event"] == "relaunched").count(), 3);

    launch(&world, "typist", "");
    for (round, (verb, typed)) in [("relaunch", 2), ("relaunch last", 2), ("relaunch new", 3)].into_iter().enumerate() {
        world.write("agents/typist/control", &format!("{verb}\n"));
        told(&world, "typist", round + 2);
        world.wait_status("typist", "ready");
        let roles = || world.prompts("typist").iter().filter(|prompt| *prompt == "You are the critic.").count();
        wait_for("its role", LIMIT, || roles() == typed);
    }
    assert_eq!(world.prompts_until_fence("typist").len(), 3);

    for (verb, number) in
        [("relaunch exact", libc::EINVAL), ("relaunch exact -x", libc::EINVAL), ("relaunch it", libc::EINVAL)]
    {
        assert_eq!(world.refused("agents/teller/control", &format!("{verb}\n")).0, number, "{verb}");
    }
    world.write("control", "launch plain --tool generic -- sleep 600\n");
    world.wait_there("agents/plain");
    let (number, error) = world.refused("agents/plain/control", "relaunch last\n");
    assert!(number == libc::ENXIO && error.contains("cannot go on"), "{number}: {error}");
    assert_eq!(running(&world, "teller"), 1);
}

/// A stopped agent, and one whose session is gone, comes back in a new tmux session and as a new generation, with the id, the
/// session root, the home and the history it had. `troop relaunch NAME [--resume last|ID]` does the same without a mount, from
/// nothing but what is on disk.
#[test]
fn relaunching_a_stopped_agent() {
    let mut world = world();
    launch(&world, "teller", "--env SECRET=of-mine");
    world.write("agents/teller/prompt", "sim:say=one");
    world.next_prompt("teller", 0);
    let first = record_of(world.sandbox(), "teller");
    world.write("agents/teller/control", "stop\n");
    world.write("stopped/teller/control", "relaunch last\n");
    assert_eq!((world.names("agents"), world.names("stopped").len()), (vec!["teller".to_owned()], 0));
    assert_eq!(told(&world, "teller", 2), (json!("last"), json!("You are the critic.")));
    world.wait_status("teller", "ready");
    assert_eq!(world.names("agents/teller/turns"), ["1", "last"]);
    let second = record_of(world.sandbox(), "teller");
    for key in ["agent_id", "runtime"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    assert_ne!(first["generation_id"], second["generation_id"]);
    assert_ne!(first["terminal"], second["terminal"]);
    let manifest: Value = serde_json::from_str(&world.read("agents/teller/manifest")).unwrap();
    assert_eq!(manifest["registry_generation_id"], second["generation_id"]);
    assert_eq!(manifest["tmux"]["session_name"], second["terminal"]["current_session_name"]);

    // Nobody is there any more but the disk.
    let session = world.session("teller");
    world.mount().end(Signal::SIGKILL);
    world.tmux(&["kill-server"]);
    assert_eq!(world.troop(&["relaunch", "teller", "--resume", "x1"]).code, Some(0));
    assert_eq!(told(&world, "teller", 3).0, json!("x1"));
    assert_eq!(world.troop(&["prompt", "teller", "sim:say=two"]).code, Some(0));
    assert_eq!(world.troop(&["stop", "teller"]).code, Some(0));
    assert_eq!(running(&world, "teller"), 0);
    assert_eq!(world.troop(&["relaunch", "teller"]).code, Some(0));
    world.mount_again();
    world.wait_status("teller", "ready");
    assert_ne!(world.session("teller"), session);
    assert_eq!(world.names("agents/teller/turns"), ["1", "2", "last"]);
    let kinds: Vec<Value> = world.history("agents/teller").iter().map(|event| event["event"].clone()).collect();
    for kind in ["launched", "stopped", "relaunched"] {
        assert!(kinds.contains(&json!(kind)), "no {kind} in {kinds:?}");
    }
}

/// A relaunch that fails says why, and leaves the agent stopped as it was; it can be tried again.
#[test]
fn a_relaunch_that_fails() {
    let world = World::new();
    let program = world.sandbox().work().join("agent.sh");
    let write = |text: &str| {
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("#!/bin/sh\nexec sleep 600\n");
    world.write("control", &format!("launch a --tool generic -- {}\n", program.display()));
    world.wait_there("agents/a");
    world.write("agents/a/control", "stop\n");
    fs::rename(&program, program.with_extension("away")).unwrap();
    let (number, error) = world.refused("stopped/a/control", "relaunch\n");
    assert!(number == libc::ENOENT && error.contains("agent.sh"), "{number}: {error}");
    let state = || record_of(world.sandbox(), "a")["lifecycle"]["state"].clone();
    assert_eq!((state(), world.names("stopped")), (json!("stopped"), vec!["a".to_owned()]));
    write("#!/bin/sh\nexec sleep 600\n");
    world.write("stopped/a/control", "relaunch\n");
    assert_eq!((state(), world.names("agents")), (json!("active"), vec!["a".to_owned()]));
}

/// An agent that Houmao has launched or joined is relaunched from what Houmao has written: executable, arguments, home, the
/// file with its credentials, and its system prompt. One that was joined without any options for a launch is not (ENXIO).
#[test]
fn relaunching_an_agent_of_houmao() {
    let world = World::new();
    let (work, bin) = (world.sandbox().work(), world.sandbox().path().join("bin"));
    fs::create_dir(&bin).unwrap();
    let program = bin.join("claude");
    let text = "#!/bin/sh\nprintf '%s\\n' \"$@\" > $CLAUDE_CONFIG_DIR/args.tmp\nenv > $CLAUDE_CONFIG_DIR/env.tmp\n\
                mv $CLAUDE_CONFIG_DIR/args.tmp $CLAUDE_CONFIG_DIR/args\nmv $CLAUDE_CONFIG_DIR/env.tmp $CLAUDE_CONFIG_DIR/env\nexec sleep 600\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (home, variables) = (world.sandbox().path().join("theirs"), work.join("vars.env"));
    fs::create_dir(&home).unwrap();
    fs::write(&variables, "# theirs\nexport ANTHROPIC_API_KEY='sk-fake'\nOTHER=not-named\n").unwrap();
    let sample = include_str!("../../data/houmao/samples/claude_local_interactive_stopped/manifest.json");
    let mut manifest: Value = serde_json::from_str(&sample.replace("$PROJECT", work.to_str().unwrap())).unwrap();
    let plan = &mut manifest["launch_plan"];
    plan["executable"] = json!(program);
    plan["home_selector"]["home_path"] = json!(home);
    plan["metadata"]["env_source_file"] = json!(variables);
    let root = world.sandbox().path().join("foreign/session");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("manifest.json"), manifest.to_string()).unwrap();
    let sample = include_str!("../../data/houmao/samples/claude_local_interactive_stopped/record.json");
    let mut record: Value = serde_json::from_str(sample).unwrap();
    let id = record["agent_id"].as_str().unwrap().to_owned();
    record["runtime"] =
        json!({ "agent_def_dir": null, "manifest_path": root.join("manifest.json"), "session_root": root });
    world.plant_bytes(&id, record.to_string().as_bytes());
    world.wait_there("stopped/gpu");
    world.write("stopped/gpu/control", "relaunch last\n");
    let read = |name: &str| wait_until(name, LIMIT, || fs::read_to_string(home.join(name)));
    let args = read("args");
    assert!(args.starts_with("--dangerously-skip-permissions\n--continue\n--append-system-prompt\n"), "{args}");
    assert!(args.contains("<houmao_system_prompt"), "{args}");
    let env = read("env");
    for line in ["ANTHROPIC_API_KEY=sk-fake", &format!("CLAUDE_CONFIG_DIR={}", home.display()), "HOUMAO_TOOL=claude"] {
        assert!(env.lines().any(|seen| seen == line), "no {line} in {env}");
    }
    assert!(env.contains("HOUMAO_AGENT_MEMO_FILE=") && !env.contains("OTHER="), "{env}");
    let back = record_of(world.sandbox(), "gpu");
    assert_eq!((&back["lifecycle"]["state"], &back["agent_id"]), (&json!("active"), &json!(id)));

    // Joined, with options: in a session of its own, once the one where it was joined is gone.
    world.tmux(&["new-session", "-d", "-s", "mine", "sleep 600"]);
    let root = plant_joined(&world, "j", "mine", |manifest| {
        manifest["agent_launch_authority"]["posture_kind"] = json!("tui_launch_options");
        manifest["agent_launch_authority"]["launch_args"] = json!(["--mode", "two words"]);
        manifest["agent_launch_authority"]["launch_env"] = json!([{ "mode": "literal", "name": "CLAUDE_CONFIG_DIR", "value": home }, { "mode": "inherit", "name": "LANG" }]);
        manifest["launch_plan"]["executable"] = json!(program);
    });
    let (number, error) = world.refused("agents/j/control", "relaunch\n");
    assert!(number == libc::ENXIO && error.contains("somebody's own"), "{number}: {error}");
    fs::remove_file(home.join("args")).unwrap();
    world.tmux(&["kill-session", "-t", "=mine"]);
    world.write("agents/j/control", "relaunch\n");
    assert_eq!(read("args"), "--mode\ntwo words\n");
    let session = record_of(world.sandbox(), "j")["terminal"]["current_session_name"].as_str().unwrap().to_owned();
    world.write("agents/j/control", "stop --force\n");
    assert!(
        !said(world.sandbox().tmux(["has-session", "-t", &format!("={session}")]).output().unwrap()).err.is_empty()
    );
    assert!(root.join("manifest.json").exists());
}

/// Everything a relaunch does, in order.
const POINTS: [&str; 5] =
    ["relaunch.ended", "relaunch.published", "relaunch.manifest", "relaunch.spawned", "relaunch.returned"];

/// A relaunch that is cut off at any moment, by SIGKILL of whoever does it, leaves a record that says `relaunching` or what it
/// said before. There is never a program without a live record, nor two of them; the agent can be stopped or
/// relaunched at once, and what is left alone is settled after 15 s by what is there.
#[test]
fn a_relaunch_that_is_cut_off() {
    for from in ["stopped", "agents"] {
        for point in POINTS {
            if from == "agents" && point == "relaunch.manifest" {
                continue;
            }
            for end in ["stop", "relaunch"] {
                cut_off(from, point, end, true);
            }
            cut_off(from, point, "relaunch", false);
        }
    }
}

#[track_caller]
fn cut_off(from: &str, point: &str, end: &str, by_command: bool) {
    let case = format!("{from} {point} {end} {by_command}");
    let mut sandbox = Sandbox::new();
    if !by_command {
        sandbox.set("TROOP_CRASH_AT", point);
    }
    let mut world = World::mounted(sandbox, &[]);
    world.launch("a");
    if from == "stopped" {
        world.write("agents/a/control", "stop\n");
    }
    if by_command {
        world.mount().end(Signal::SIGTERM);
        troop_dies_at(&world, point, &["relaunch", "a"]);
    } else {
        let written = fs::write(world.at(format!("{from}/a/control")), "relaunch\n");
        assert!(written.is_err(), "{case}: it was done");
        world.mount().end(Signal::SIGCONT);
    }
    let count = running(&world, "a");
    let state = record_of(world.sandbox(), "a")["lifecycle"]["state"].as_str().unwrap().to_owned();
    assert!(
        count <= 1 && (count == 0 || ["active", "relaunching"].contains(&state.as_str())),
        "{case}: {count} {state}"
    );
    if end == "stop" && state != "stopped" {
        let stopped = stop_at_last(&world, "a");
        assert_eq!((stopped.code, running(&world, "a")), (Some(0), 0), "{case}: {stopped:?}");
    }
    let mut again = world.sandbox().command(troop_bin());
    let again = said(again.args(["relaunch", "a"]).env_remove("TROOP_CRASH_AT").output().unwrap());
    assert_eq!((again.code, running(&world, "a")), (Some(0), 1), "{case}: {again:?}");
    assert_eq!(record_of(world.sandbox(), "a")["lifecycle"]["state"], "active", "{case}");
}

#[test]
fn its_home_is_the_one_it_was_launched_with() {
    let mut sandbox = Sandbox::new();
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    let tool = include_str!("../../../src/tool/generic.toml").replace("\"generic\"", "\"settled\"");
    fs::write(tools.join("settled.toml"), format!("{tool}\n[home]\nenv = \"SETTLED_HOME\"\n")).unwrap();
    let program = sandbox.work().join("says.sh");
    fs::write(&program, "env | grep HOME= | sort > $0.tmp; mv $0.tmp $0.said; exec sleep 600\n").unwrap();
    let said = sandbox.work().join("says.sh.said");
    let homes = || {
        let text = wait_until("its homes", LIMIT, || fs::read_to_string(&said));
        fs::remove_file(&said).unwrap();
        text
    };
    for given in [false, true] {
        if given {
            sandbox.set("SETTLED_HOME", "/own");
        }
        let troop = |args: &[&str]| assert_eq!(super::world::said(sandbox.troop(args).output().unwrap()).code, Some(0));
        troop(&["launch", "a", "--tool", "settled", "--", "/bin/sh", program.to_str().unwrap()]);
        let first = homes();
        assert_eq!(first.contains("SETTLED_HOME=/own\n"), given, "{first}");
        troop(&["relaunch", "a"]);
        assert_eq!(homes(), first);
        troop(&["stop", "a"]);
        troop(&["relaunch", "a"]);
        assert_eq!(homes(), first);
        troop(&["stop", "a"]);
        troop(&["retire", "a"]);
    }
}
