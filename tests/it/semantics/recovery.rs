//! What is told of a session that is not as it should be, and what becomes of its agent.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::stop::{record_of, running, troop_dies_at};
use super::world::{LIMIT, World, said};
use crate::support::{wait_for, wait_until};

#[track_caller]
fn wait_recovery(world: &World, name: &str, wanted: &str) {
    let is = || {
        let recovery = world.state(&format!("agents/{name}"))["recovery"].clone();
        if recovery == wanted { Ok(()) } else { Err(recovery) }
    };
    wait_until(&format!("{name} to be {wanted}"), LIMIT, is);
    let explained = world.read(&format!("agents/{name}/explain"));
    assert!(explained.contains(&format!("session {wanted}\n")), "{explained}");
}

/// `recovery` in `state.json`, and a line in `explain`, say in what condition the tmux session of a live agent is: `healthy`;
/// `degraded_missing_primary`, when window 0 has no first pane any more; `degraded_stale_primary_handles`, when that is not
/// the one that the manifest names; `stale_missing_session`, when the session is gone. It is null for an agent that is
/// stopped, is being relaunched, or was not looked at. Whatever it is, `stop` and `relaunch` work: what is left of a session without the
/// agent's pane is ended and the agent comes back in a new one, a first pane that is another is used again.
#[test]
fn the_condition_of_a_session() {
    let world = World::with("a");
    wait_recovery(&world, "a", "healthy");
    let session = world.session("a");
    let target = |window: &str| format!("={session}:{window}");
    let generation = || record_of(world.sandbox(), "a")["generation_id"].clone();
    let first = generation();

    world.tmux(&["new-window", "-d", "-k", "-t", &target("0"), "sleep 600"]);
    wait_recovery(&world, "a", "degraded_stale_primary_handles");
    world.wait_status("a", "down");
    world.write("agents/a/control", "relaunch\n");
    world.wait_status("a", "ready");
    wait_recovery(&world, "a", "healthy");
    assert_eq!((generation(), world.session("a"), running(&world, "a")), (first.clone(), session.clone(), 1));

    world.tmux(&["new-window", "-d", "-t", &target("5"), "sleep 601"]);
    world.tmux(&["kill-window", "-t", &target("0")]);
    wait_recovery(&world, "a", "degraded_missing_primary");
    world.wait_status("a", "down");
    assert_eq!(world.refused("agents/a/prompt", "x").0, libc::ESRCH);
    world.write("agents/a/control", "relaunch\n");
    world.wait_status("a", "ready");
    wait_recovery(&world, "a", "healthy");
    assert_ne!(generation(), first);
    let listed = world.tmux(&["list-sessions", "-F", "#S"]);
    assert_eq!(listed.trim(), world.session("a"), "what was left of the old one");

    world.tmux(&["kill-session", "-t", &format!("={}", world.session("a"))]);
    wait_recovery(&world, "a", "stale_missing_session");
    world.wait_status("a", "gone");
    world.write("agents/a/control", "relaunch\n");
    world.wait_status("a", "ready");
    assert_eq!(running(&world, "a"), 1);
    world.write("agents/a/control", "stop\n");
    assert_eq!(world.state("stopped/a")["recovery"], json!(null));
}

/// An agent whose session is gone and whose manifest cannot be read can never come back: `relaunch` says so and
/// retires its record, and so does `stop`. A manifest that a newer program wrote is left for that.
#[test]
fn an_unreadable_manifest() {
    let world = World::new();
    let verbs = [("a", "relaunch", "retired"), ("b", "stop", "retired"), ("c", "stop", "stopped")];
    for (name, verb, wanted) in verbs {
        world.launch(name);
        let manifest = fs::read_link(world.at(format!("agents/{name}/manifest"))).unwrap();
        world.tmux(&["kill-session", "-t", &format!("={}", world.session(name))]);
        world.wait_status(name, "gone");
        if name == "c" {
            fs::write(&manifest, "{\"schema_version\": 5}").unwrap();
        } else {
            fs::remove_file(&manifest).unwrap();
        }
        let written = fs::write(world.at(format!("agents/{name}/control")), format!("{verb}\n"));
        assert_eq!(written.is_err(), verb == "relaunch", "{name}");
        let record = record_of(world.sandbox(), name);
        assert_eq!(record["lifecycle"]["state"], wanted, "{name}");
        world.wait_gone(&format!("agents/{name}"));
    }
    assert_eq!(world.names("stopped"), ["c"]);
    let again = world.troop(&["relaunch", "c"]);
    assert!(again.code == Some(1) && again.err.contains("newer program"), "{again:?}");
    assert_eq!(world.names("stopped"), ["c"]);
}

/// After a reboot or the end of a tmux server every agent is shown for what it is, and `troop relaunch --all` brings back all
/// that are stopped or have lost their session, each once, printing their names. Those whose session is there are left as they
/// are, also when their program has ended or its pane is closed: what else runs there may be a person's.
#[test]
fn bringing_everybody_back() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.launch(name);
    }
    world.write("agents/d/control", "stop\n");
    world.write("agents/a/prompt", "sim:say=before");
    world.next_prompt("a", 0);
    world.mount().end(Signal::SIGKILL);
    // Killed and not asked to end: tmux 3.3a may keep a client whose reader was killed, and then does not end.
    let server = world.tmux(&["display-message", "-p", "#{pid}"]).trim().parse().unwrap();
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    world.mount_again();
    for name in ["a", "b", "c"] {
        wait_recovery(&world, name, "stale_missing_session");
    }
    let back = world.troop(&["relaunch", "--all"]);
    let mut names: Vec<&str> = back.out.lines().collect();
    names.sort_unstable();
    assert_eq!((back.code, names), (Some(0), vec!["a", "b", "c", "d"]), "{back:?}");
    for name in ["a", "b", "c", "d"] {
        world.wait_status(name, "ready");
        assert_eq!(running(&world, name), 1, "{name}");
    }
    assert_eq!(world.names("agents/a/turns"), ["1", "last"]);
    world.tmux(&["new-window", "-d", "-t", &format!("={}:5", world.session("b")), "sleep 601"]);
    world.tmux(&["kill-window", "-t", &format!("={}:0", world.session("b"))]);
    wait_recovery(&world, "b", "degraded_missing_primary");
    world.write("agents/c/prompt", "sim:exit");
    world.wait_status("c", "down");
    let pids = || world.tmux(&["list-panes", "-a", "-F", "#{session_name} #{pane_pid}"]);
    let before = pids();
    let again = world.troop(&["relaunch", "--all"]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""), "{again:?}");
    assert_eq!(pids(), before);
}

/// A record that stays `relaunching` for more than 15 s was left so by a process that died. Then a mount that watches it
/// settles it by what is there: with a session it is active, without one it is stopped (`relaunch_failed`).
#[test]
fn a_relaunch_that_was_left_undone() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.launch(name);
        world.write(&format!("agents/{name}/control"), "stop\n");
    }
    world.mount().end(Signal::SIGTERM);
    troop_dies_at(&world, "relaunch.published", &["relaunch", "a"]);
    troop_dies_at(&world, "relaunch.spawned", &["relaunch", "b"]);
    world.mount_again();
    for name in ["a", "b"] {
        let state = world.state(&format!("agents/{name}"));
        assert_eq!((&state["status"], &state["recovery"]), (&json!("starting"), &json!(null)), "{name}");
        assert_eq!(world.refused(&format!("agents/{name}/prompt"), "x").0, libc::EBUSY);
    }
    let state = |name: &str| record_of(world.sandbox(), name)["lifecycle"].clone();
    wait_for("b to be active", LIMIT, || state("b")["state"] == "active");
    wait_for("a to be stopped", LIMIT, || state("a")["state"] == "stopped");
    assert_eq!(state("a")["stop_reason"], "relaunch_failed");
    world.wait_status("b", "ready");
    world.wait_there("stopped/a");
    assert!(world.read("agents/b/history").contains("recovered"));
    assert_eq!((running(&world, "a"), running(&world, "b")), (0, 1));
    assert_eq!(said(world.sandbox().tmux(["list-sessions"]).output().unwrap()).out.lines().count(), 1);
}
