//! What is cleared away, and what is not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::stop::record_of;
use super::world::{LIMIT, Said, World, said};
use crate::support::sandbox::troop_bin;
use crate::support::skip::{have_root, skip};
use crate::support::{Person, wait_until};

/// Everything in the registry, the Homes and the index, with its size and when it changed.
fn on_disk(world: &World) -> Vec<(PathBuf, u64, SystemTime)> {
    let sandbox = world.sandbox();
    let roots = [sandbox.registry(), sandbox.troop_home(), sandbox.home()];
    let mut paths: Vec<PathBuf> =
        roots.iter().filter(|root| root.exists()).flat_map(|root| super::tree::everything(root)).collect();
    paths.sort();
    let about = |path: PathBuf| {
        let about = fs::symlink_metadata(&path).unwrap();
        (path, about.len(), about.modified().unwrap())
    };
    paths.into_iter().map(about).collect()
}

/// What was said by the name of the agent or else the directory: what is done, and why.
type Lines = BTreeMap<String, (String, String)>;

#[track_caller]
fn report(said: &Said) -> (Value, Lines) {
    assert_eq!(said.code, Some(0), "{said:?}");
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = |row: &Value| match row["name"].as_str() {
        Some(name) => name.to_owned(),
        None => text(&row["path"]).rsplit('/').next().unwrap().to_owned(),
    };
    let lines = report["lines"].as_array().unwrap().iter();
    let lines = lines.map(|row| (name(row), (text(&row["action"]), text(&row["reason"])))).collect();
    (report, lines)
}

/// `troop gc` in the one Home that TROOP_HOME names.
#[track_caller]
fn gc(world: &World, args: &[&str]) -> Lines {
    report(&world.troop(&[&["gc", "--json"], args].concat())).1
}

/// `troop gc` where no Home is named, with mounts of its own: those of tests beside this one stay.
fn sweep(world: &World, args: &[&str]) -> Command {
    let mut command = world.sandbox().command("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .arg(troop_bin())
        .arg("gc")
        .args(args)
        .env_remove("TROOP_HOME");
    command
}

/// The same with what of it is of this world: on the machine there are mounts of others, which come and go.
#[track_caller]
fn swept(world: &World, args: &[&str]) -> (Value, Lines) {
    let mut said = said(sweep(world, &[&["--json"], args].concat()).output().unwrap());
    let mut all: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let ours = |row: &Value| Path::new(row["path"].as_str().unwrap()).starts_with(world.sandbox().path());
    let rows: Vec<Value> = all["lines"].as_array().unwrap().iter().filter(|row| ours(row)).cloned().collect();
    all["removed"] =
        rows.iter().filter(|row| !["keep", "failed"].contains(&row["action"].as_str().unwrap())).count().into();
    all["lines"] = rows.into();
    said.out = all.to_string();
    report(&said)
}

/// Has a session root not changed for a day: what was made a moment ago may be just being made.
fn grow_old(root: &Path) {
    let day = SystemTime::now() - Duration::from_secs(86_400);
    let all = super::tree::everything(root);
    for path in all.iter().map(PathBuf::as_path).chain([root]) {
        let file = fs::File::open(path).unwrap();
        file.set_modified(day).unwrap();
    }
}

#[track_caller]
fn says(lines: &Lines, wanted: &[(&str, &str, &str)]) {
    for (name, action, reason) in wanted {
        let (done, why) = lines.get(*name).unwrap_or_else(|| panic!("no {name}: {lines:?}"));
        assert!(done == action && why.contains(reason), "{name}: {done} {why}");
    }
}

/// `troop gc` takes away what nobody needs any more, in the registry and in all Homes: the record and the session root of
/// agents that were stopped longer ago than `--older-than` (7 days) or are retired, records whose session is gone and whose
/// manifest cannot be read, session roots that no record names, the turns of headless agents whose session is gone, and
/// what retired servers of Houmao have left. With `--home DIR`, or where TROOP_HOME is set, it looks through that Home and
/// nothing else. Nothing goes that is live, starting or not understood; each thing that stays is listed with the reason.
/// `--dry-run` prints exactly what the real run does, and writes nothing.
#[test]
fn clearing_away() {
    let mut world = World::new();
    for name in ["live", "stopped", "retired", "closed", "lost", "broken"] {
        world.launch(name);
    }
    let roots: BTreeMap<&str, PathBuf> = ["live", "stopped", "retired", "closed", "lost", "broken"]
        .map(|name| (name, fs::read_link(world.at(format!("agents/{name}/session"))).unwrap()))
        .into();
    for (name, verb) in [("stopped", "stop"), ("retired", "stop"), ("closed", "close")] {
        world.write(&format!("agents/{name}/control"), &format!("{verb}\n"));
    }
    fs::remove_dir(world.at("stopped/retired")).unwrap();
    for name in ["lost", "broken"] {
        let session = world.session(name);
        world.tmux(&["kill-session", "-t", &format!("={session}")]);
        world.wait_status(name, "gone");
    }
    fs::write(roots["broken"].join("manifest.json"), "{").unwrap();
    // It has been so for long: what was launched a moment ago is starting.
    let [_, path] = ["lost", "broken"].map(|name| {
        let mut record = record_of(world.sandbox(), name);
        record["lifecycle"]["state_updated_at"] = "2026-01-01T00:00:00+00:00".into();
        world.plant_bytes(record["agent_id"].as_str().unwrap(), record.to_string().as_bytes())
    });
    let orphan = world.sandbox().troop_home().join("sessions/local_interactive/orphan");
    fs::create_dir_all(orphan.join("troop/queue")).unwrap();
    fs::write(orphan.join("troop/queue/1"), "never asked").unwrap();
    grow_old(&orphan);
    let server = world.sandbox().troop_home().join("houmao_servers/127.0.0.1-9889");
    let turns = world.sandbox().troop_home().join("managed_agents/0123456789ab");
    for dir in [server.join("sessions/registered"), server.join("state/cao_compat"), server.join("run"), turns.clone()]
    {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(server.join("sessions/registered/registration.json"), "{}").unwrap();
    let authority = serde_json::json!({
        "tracked_agent_id": "0123456789ab", "backend": "codex_headless", "tool": "codex", "manifest_path": "/gone/manifest.json",
        "session_root": "/gone", "tmux_session_name": "s", "tmux_window_id": null, "tmux_pane_id": null,
        "agent_def_dir": "/gone/agent_def", "agent_name": "h", "agent_id": "h",
        "created_at_utc": "2026-01-01T00:00:00+00:00", "updated_at_utc": "2026-01-01T00:00:00+00:00",
    });
    fs::write(turns.join("authority.json"), authority.to_string()).unwrap();
    let doctor = world.troop(&["doctor"]).out;
    assert!(doctor.contains("cao_compat") && doctor.contains("sessions/registered"), "{doctor}");
    world.mount().end(Signal::SIGTERM);

    let before = on_disk(&world);
    let week = gc(&world, &["--dry-run"]);
    let planned = gc(&world, &["--dry-run", "--older-than", "0s"]);
    assert_eq!(on_disk(&world), before);
    says(
        &week,
        &[
            ("live", "keep", "it is live"),
            ("stopped", "keep", "less than 7 d ago"),
            ("retired", "remove", "retired at"),
            ("closed", "keep", "its session HOUMAO-closed-"),
            ("lost", "keep", "it can be relaunched"),
            ("broken", "remove", "its manifest cannot be read"),
            ("orphan", "keep", "less than 7 d ago"),
            ("registered", "keep", "less than 7 d ago"),
            ("cao_compat", "keep", "less than 7 d ago"),
            ("0123456789ab", "keep", "less than 7 d ago"),
        ],
    );
    assert_eq!(week.len(), 10, "{week:?}");
    says(
        &planned,
        &[
            ("stopped", "remove", "stopped at"),
            ("orphan", "remove", "take the prompt in its queue"),
            ("registered", "remove", "retired"),
            ("cao_compat", "remove", "given up"),
            ("0123456789ab", "remove", "session is gone"),
        ],
    );
    assert_eq!(gc(&world, &["--older-than", "0s"]), planned);
    for (name, stays) in
        [("live", true), ("stopped", false), ("retired", false), ("closed", true), ("lost", true), ("broken", true)]
    {
        assert_eq!(roots[name].exists(), stays, "{name}");
    }
    assert!(!orphan.exists() && !path.exists() && !turns.exists());
    assert!(server.join("run").exists() && !server.join("sessions/registered").exists());
    assert_eq!(world.troop(&["relaunch", "lost"]).code, Some(0));
    world.mount_again();
    world.wait_status("live", "ready");
    world.wait_status("lost", "ready");
    assert_eq!(world.names("stopped").len(), 0);

    // A record that cannot be read may be of any session.
    fs::create_dir_all(&orphan).unwrap();
    world.plant_bytes("unreadable", b"{}");
    let kept = gc(&world, &["--older-than", "0s"]);
    assert!(kept["orphan"].1.contains("may name it") && orphan.exists(), "{kept:?}");
    let bad = world.troop(&["gc", "--older-than", "soon"]);
    assert_eq!(bad.code, Some(2), "{bad:?}");
}

/// Without a Home named, `troop gc` goes through all of them. A Home that is gone or has no session leaves the index, and
/// is itself never touched. Of a session root that another program made only troop's own directory goes. What a
/// registry elsewhere has, what a session of that name runs for, and what lies on another machine stays. A mount
/// whose troop has died is detached.
#[test]
fn clearing_away_in_all_homes() {
    if !have_root() {
        return;
    }
    let mut world = World::new();
    let sandbox = world.sandbox();
    let homes: Vec<PathBuf> = ["one", "two", "three"].map(|name| sandbox.path().join(name)).into();
    let launch = |name: &str, home: &Path| {
        let said = world.troop(&["--home", home.to_str().unwrap(), "launch", name]);
        assert_eq!(said.code, Some(0), "{said:?}");
        PathBuf::from(record_of(sandbox, name)["runtime"]["session_root"].as_str().unwrap())
    };
    let (gone, lives) = (launch("gone", &homes[0]), launch("lives", &homes[1]));
    let strays = homes[0].join("sessions/local_interactive/notes.txt");
    fs::write(&strays, "mine").unwrap();
    for stopped in ["gone", "last"] {
        if stopped == "last" {
            launch("last", &homes[2]);
        }
        assert_eq!(world.troop(&["stop", stopped]).code, Some(0));
    }
    let [foreign, afar, elsewhere, kept] = ["foreign", "afar", "elsewhere", "kept"].map(|name| {
        let root = homes[1].join("sessions/local_interactive").join(name);
        fs::create_dir_all(root.join("troop/queue")).unwrap();
        root
    });
    fs::copy(gone.join("manifest.json"), foreign.join("manifest.json")).unwrap();
    // Whoever writes a record does not make what it points to a session.
    let precious = sandbox.path().join("precious/sessions/local_interactive/photos");
    fs::create_dir_all(&precious).unwrap();
    fs::write(precious.join("manifest.json"), "mine").unwrap();
    let mut record = super::record("idofh", "hostile", "no-such-session", sandbox.path());
    record["runtime"]["session_root"] = precious.to_str().unwrap().into();
    record["runtime"]["manifest_path"] = precious.join("manifest.json").to_str().unwrap().into();
    record["lifecycle"] = json!({
        "state": "retired", "relaunchable": false, "state_updated_at": "2026-01-01T00:00:00+00:00",
        "stopped_at": "2026-01-01T00:00:00+00:00", "stop_reason": null,
    });
    record["terminal"]["current_session_name"] = Value::Null;
    record["liveness"] = Value::Null;
    world.plant_bytes("idofh", record.to_string().as_bytes());
    // Another machine's, another registry's, and one whose session runs.
    let mark = fs::read_to_string(lives.join("troop/machine.json")).unwrap();
    let mut mark: Value = serde_json::from_str(&mark).unwrap();
    let other = sandbox.path().join("other-registry");
    let mut record = super::record("idofe", "e", "no-such-session", sandbox.path());
    record["runtime"]["session_root"] = elsewhere.to_str().unwrap().into();
    fs::create_dir_all(other.join("live_agents/idofe")).unwrap();
    fs::write(other.join("live_agents/idofe/record.json"), record.to_string()).unwrap();
    mark["registry"] = other.to_str().unwrap().into();
    fs::write(elsewhere.join("troop/machine.json"), mark.to_string()).unwrap();
    (mark["machine_id"], mark["host"]) = ("another".into(), "far-away".into());
    fs::write(afar.join("troop/machine.json"), mark.to_string()).unwrap();
    fs::copy(lives.join("manifest.json"), kept.join("manifest.json")).unwrap();
    for root in [&foreign, &afar, &elsewhere, &kept] {
        grow_old(root);
    }
    let index = sandbox.home().join(".local/state/troop/homes.json");
    let known = || fs::read_to_string(&index).unwrap();
    let never = sandbox.path().join("never-was");
    fs::write(
        &index,
        known().replace(
            "\"homes\": [",
            &format!("\"homes\": [{{\"path\": {never:?}, \"lastSeenAt\": \"2026-01-01T00:00:00Z\"}},"),
        ),
    )
    .unwrap();
    world.mount().end(Signal::SIGKILL);
    let mountpoint = world.at("").file_name().unwrap().to_str().unwrap().to_owned();

    let before = on_disk(&world);
    let (plan, lines) = swept(&world, &["--dry-run", "--older-than", "0s"]);
    assert_eq!(on_disk(&world), before);
    says(
        &lines,
        &[
            ("gone", "remove", "stopped at"),
            ("last", "remove", "stopped at"),
            ("lives", "keep", "it is live"),
            ("hostile", "keep", "is not where a Home has its sessions"),
            ("foreign", "remove", "another program made the rest"),
            ("afar", "keep", "on another machine, far-away, and only there"),
            ("elsewhere", "keep", "other-registry has it"),
            ("kept", "keep", "its session is there"),
            ("one", "forget", "it stays"),
            ("two", "keep", "this Home has 5 sessions"),
            ("three", "forget", "it stays"),
            ("never-was", "forget", "not there any more"),
            (mountpoint.as_str(), "detach", "has died"),
        ],
    );
    assert_eq!((&plan["dry_run"], &plan["failed"]), (&true.into(), &0.into()));
    assert!(plan["bytes"].as_u64().unwrap() > 1000, "{plan}");

    // One Home and nothing else: what is not in it is not even listed.
    let home = homes[2].to_str().unwrap();
    let scoped = world.troop(&["gc", "--dry-run", "--json", "--older-than", "0s", "--home", home]);
    assert_eq!(report(&scoped).1.keys().collect::<Vec<_>>(), ["last"]);
    assert_eq!(on_disk(&world), before);

    let (done, same) = swept(&world, &["--older-than", "0s"]);
    assert_eq!(same, lines);
    assert_eq!((&done["removed"], &done["bytes"]), (&plan["removed"], &plan["bytes"]));
    for (path, stays) in [
        (&gone, false),
        (&strays, true),
        (&homes[2], true),
        (&foreign.join("manifest.json"), true),
        (&foreign.join("troop"), false),
        (&precious.join("manifest.json"), true),
        (&afar, true),
        (&elsewhere, true),
        (&kept, true),
    ] {
        assert_eq!(path.exists(), stays, "{}", path.display());
    }
    let left: Value = serde_json::from_str(&known()).unwrap();
    let left: Vec<&str> = left["homes"].as_array().unwrap().iter().map(|home| home["path"].as_str().unwrap()).collect();
    assert_eq!(left, [homes[1].to_str().unwrap()]);
    assert_eq!(world.troop(&["status"]).out, "1 ready\n");
}

/// A Home that cannot be listed counts as one with sessions, and what cannot be taken away is told while the rest goes.
#[test]
fn what_cannot_be_cleared_away() {
    if !have_root() {
        return;
    }
    let world = World::new();
    let sandbox = world.sandbox();
    let homes: Vec<PathBuf> = ["locked", "open"].map(|name| sandbox.path().join(name)).into();
    for (name, home) in [("a", &homes[0]), ("b", &homes[1])] {
        assert_eq!(world.troop(&["--home", home.to_str().unwrap(), "launch", name]).code, Some(0));
        assert_eq!(world.troop(&["stop", name]).code, Some(0));
    }
    // No permission keeps root out, but nobody deletes a file that is marked so, nor lists what is not a directory's.
    let root = PathBuf::from(record_of(sandbox, "a")["runtime"]["session_root"].as_str().unwrap());
    let manifest = root.join("manifest.json");
    let marked = sandbox.command("chattr").arg("+i").arg(&manifest).status().is_ok_and(|status| status.success());
    if !marked {
        return skip("this filesystem marks no file as immutable");
    }
    let said = said(sweep(&world, &["--json", "--older-than", "0s"]).output().unwrap());
    assert!(sandbox.command("chattr").arg("-i").arg(&manifest).status().unwrap().success());
    assert_eq!(said.code, Some(1), "{said:?}");
    let rows: Value = serde_json::from_str(&said.out).unwrap();
    let failed: Vec<&Value> =
        rows["lines"].as_array().unwrap().iter().filter(|row| row["action"] == "failed").collect();
    assert!(failed.len() == 1 && failed[0]["reason"].as_str().unwrap().contains("cannot remove"), "{said:?}");
    assert!(manifest.exists());
    assert_eq!(swept(&world, &["--older-than", "0s"]).1.get("b"), None, "the other one is gone");
}

/// In the mount, `gc [--older-than TIME] [--home DIR]` written to `control` does the same, dead mounts apart, and reading
/// `control` says when that was and how much went; `home forget DIR` takes a Home out of the index.
#[test]
fn clearing_away_by_control() {
    let world = World::with("a");
    world.launch("b");
    let home = world.sandbox().troop_home();
    assert_eq!(world.troop(&["stop", "a"]).code, Some(0));
    world.wait_there("stopped/a");
    world.write("control", &format!("gc --older-than 0s --home {}\n", home.display()));
    world.wait_gone("stopped/a");
    wait_until("what came of it", LIMIT, || {
        let control = world.read("control");
        if control.contains(": 1 taken away, 1 kept") { Ok(()) } else { Err(control) }
    });
    assert_eq!(world.names("agents"), ["b"]);

    let index = world.sandbox().home().join(".local/state/troop/homes.json");
    let knows = || fs::read_to_string(&index).unwrap().contains(home.to_str().unwrap());
    assert!(knows());
    world.write("control", &format!("home forget {}\n", home.display()));
    wait_until("the index to be without it", LIMIT, || if knows() { Err("it has it") } else { Ok(()) });
    assert_eq!(world.refused("control", "home forget relative\n").0, libc::EINVAL);
}

/// On a terminal, work that takes longer than a second shows how far it has come, and takes that away at its end.
#[test]
fn a_bar_on_a_terminal() {
    let world = World::with("a");
    let home = world.sandbox().troop_home();
    assert_eq!(world.troop(&["stop", "a"]).code, Some(0));
    // A server that takes connections and never answers.
    let server = world.sandbox().path().join("silent");
    let _silent = UnixListener::bind(&server).unwrap();
    let manifest = PathBuf::from(record_of(world.sandbox(), "a")["runtime"]["manifest_path"].as_str().unwrap());
    let mut text: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    text["launch_plan"]["metadata"]["troop_tmux_socket"] = server.to_str().unwrap().into();
    fs::write(&manifest, text.to_string()).unwrap();
    fs::create_dir_all(home.join("sessions/local_interactive/old")).unwrap();
    grow_old(&home.join("sessions/local_interactive/old"));
    let person = Person::sits_down(world.sandbox(), 100, 30);
    person.runs("troop gc --older-than 0s > list; tail -1 list; echo ended");
    person.reads(&["looking at records, sessions and Homes"]);
    let screen = person.reads(&["1 gone (0 B), 1 kept", "ended"]);
    assert!(!screen.contains("looking"), "{screen}");
    assert!(fs::read_to_string(world.sandbox().work().join("list")).unwrap().contains("did not answer within 5 s"));
}
