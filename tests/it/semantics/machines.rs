//! Sessions of another machine, on a disk that both have.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::stop::{record_of, running};
use super::world::World;

/// Beside each session troop writes down on which machine it was made. An agent whose session is on another machine is
/// `unknown` here, whatever sessions and processes of its names and numbers there are; nothing is delivered to it, and it is neither stopped
/// nor relaunched: `explain` and the refusals name the machine, and the file to remove when that machine is no more.
#[test]
fn agents_of_another_machine() {
    let mut world = World::with("a");
    let root = PathBuf::from(record_of(world.sandbox(), "a")["runtime"]["session_root"].as_str().unwrap());
    let marked = root.join("troop/machine.json");
    let session = world.session("a");
    world.mount().end(nix::sys::signal::Signal::SIGTERM);
    let mut mark: Value = serde_json::from_slice(&fs::read(&marked).unwrap()).unwrap();
    (mark["machine_id"], mark["host"]) = ("another".into(), "far-away".into());
    fs::write(&marked, mark.to_string()).unwrap();
    // As it is on the other machine: this one's tmux knows nothing of the session.
    world.tmux(&["kill-session", "-t", &format!("={session}")]);

    world.mount_again();
    world.wait_status("a", "unknown");
    let explained = world.read("agents/a/explain");
    assert!(explained.contains("another machine, far-away") && explained.contains("machine.json"), "{explained}");
    assert_eq!(world.refused("agents/a/prompt", "hello\n").0, libc::EBUSY);
    for verb in ["relaunch", "stop", "stop --force"] {
        let (_, sentence) = world.refused("agents/a/control", &format!("{verb}\n"));
        assert!(sentence.contains("far-away"), "{verb}: {sentence}");
    }
    for args in [&["relaunch", "a"][..], &["stop", "a"], &["retire", "a"]] {
        let said = world.troop(args);
        assert!(said.code != Some(0) && said.err.contains("a"), "{args:?}: {said:?}");
    }
    assert_eq!(
        (record_of(world.sandbox(), "a")["lifecycle"]["state"].as_str(), running(&world, "a")),
        (Some("active"), 0)
    );

    // That machine is no more.
    fs::remove_file(&marked).unwrap();
    world.write("control", "rescan\n");
    world.wait_status("a", "gone");
    world.write("agents/a/control", "relaunch\n");
    world.wait_status("a", "ready");
    let mark: Value = serde_json::from_slice(&fs::read(&marked).unwrap()).unwrap();
    assert_ne!(mark["machine_id"], "another");
}
