//! A tmux server that is there and does not answer.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::world::{LIMIT, Said, World, said};
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_until};

/// How long any command may take: it waits 5 s for the server, and a machine with much to do needs its time.
const BOUND: Duration = Duration::from_secs(20);

fn troop(sandbox: &Sandbox, args: &[&str]) -> Said {
    said(sandbox.command(troop_bin()).args(args).output().unwrap())
}

/// A server that is stopped, and goes on when this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(sandbox: &Sandbox, server: &str) -> Self {
        let pid = said(sandbox.tmux(["-L", server, "display-message", "-p", "#{pid}"]).output().unwrap()).out;
        let pid = Pid::from_raw(pid.trim().parse().unwrap());
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// The statuses in `list --json`.
fn statuses(text: &str) -> BTreeMap<String, String> {
    let rows: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter().map(|row| (word(&row["name"]), word(&row["status"]))).collect()
}

/// A tmux server that does not answer costs its own agents and no others. `list` and `status` wait 5 s for it, show its agents as
/// `unknown` and all others as ever, and say which server it is; `doctor` says so too, `discover` names it and lists what it finds
/// elsewhere, and `home list` does not ask it. What is done to one of its agents fails with that sentence, and `gc` keeps
/// what may run there. When it goes on, nothing has to be done.
#[test]
fn a_tmux_server_that_hangs() {
    let mut sandbox = Sandbox::new();
    assert_eq!(troop(&sandbox, &["launch", "well"]).code, Some(0));
    sandbox.set("TROOP_TMUX_SOCKET", "other");
    assert_eq!(troop(&sandbox, &["launch", "hung"]).code, Some(0));
    let as_wanted = |wanted: &str| {
        let found = statuses(&troop(&sandbox, &["list", "--json"]).out);
        if found["well"] == "ready" && found["hung"] == wanted { Ok(()) } else { Err(found) }
    };
    wait_until("both to be ready", LIMIT, || as_wanted("ready"));
    let stopped = Stopped::new(&sandbox, "other");
    let socket = fs::canonicalize(sandbox.tmux_dir()).unwrap();
    let socket = socket.join(format!("tmux-{}/other", nix::unistd::getuid())).display().to_string();

    let commands: [&[&str]; 10] = [
        &["list"],
        &["list", "--json"],
        &["status"],
        &["doctor"],
        &["discover", "--json"],
        &["home", "list"],
        &["gc", "--older-than", "0s", "--json"],
        &["stop", "hung"],
        &["prompt", "hung", "hello"],
        &["prompt", "well", "hello"],
    ];
    let began = Instant::now();
    let said: BTreeMap<String, Said> = std::thread::scope(|scope| {
        let asked = commands.map(|args| scope.spawn(|| (args.join(" "), troop(&sandbox, args))));
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    let names_it = |said: &Said| said.err.contains(&socket) && said.err.contains("did not answer within 5 s");
    for command in ["list", "list --json", "status", "discover --json"] {
        let said = &said[command];
        assert!(said.err.lines().count() == 1 && names_it(said), "{command}: {said:?}");
    }
    for command in ["list", "list --json", "status", "home list", "gc --older-than 0s --json", "prompt well hello"] {
        assert_eq!(said[command].code, Some(0), "{command}: {:?}", said[command]);
    }
    let found = statuses(&said["list --json"].out);
    assert_eq!(found["hung"], "unknown", "{found:?}");
    assert!(["ready", "active", "pending"].contains(&found["well"].as_str()), "{found:?}");
    assert!(said["status"].out.contains("1 unknown"), "{:?}", said["status"]);
    assert!(said["doctor"].code == Some(1) && said["doctor"].out.contains(&socket), "{:?}", said["doctor"]);
    assert!(said["home list"].out.contains("2/2 active"), "{:?}", said["home list"]);
    let found: Vec<Value> = serde_json::from_str(&said["discover --json"].out).unwrap();
    assert!(said["discover --json"].code == Some(1) && found[0]["agent"] == "well", "{:?}", said["discover --json"]);
    assert!(!said["gc --older-than 0s --json"].out.contains("\"remove\""), "{:?}", said["gc --older-than 0s --json"]);
    for command in ["stop hung", "prompt hung hello"] {
        assert!(said[command].code != Some(0) && names_it(&said[command]), "{command}: {:?}", said[command]);
    }

    drop(stopped);
    wait_until("both to be ready again", LIMIT, || as_wanted("ready"));
    assert_eq!(troop(&sandbox, &["stop", "hung"]).code, Some(0));
}

/// Whoever asks a mount whose program is stopped waits for it, and cannot be killed before it goes on. So no command asks
/// one: `status`, `list` and all others look for themselves, and `doctor` names the process.
#[test]
fn a_mount_that_is_stopped() {
    let mut world = World::with("a");
    let pid = world.mount().pid();
    kill(pid, Signal::SIGSTOP).unwrap();
    let commands: [&[&str]; 5] = [&["status"], &["list"], &["doctor"], &["discover"], &["home", "list"]];
    let began = Instant::now();
    let asked = commands.map(|args| world.sandbox().command(troop_bin()).args(args).stdout(Stdio::piped()).spawn());
    let mut asked = asked.map(Result::unwrap);
    let all = wait_until("all of them to end", BOUND, || {
        let ended = asked.iter_mut().filter_map(|child| child.try_wait().unwrap()).count();
        if ended == commands.len() || began.elapsed() > BOUND / 2 { Ok(ended) } else { Err(ended) }
    });
    kill(pid, Signal::SIGCONT).unwrap();
    let said = asked.map(|child| said(child.wait_with_output().unwrap()));
    assert_eq!(all, commands.len(), "{said:?}");
    let [status, list, doctor, discover, homes] = &said;
    assert_eq!((status.code, status.out.as_str()), (Some(0), "1 ready\n"));
    for other in [list, discover, homes] {
        assert_eq!(other.code, Some(0), "{other:?}");
    }
    assert!(doctor.code == Some(1) && doctor.out.contains(&format!("kill -CONT {pid}")), "{doctor:?}");
    world.wait_status("a", "ready");
}
