//! How agents end, and how they are let go.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::world::{LIMIT, Said, World, said};
use crate::support::leaks::processes_in;
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_for, wait_until};

/// A script in the sandbox, as the words of a launch.
fn script(world: &World, name: &str, text: &str) -> String {
    let path = world.sandbox().work().join(name);
    fs::write(&path, text).unwrap();
    format!("/bin/sh {}", path.display())
}

/// Runs troop and has it die at that point, as SIGKILL would have it.
#[track_caller]
pub fn troop_dies_at(world: &World, point: &str, args: &[&str]) {
    let mut command = world.sandbox().command(troop_bin());
    let output = command.args(args).env("TROOP_CRASH_AT", point).output().unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(killed, Some(9), "{point}: {:?}", said(output));
}

/// The record of the agent with that name.
#[track_caller]
pub fn record_of(sandbox: &Sandbox, name: &str) -> Value {
    let records = fs::read_dir(sandbox.registry().join("live_agents")).unwrap();
    let records = records
        .filter_map(|dir| serde_json::from_slice::<Value>(&fs::read(dir.ok()?.path().join("record.json")).ok()?).ok());
    records.into_iter().find(|record| record["agent_name"] == name).unwrap_or_else(|| panic!("no record of {name}"))
}

/// How many stand-ins run that log as the agent of that name.
pub fn running(world: &World, name: &str) -> usize {
    let log = format!("--log {}", world.log_path(name).display());
    let is_its = |command: &str| command.contains(" stand-in ") && command.contains(&log) && !command.contains("tmux");
    processes_in(world.sandbox().path()).iter().filter(|process| is_its(&process.command)).count()
}

fn alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // What has ended and was not waited for is a zombie.
    state.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn the_end_of_one_is_not_the_end_of_all() {
    let mut world = World::with("other");
    // What codex asks its terminal, and what a program takes back only when it ends by itself.
    let text = "printf '\\nworking\\033[?1004h\\n'; exec sleep 600\n";
    for name in ["stopped", "killed", "relaunched"] {
        let program = script(&world, "focus.sh", text);
        let args = ["launch", name, "--tool", "generic", "--"];
        assert_eq!(world.troop(&args.into_iter().chain(program.split(' ')).collect::<Vec<_>>()).code, Some(0));
        wait_for("its words", LIMIT, || world.read(&format!("agents/{name}/screen")).contains("working"));
    }
    let server = world.tmux(&["display-message", "-p", "#{pid}"]);
    world.write("agents/stopped/control", "stop\n");
    let pid = world.state("agents/killed")["probe_snapshot"]["pane_pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    world.wait_status("killed", "down");
    wait_for("its last words", LIMIT, || world.read("agents/killed/screen").contains("working"));
    assert_eq!(world.troop(&["explain", "killed"]).code, Some(0));
    world.write("agents/relaunched/control", "relaunch\n");
    world.mount().end(Signal::SIGTERM);
    world.mount_again();
    world.wait_status("killed", "down");
    world.wait_status("other", "ready");
    world.write("agents/killed/control", "stop --force\n");
    world.wait_status("other", "ready");
    assert_eq!(world.tmux(&["display-message", "-p", "#{pid}"]), server);
}

/// `stop` ends an agent's program with everything that it has started, also what went to a session or a process group
/// of its own or was left by its parent, and the tmux session. Programs are asked to end with SIGTERM, and killed two
/// seconds later; `stop --force` kills them at once. The write returns when the agent is in `stopped/`, where its record says
/// why it ended. A tmux server that an agent has started goes on with what runs in it, and so does a session that is not the
/// agent's, even when it has the name of one, and what serves all agents of a tool, which its definition says (`shared`).
#[test]
fn stopping_an_agent() {
    let world = World::new();
    let text = "setsid sh -c 'echo $$ > setsid.pid; exec sleep 600' &\n\
                sh -c 'setsid sh -c \"echo \\$\\$ > orphan.pid; exec sleep 600\" &'\n\
                sh -c 'trap \"\" TERM HUP; echo $$ > deaf.pid; while :; do sleep 1; done' &\n\
                trap 'echo asked > asked; exit 0' TERM\n\
                echo $$ > first.pid\n\
                while :; do sleep 0.1; done\n";
    let names = ["setsid", "orphan", "deaf", "first"];
    let pids = |world: &World| {
        let pid = |name: &str| {
            let path = world.sandbox().work().join(format!("{name}.pid"));
            let text = wait_until("its programs", LIMIT, || {
                fs::read_to_string(&path)
                    .map_err(|error| error.to_string())
                    .and_then(|text| if text.ends_with('\n') { Ok(text) } else { Err("not yet whole".to_owned()) })
            });
            fs::remove_file(path).unwrap();
            text.trim().to_owned()
        };
        names.map(pid)
    };
    for (verb, is_asked) in [("stop", true), ("stop --force", false)] {
        world.launch_program("a", &script(&world, "family.sh", text));
        let pids = pids(&world);
        assert!(pids.iter().all(|pid| alive(pid)), "{pids:?}");
        let session = world.session("a");
        world.write("agents/a/control", &format!("{verb}\n"));
        assert_eq!((world.names("agents"), world.names("stopped")), (vec![], vec!["a".to_owned()]));
        for (name, pid) in names.iter().zip(&pids) {
            assert!(!alive(pid), "{verb}: {name}, {pid}, goes on");
        }
        assert_eq!(world.sandbox().work().join("asked").exists(), is_asked);
        let record = record_of(world.sandbox(), "a");
        assert_eq!(record["lifecycle"]["stop_reason"], "operator_stop");
        assert_eq!(record["terminal"]["last_session_name"].as_str(), Some(session.as_str()));
        let listed = said(world.sandbox().tmux(["list-sessions", "-F", "#S"]).output().unwrap());
        assert!(!listed.out.contains(&session), "{listed:?}");
        let _ = fs::remove_file(world.sandbox().work().join("asked"));
        fs::remove_dir(world.at("stopped/a")).unwrap();
        world.wait_gone("stopped/a");
    }
}

#[test]
fn what_an_agent_started_elsewhere_goes_on() {
    let world = World::new();
    let socket = world.sandbox().path().join("theirs.sock");
    let text = format!("tmux -f /dev/null -S {} new-session -d 'sleep 600'\nexec sleep 600\n", socket.display());
    world.launch_program("a", &script(&world, "starts.sh", &text));
    let theirs =
        || said(world.sandbox().tmux(["-S", socket.to_str().unwrap(), "list-sessions"]).output().unwrap()).code;
    wait_for("their server", LIMIT, || theirs() == Some(0));
    world.write("agents/a/control", "stop\n");
    assert_eq!(theirs(), Some(0));

    // Another session has the name of the agent's by now.
    world.launch("b");
    let session = world.session("b");
    let own = format!("={session}");
    world.tmux(&["new-session", "-d", "-s", "keep", "sleep 600"]);
    world.tmux(&["kill-session", "-t", &own]);
    world.wait_status("b", "gone");
    world.tmux(&["new-session", "-d", "-s", &session, "sleep 601"]);
    assert_eq!(world.troop(&["stop", "b"]).code, Some(0));
    world.tmux(&["has-session", "-t", &own]);
    world.wait_there("stopped/b");
}

#[test]
fn what_serves_others_goes_on() {
    let sandbox = Sandbox::new();
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    let tool = include_str!("../../../src/tool/generic.toml").replace("\"generic\"", "\"pair\"");
    let tool = tool.replace("[process]\n", "[process]\nshared = [\"app-server\"]\n");
    assert!(tool.contains("\"pair\"") && tool.contains("shared"));
    fs::write(tools.join("pair.toml"), tool).unwrap();
    let world = World::mounted(sandbox, &[]);
    script(&world, "server.sh", "sleep 601 &\necho $$ $! > server.pids\nwait\n");
    let text = "setsid sh server.sh app-server &\nsleep 602 &\necho $! > own.pids\nwait\n";
    let first = script(&world, "first.sh", text);
    let args = ["launch", "a", "--tool", "pair", "--"];
    assert_eq!(world.troop(&args.into_iter().chain(first.split(' ')).collect::<Vec<_>>()).code, Some(0));
    let pids = |name: &str| fs::read_to_string(world.sandbox().work().join(name)).unwrap_or_default();
    wait_for("the server", LIMIT, || pids("server.pids").ends_with('\n') && pids("own.pids").ends_with('\n'));
    let (server, own) = (pids("server.pids"), pids("own.pids"));
    world.write("agents/a/control", "relaunch\n");
    assert!(!alive(own.trim()), "{own}");
    world.write("agents/a/control", "stop\n");
    assert!(server.split_whitespace().all(alive), "{server}");
}

#[test]
fn an_agent_stops_itself() {
    let world = World::new();
    let text = format!("{} stop a > said 2>&1\n", troop_bin().display());
    world.launch_program("a", &script(&world, "self.sh", &format!("while ! [ -e go ]; do sleep 0.1; done\n{text}")));
    fs::write(world.sandbox().work().join("go"), "").unwrap();
    let said = || fs::read_to_string(world.sandbox().work().join("said"));
    wait_until("it to be stopped", LIMIT, || fs::symlink_metadata(world.at("stopped/a")).map_err(|_| said()));
    assert_eq!(record_of(world.sandbox(), "a")["lifecycle"]["stop_reason"], "operator_stop");
}

/// A record and a manifest of an agent that was joined where it ran, in a session of that name.
pub fn plant_joined(world: &World, name: &str, session: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let place = world.tmux(&["display-message", "-p", "-t", &format!("={session}:"), "#{window_id} #{pane_id}"]);
    let (window, pane) = place.trim().split_once(' ').unwrap();
    let sample = include_str!("../../data/houmao/samples/joined_tmux_stopped/manifest.json");
    let id = format!("{name}{name}{name}{name}");
    let text = sample.replace("5a5775659272c3a920e34ecc8872dc97", &id).replace("joined1", name);
    let text = text.replace("\"mywork\"", &format!("{session:?}")).replace("\"%0\"", &format!("{pane:?}"));
    let text = text.replace("\"@0\"", &format!("{window:?}"));
    let work = world.sandbox().work();
    let mut manifest: Value = serde_json::from_str(&text.replace("$PROJECT", work.to_str().unwrap())).unwrap();
    let generation = format!("generation-of-{id}");
    manifest["registry_generation_id"] = json!(generation);
    manifest["runtime"]["registry_generation_id"] = json!(generation);
    manifest["backend_state"]["tmux_session_name"] = json!(session);
    change(&mut manifest);
    let root = world.sandbox().path().join("foreign").join(&id);
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("manifest.json"), manifest.to_string()).unwrap();
    let mut record = super::record(&id, name, session, world.sandbox().path());
    record["identity"]["tool"] = manifest["tool"].clone();
    world.plant_bytes(&id, record.to_string().as_bytes());
    world.wait_there(&format!("agents/{name}"));
    root
}

/// A session that was joined is somebody's own: `stop` leaves it and what runs in it as they are, and only the record
/// says that the agent is stopped. How its program is started nobody knows, so `relaunch` is ENXIO.
#[test]
fn a_joined_session_is_left() {
    let world = World::new();
    world.tmux(&["new-session", "-d", "-s", "mine", "sleep 600"]);
    let before = world.tmux(&["list-panes", "-s", "-t", "=mine", "-F", "#{pane_id} #{pane_pid} #{pane_dead}"]);
    plant_joined(&world, "j", "mine", |_| {});
    for directory in ["agents/j", "stopped/j"] {
        let (number, error) = world.refused(&format!("{directory}/control"), "relaunch\n");
        assert!(number == libc::ENXIO && error.contains("was joined where it ran"), "{number}: {error}");
        if directory == "agents/j" {
            world.write("agents/j/control", "stop --force\n");
        }
    }
    assert_eq!(world.names("stopped"), ["j"]);
    assert_eq!(world.tmux(&["list-panes", "-s", "-t", "=mine", "-F", "#{pane_id} #{pane_pid} #{pane_dead}"]), before);
}

/// `close` lets go of an agent: its program goes on as it was, in its session, and troop has nothing to do with it any
/// more. It is not listed, its name is free, and its record is retired, so that nobody starts it a second time beside itself.
#[test]
fn closing_an_agent() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    let session = world.session("a");
    let pid = world.tmux(&["display-message", "-p", "-t", &format!("={session}:"), "#{pane_pid}"]);
    world.write("agents/a/control", "close\n");
    assert_eq!((world.names("agents").len(), world.names("stopped").len()), (0, 0));
    let pane = world.tmux(&["display-message", "-p", "-t", &format!("={session}:"), "#{pane_pid} #{pane_dead}"]);
    assert_eq!(pane, format!("{} 0\n", pid.trim()));
    let record = record_of(world.sandbox(), "a");
    assert_eq!(
        (&record["lifecycle"]["state"], &record["lifecycle"]["stop_reason"]),
        (&json!("retired"), &json!("operator_close"))
    );
    assert_eq!(world.troop(&["close", "a"]).code, Some(5));
    assert_eq!(world.troop(&["relaunch", "a"]).code, Some(5));
    // Its name is free, and without the mount it is the same.
    world.launch("a");
    world.wait_status("a", "ready");
    assert_eq!(world.troop(&["close", "a"]).code, Some(0));
    world.wait_gone("agents/a");
    assert_eq!(running(&world, "a"), 2);
}

/// A gateway of Houmao that serves an agent ends with it, when its session says which process that is and that process is
/// one. Where it cannot be told from another program it is left, and `error` says so.
#[test]
fn its_gateway_ends_with_it() {
    let world = World::with("a");
    let root = fs::read_link(world.at("agents/a/session")).unwrap();
    let start = |argument: &str, root: &std::path::Path| {
        let mut gateway = world.sandbox().command("sh");
        gateway.args(["-c", "while :; do sleep 0.1; done", "-m", argument, "--gateway-root"]).arg(root.join("gateway"));
        gateway.spawn().unwrap()
    };
    fs::create_dir_all(root.join("gateway/run")).unwrap();
    let name = |pid: u32| fs::write(root.join("gateway/run/current-instance.json"), json!({ "pid": pid }).to_string());
    let mut gateway = start("houmao.agents.realm_controller.gateway_service", &root);
    name(gateway.id()).unwrap();
    world.write("agents/a/control", "stop\n");
    assert!(gateway.try_wait().unwrap().is_some(), "it goes on");

    world.write("stopped/a/control", "relaunch\n");
    let mut other = start("something.else", &root);
    name(other.id()).unwrap();
    world.write("agents/a/control", "stop\n");
    assert!(other.try_wait().unwrap().is_none());
    let error = world.read("stopped/a/error");
    assert!(error.contains(&format!("process {} was left", other.id())), "{error}");
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Stops what is left of an agent, whatever somebody who died has done of it before.
#[track_caller]
pub fn stop_at_last(world: &World, name: &str) -> Said {
    let mut command = world.sandbox().command(troop_bin());
    said(command.args(["stop", name]).env_remove("TROOP_CRASH_AT").output().unwrap())
}

/// A stop that is cut off at any moment, by SIGKILL of whoever does it, can be repeated: until the record says that the agent
/// is stopped it says that it is live, and nothing runs without one.
#[test]
fn a_stop_that_is_cut_off() {
    for point in ["stop.signalled", "stop.ended", "stop.recorded"] {
        let mut world = World::with("a");
        world.mount().end(nix::sys::signal::Signal::SIGTERM);
        troop_dies_at(&world, point, &["stop", "a"]);
        let state = record_of(world.sandbox(), "a")["lifecycle"]["state"].clone();
        assert_eq!(state, if point == "stop.recorded" { "stopped" } else { "active" }, "{point}");
        let again = stop_at_last(&world, "a");
        assert_eq!(again.code, Some(if point == "stop.recorded" { 5 } else { 0 }), "{point}: {again:?}");
        assert_eq!(running(&world, "a"), 0, "{point}");
        world.mount_again();
        world.wait_there("stopped/a");
        world.write("stopped/a/control", "relaunch\n");
        world.wait_status("a", "ready");
        assert_eq!(running(&world, "a"), 1, "{point}");

        // The same with the mount as the one that dies.
        let mut sandbox = Sandbox::new();
        sandbox.set("TROOP_CRASH_AT", point);
        let mut world = World::mounted(sandbox, &[]);
        world.launch("a");
        let _ = fs::write(world.at("agents/a/control"), "stop\n");
        world.mount().end(nix::sys::signal::Signal::SIGCONT);
        let again = stop_at_last(&world, "a");
        assert_eq!(again.code, Some(if point == "stop.recorded" { 5 } else { 0 }), "{point}: {again:?}");
        assert_eq!(running(&world, "a"), 0, "{point}");
    }
}
