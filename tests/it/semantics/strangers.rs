//! Processes that have got the numbers of others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::headless::launch;
use super::world::{LIMIT, World};
use crate::support::wait_until;

/// A process that writes down every signal that it gets and can, and goes on.
struct Stranger {
    child: Child,
    heard: PathBuf,
}

impl Stranger {
    fn new(world: &World) -> Self {
        let heard = world.sandbox().path().join("heard");
        let script = format!(
            "for s in HUP INT QUIT USR1 USR2 TERM; do trap \"echo $s >> {0}\" $s; done; echo began >> {0}; while :; do sleep 0.05; done",
            heard.display()
        );
        let child = world.sandbox().command("sh").args(["-c", &script]).spawn().unwrap();
        wait_until("the stranger to listen", LIMIT, || fs::metadata(&heard));
        Self { child, heard }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    fn was_left_in_peace(&mut self, after: &str) {
        assert!(self.child.try_wait().unwrap().is_none(), "it was killed by {after}");
        assert_eq!(fs::read_to_string(&self.heard).unwrap(), "began\n", "after {after}");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Everything that only looks, without the mount.
const LOOKS: [&[&str]; 8] = [
    &["list", "--all"],
    &["status"],
    &["explain", "a"],
    &["home", "list", "--all"],
    &["discover"],
    &["doctor"],
    &["gc", "--dry-run", "--older-than", "0s"],
    &["wait", "a", "--until", "change", "--timeout", "0.2"],
];

/// A process is known by its number and by when it started. Another that has got the number of one that ended is never
/// taken for it: no turn goes on because of it, and it gets no signal. What only looks (`list`, `status`, `explain`, `home list`,
/// `discover`, `doctor`, `gc --dry-run` and every file of the mount) sends no signal to anything.
#[test]
fn a_number_is_not_a_process() {
    let mut world = World::new();
    launch(&world, "a", "claude");
    let root = fs::read_link(world.at("agents/a/session")).unwrap();
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    let started = root.join("manifest.turn-artifacts/turn-0001/troop-started.json");
    wait_until("its program to run", LIMIT, || fs::metadata(&started));
    world.mount().end(Signal::SIGTERM);

    // Both processes of the turn are killed at once, and a stranger gets their number.
    let mut file = json(&started);
    let pids = ["runner", "child"].map(|who| Pid::from_raw(file[who]["pid"].as_i64().unwrap().try_into().unwrap()));
    for pid in pids {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    let mut stranger = Stranger::new(&world);
    for who in ["runner", "child"] {
        file[who]["pid"] = stranger.pid().into();
    }
    fs::write(&started, file.to_string()).unwrap();
    for look in LOOKS {
        world.troop(look);
        stranger.was_left_in_peace(&look.join(" "));
    }
    world.mount_again();
    world.wait_status("a", "ready");
    assert!(!world.at("agents/a/turns/1/exitcode").exists(), "nobody saw one");
    assert_eq!(json(&world.at("agents/a/turns/1/turn.json"))["outcome"], "known_failure");
    let (number, sentence) = world.refused("agents/a/control", "interrupt\n");
    assert!(number == libc::EBUSY && sentence.contains("nothing to interrupt"), "{number} {sentence}");
    stranger.was_left_in_peace("interrupt");

    // The same with a turn of Houmao, which writes down no more than when it began.
    let theirs = root.join("manifest.turn-artifacts/turn-0002");
    fs::create_dir(&theirs).unwrap();
    let process = json!({
        "runner_pid": stranger.pid(), "child_pid": stranger.pid(), "launched_at_utc": "2026-01-01T00:00:00+00:00",
        "of": "a newer program",
    });
    fs::write(theirs.join("process.json"), process.to_string()).unwrap();
    for look in LOOKS {
        world.troop(look);
        stranger.was_left_in_peace(&look.join(" "));
    }
    assert_eq!(world.troop(&["interrupt", "a"]).code, Some(4));
    stranger.was_left_in_peace("the interrupt of a turn of Houmao");
    world.write("agents/a/control", "stop\n");
    world.wait_there("stopped/a");
    stranger.was_left_in_peace("stop");
}
