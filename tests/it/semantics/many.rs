//! Many launches at once, and everybody who looks on meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use super::world::{LIMIT, Said, World, said};
use crate::support::sandbox::troop_bin;
use crate::support::{Person, Sandbox, wait_until};

/// How many are launched at once.
const LAUNCHES: usize = 12;

/// Who looks on meanwhile, again and again, and how each looking has to end.
const LOOKS: [&[&str]; 8] = [
    &["list"],
    &["list", "--all", "--json"],
    &["status"],
    &["home", "list", "--all", "--json"],
    &["discover", "--json"],
    &["doctor"],
    &["gc", "--dry-run", "--older-than", "0s", "--json"],
    &["gc", "--older-than", "0s", "--json"],
];

/// A sandbox in which every start of an agent's program is written down: the agent's id, a line each.
fn counting() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let (starts, program) = (sandbox.path().join("starts"), sandbox.path().join("counted"));
    fs::write(&starts, "").unwrap();
    let script = format!("#!/bin/sh\necho \"$HOUMAO_AGENT_ID\" >> {}\nexec \"$@\"\n", starts.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let definition = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tool/stand-in.toml")).unwrap();
    let counted = definition.replace(
        "command = [\"{troop}\", \"stand-in\"]",
        &format!("command = [{program:?}, \"{{troop}}\", \"stand-in\"]"),
    );
    assert_ne!(counted, definition);
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("stand-in.toml"), counted).unwrap();
    (sandbox, starts)
}

fn troop(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.command(troop_bin());
    command.args(args);
    command
}

/// Looks in every way until it is `over`; how often each was done. Every look has to succeed, and to find nothing that may go.
fn look_on(sandbox: &Sandbox, over: &AtomicBool, look: &[&str], looked: &AtomicUsize) -> Result<(), String> {
    while !over.load(Ordering::Relaxed) {
        let said = said(troop(sandbox, look).output().unwrap());
        let took = look[0] == "gc" && said.out.contains("\"remove\"");
        // With too much to do at once a look may run out of time, and says so.
        let gave_up = said.code == Some(1) && said.err.contains("not every agent could be looked at within");
        if took || (said.code != Some(0) && !gave_up) {
            return Err(format!("{look:?}: {said:?}"));
        }
        looked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Launches all of them at once while everybody looks on; what was said to those that were launched.
fn launched_at_once(sandbox: &Sandbox, mount: Option<&Path>) -> Vec<(String, Result<(), String>)> {
    let (over, looked) = (AtomicBool::new(false), LOOKS.map(|_| AtomicUsize::new(0)));
    let one = |n: usize| {
        let name = format!("a{n}");
        let done = match (n % 3, mount) {
            (0, Some(mount)) => fs::create_dir(mount.join("agents").join(&name)).map_err(|error| error.to_string()),
            (1, Some(mount)) => {
                fs::write(mount.join("control"), format!("launch {name}\n")).map_err(|error| error.to_string())
            }
            _ => match said(troop(sandbox, &["launch", &name]).output().unwrap()) {
                Said { code: Some(0), .. } => Ok(()),
                refused => Err(format!("{refused:?}")),
            },
        };
        (name, done)
    };
    std::thread::scope(|scope| {
        let looks = LOOKS.iter().zip(&looked).map(|(look, looked)| {
            let over = &over;
            scope.spawn(move || look_on(sandbox, over, look, looked))
        });
        let looks: Vec<_> = looks.collect();
        let launches: Vec<_> = (0..LAUNCHES).map(|n| scope.spawn(move || one(n))).collect();
        let done: Vec<_> = launches.into_iter().map(|launch| launch.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        for look in looks {
            if let Err(failed) = look.join().unwrap() {
                panic!("{failed}\nlaunched: {done:?}");
            }
        }
        assert!(looked.iter().all(|looked| looked.load(Ordering::Relaxed) > 0), "{looked:?}");
        done
    })
}

/// Every one of them is there, once: one record, one session with one living pane, one start of its program.
fn all_are_there_once(sandbox: &Sandbox, starts: &Path) {
    let names: BTreeSet<String> = (0..LAUNCHES).map(|n| format!("a{n}")).collect();
    let ready = || {
        let said = said(troop(sandbox, &["list", "--json"]).output().unwrap());
        let rows: Vec<Value> = serde_json::from_str(&said.out).unwrap();
        let ready = rows.iter().filter(|row| row["status"] == "ready");
        let ready: BTreeSet<String> = ready.map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        if ready == names && rows.len() == LAUNCHES { Ok(rows) } else { Err(said) }
    };
    let rows = wait_until("all of them to be ready", LIMIT, ready);
    let ids: BTreeSet<String> = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let mut sessions: Vec<String> =
        rows.iter().map(|row| format!("{} 0", row["tmux_session"].as_str().unwrap())).collect();
    sessions.sort();
    let panes = said(sandbox.tmux(["list-panes", "-a", "-F", "#{session_name} #{pane_dead}"]).output().unwrap()).out;
    let mut panes: Vec<String> = panes.lines().map(str::to_owned).collect();
    panes.sort();
    assert_eq!(panes, sessions);
    let started = fs::read_to_string(starts).unwrap();
    let started: Vec<&str> = started.lines().collect();
    let distinct: BTreeSet<String> = started.iter().map(|id| (*id).to_owned()).collect();
    assert!(started.len() == LAUNCHES && distinct == ids, "{started:?}, and not each once of {ids:?}");
    let listed = |dir: PathBuf| fs::read_dir(dir).unwrap().count();
    assert_eq!(listed(sandbox.registry().join("live_agents")), LAUNCHES);
    assert_eq!(listed(sandbox.troop_home().join("sessions/local_interactive")), LAUNCHES);
}

/// However many are launched at once, through a mount, without one or both, and whoever looks on meanwhile, each of them
/// comes up, once: `list`, `status`, `home list`, `discover`, `doctor` and the dashboard keep nobody from starting, and
/// `gc` takes nothing that is starting.
#[test]
fn many_at_once() {
    let (sandbox, starts) = counting();
    let world = World::mounted(sandbox, &[]);
    let person = Person::sits_down(world.sandbox(), 100, 30);
    person.runs("troop dashboard").reads(&["no agents"]);
    let done = launched_at_once(world.sandbox(), Some(&world.at("")));
    assert!(done.iter().all(|(_, done)| done.is_ok()), "{done:?}");
    all_are_there_once(world.sandbox(), &starts);
    let _ = person.reads(&[&format!("{LAUNCHES} ready")]);
    let ready: Vec<String> =
        world.names("agents").into_iter().filter(|name| world.names("by-status/ready").contains(name)).collect();
    assert_eq!(ready.len(), LAUNCHES, "{ready:?}");
}

#[test]
fn many_at_once_without_a_mount() {
    let (sandbox, starts) = counting();
    let done = launched_at_once(&sandbox, None);
    assert!(done.iter().all(|(_, done)| done.is_ok()), "{done:?}");
    all_are_there_once(&sandbox, &starts);
}
