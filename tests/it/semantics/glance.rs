//! All agents at a glance: the status line, the watched list, and that looking is only looking.

use super::World;
use super::world::LIMIT;
use crate::support::sandbox::troop_bin;
use crate::support::{Person, Sandbox, wait_for, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// `troop status` prints one line for a status bar: how many live agents have which status, the blocked ones first and
/// by name, as in `1 blocked: bob · 2 ready · 1 active`. Pending agents count as active and gone ones as down; where there
/// is no agent it prints `no agents`. It asks a mount that shows the same agents, and looks for itself where there is none.
#[test]
fn the_status_line() {
    let mut world = World::new();
    let line = |world: &World| world.troop(&["status"]).out;
    assert_eq!(line(&world), "no agents\n");
    for name in ["a", "b", "c", "d"] {
        world.launch(name);
    }
    world.write("agents/a/prompt", "sim:ask");
    world.write("agents/b/prompt", "sim:work=600000");
    world.write("agents/c/prompt", "sim:exit");
    for (name, status) in [("a", "blocked"), ("b", "active"), ("c", "down")] {
        world.wait_status(name, status);
    }
    world.write("agents/d/prompt", "sim:work=600000");
    assert_eq!(line(&world), "1 blocked: a · 2 active · 1 down\n", "d is pending or active by now");
    world.mount().end(Signal::SIGTERM);
    wait_for("the same without a mount", LIMIT, || line(&world) == "1 blocked: a · 2 active · 1 down\n");
}

/// What a list says of each agent, and what it says of when and why, which who has just come knows less of.
fn listed(world: &World, args: &[&str], path: &str) -> Vec<Value> {
    let mut command = world.sandbox().command(troop_bin());
    let output = command.args([&["list", "--json"], args].concat()).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for row in &mut rows {
        row.as_object_mut().unwrap().retain(|name, _| name != "since" && name != "why");
    }
    rows
}

/// `troop list` prints the live agents by name, `--all` then also those that were stopped, and after them those that are
/// retired, have run out or are on other machines; `--json` prints objects. Who lives says the registry, read anew each time. What
/// they do says a mount of the same user that shows each of them in this life, and else a look at their terminals; both say the
/// same. A mount of another registry is not asked, and one that does not answer within 0.1 seconds counts as none.
#[test]
fn the_list() {
    let mut world = World::new();
    let usual = std::env::var("PATH").unwrap();
    // Whoever finds no tmux cannot look.
    let (looks, cannot_look) = (usual.as_str(), "/nowhere");
    assert_eq!(world.troop(&["list"]).out, "no agents; launch one with: troop launch NAME\n");
    for name in ["a", "b", "c", "d", "e"] {
        world.launch(name);
    }
    for name in ["d", "e"] {
        assert_eq!(world.troop(&["stop", name]).code, Some(0));
    }
    world.wait_there("stopped/e");
    fs::remove_dir(world.at("stopped/e")).unwrap();
    world.write("agents/a/prompt", "sim:ask");
    world.write("agents/b/prompt", "sim:work=600000");
    world.write("agents/c/prompt", "sim:exit");
    let live = [("a", "blocked"), ("b", "active"), ("c", "down")];
    for (name, status) in live {
        world.wait_status(name, status);
    }
    let told = listed(&world, &["--all"], cannot_look);
    let statuses: Vec<_> =
        told.iter().map(|row| (row["name"].as_str().unwrap(), row["status"].as_str().unwrap())).collect();
    assert_eq!(statuses, [&live[..], &[("d", "stopped"), ("e", "retired")]].concat());
    assert_eq!(listed(&world, &[], cannot_look), told[..3]);

    // Another registry has an agent of the same name and id, whose session has yet to come.
    let other = Sandbox::new();
    let (from, to) = (world.sandbox().registry().join("live_agents"), other.registry().join("live_agents"));
    for agent in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let record = fs::read_to_string(agent.path().join("record.json")).unwrap();
        if record.contains("\"agent_name\": \"a\"") {
            let session = told[0]["tmux_session"].as_str().unwrap();
            fs::create_dir_all(to.join(agent.file_name())).unwrap();
            fs::write(to.join(agent.file_name()).join("record.json"), record.replace(session, "no-such-session"))
                .unwrap();
        }
    }
    let output = other.troop(["list", "--json"]).output().unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((rows.len(), &rows[0]["name"], &rows[0]["status"]), (1, &"a".into(), &"starting".into()));

    // A mount that has stopped still holds whoever asks it.
    let mount = world.mount().pid();
    kill(mount, Signal::SIGSTOP).unwrap();
    wait_for("the same beside a mount that hangs", LIMIT, || listed(&world, &["--all"], looks) == told);
    kill(mount, Signal::SIGCONT).unwrap();
    world.mount().end(Signal::SIGTERM);
    wait_for("the same without a mount", LIMIT, || listed(&world, &["--all"], looks) == told);
}

/// Lines that a program prints, and the program.
struct Watched {
    child: Child,
    out: PathBuf,
}

impl Watched {
    fn start(world: &World, args: &[&str]) -> Self {
        let out = world.sandbox().path().join("watched");
        let file = fs::File::create(&out).unwrap();
        let mut command = world.sandbox().command(troop_bin());
        let child = command.args(["list", "--watch"]).args(args).stdout(file).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, out }
    }

    /// Waits for a line that is so.
    #[track_caller]
    fn line(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        wait_until(what, LIMIT, || {
            let text = fs::read_to_string(&self.out).unwrap();
            text.lines().rfind(|line| is_so(line)).map(str::to_owned).ok_or(text)
        })
    }

    /// Ends it, and gives all it printed.
    fn end(mut self) -> String {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        fs::read_to_string(&self.out).unwrap()
    }
}

/// `troop list --watch` keeps its table up to date on a terminal. Elsewhere it prints a line for each live agent, and
/// again for each whose line has changed: name, status, tool, since when, and directory, separated by tabs; with `--json` an
/// object a line, as in `list --json`. An agent that is not listed any more gets a last line that says `gone`. A signal ends
/// it, with 0.
#[test]
fn watching_the_list() {
    let world = World::with("a");
    world.launch("b");
    let watched = Watched::start(&world, &[]);
    watched.line("b", |line| line.starts_with("b\tready\t"));
    world.write("agents/a/prompt", "sim:ask");
    let line = watched.line("a to be blocked", |line| line.starts_with("a\tblocked\t"));
    let cells: Vec<&str> = line.split('\t').collect();
    assert_eq!((cells.len(), cells[4]), (5, world.sandbox().work().to_str().unwrap()), "{line}");
    world.write("agents/b/control", "stop --force");
    watched.line("b to be gone", |line| line.starts_with("b\tgone\t"));
    let all = watched.end();
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "a line that has not changed is not repeated: {all}");

    let watched = Watched::start(&world, &["--json"]);
    watched.line("a", |line| serde_json::from_str::<Value>(line).is_ok_and(|row| row["status"] == "blocked"));
    watched.end();

    let person = Person::sits_down(world.sandbox(), 80, 24);
    person.runs("clear; troop list --watch; echo ended $?");
    person.reads(&["NAME", "blocked"]);
    world.write("agents/a/control", "interrupt");
    world.wait_status("a", "ready");
    let screen = person.sees("the table to change", |screen| screen.contains("ready") && !screen.contains("blocked"));
    assert_eq!(screen.matches("NAME").count(), 1, "{screen}");
    person.presses(&["C-c"]).reads(&["ended 0"]);
}

/// Every file below a directory with its bytes.
fn files(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap_or_default());
        }
    }
}

/// Whoever only looks at `troop dashboard`, moves about in it, searches, or opens any of its views asks nothing of an
/// agent and writes nothing to disk, with a mount or without one: what is observed is written down, and what is queued is sent, by a
/// mount alone. What it does to an agent is one key each, and is in the agent's history like
/// any other command; answers, stop and relaunch are asked about first. It gives the terminal back as it was, also when a signal
/// ends it.
#[test]
fn looking_at_the_dashboard() {
    let mut world = World::with("a");
    let mount = world.mount().pid();
    world.launch("b");
    world.write("agents/b/prompt", "sim:ask");
    world.wait_status("b", "blocked");
    let all = || {
        let mut found = BTreeMap::new();
        files(&world.sandbox().registry(), &mut found);
        files(&world.sandbox().troop_home(), &mut found);
        found
    };
    let settled = || {
        let before = all();
        std::thread::sleep(std::time::Duration::from_millis(300));
        before == all()
    };
    wait_for("the journals to be written", LIMIT, settled);
    let before = all();
    let person = Person::sits_down(world.sandbox(), 100, 30);
    let modes = person.modes();
    person.runs("troop dashboard; echo ended $?");
    person.reads(&["1 blocked: b", "1 ready"]);
    for (keys, shown) in [
        (&["e"][..], "· explain"),
        (&["t"], "· history"),
        (&["t"], "· screen"),
        (&["o"], "overview"),
        (&["o", "Tab", "k", "k", "l", "G", "Tab"], "· screen"),
        (&["s"], "by name"),
        (&["f"], "needs a person"),
        (&["F"], "1 ready"),
        (&["/", "b", "Enter"], "/b"),
        (&["/", "C-u", "Enter", "H"], "all Homes"),
        (&["Enter", "?"], "move the cursor"),
        (&["q", "g", "a"], "answering for a person is switched off"),
        (&["x"], "stop b?"),
        (&["n", "j", "p"], "prompt to a:"),
    ] {
        person.presses(keys).reads(&[shown]);
    }
    // Not with the next key: together they would be one with Alt.
    person.presses(&["Escape"]).sees("the end of the prompt", |screen| !screen.contains("prompt to a:"));
    assert!(before == all(), "looking has changed a file");

    person.presses(&["p"]).reads(&["prompt to a:"]);
    person.tmux(&["send-keys", "-t", "=person:", "-l", "one key"]);
    person.presses(&["Enter"]).reads(&["prompt to a: done"]);
    wait_for("the prompt", LIMIT, || world.prompts("a") == ["one key"]);
    let prompt = || world.history("agents/a").into_iter().find(|event| event["event"] == "prompt");
    let event = wait_until("its line in the history", LIMIT, || prompt().ok_or("none"));
    assert_eq!((&event["actor"]["via"], &event["text"]), (&"cli".into(), &"one key".into()), "{event}");
    person.presses(&["g", "a"]).reads(&["answering for a person is switched off", "troop dashboard --allow-approvals"]);
    world.wait_status("b", "blocked");
    person.presses(&["q"]).reads(&["ended 0"]);
    assert_eq!((person.modes(), person.fact("#{alternate_on}")), (modes, "0".to_owned()));

    // Also where nobody else looks: an agent that works and is ready again, and a prompt that waits.
    world.wait_status("a", "ready");
    world.write("agents/a/prompt", "sim:work=3000");
    world.wait_status("a", "active");
    world.write("agents/a/queue/later", "not by the dashboard");
    kill(mount, Signal::SIGKILL).unwrap();
    wait_for("the mount to be dead", LIMIT, || fs::read(world.at("index")).is_err());
    let before = all();
    person.runs("clear; troop dashboard; echo ended $?");
    person.reads(&["1 blocked: b", "1 active"]);
    person.reads(&["1 blocked: b", "1 ready"]);
    person.presses(&["t"]).reads(&["· history"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(before == all(), "looking has changed a file");
    person.presses(&["q"]).reads(&["ended 0"]);
    assert_eq!(world.prompts("a").last().unwrap(), "sim:work=3000");
}
