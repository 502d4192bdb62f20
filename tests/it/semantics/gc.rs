//! What is cleared away, and what is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::stop::record_of;
use super::world::World;

/// Everything in the registry and the Home, with its size.
fn on_disk(world: &World) -> Vec<(PathBuf, u64)> {
    let roots = [world.sandbox().registry(), world.sandbox().troop_home()];
    let mut paths: Vec<PathBuf> = roots.iter().flat_map(|root| super::tree::everything(root)).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::symlink_metadata(path).unwrap().len())).collect()
}

/// What `troop gc` says it does, by the name of the agent or else the directory.
#[track_caller]
fn gc(world: &World, args: &[&str]) -> BTreeMap<String, (String, String)> {
    let said = world.troop(&[&["gc", "--json"], args].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let rows: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = |row: &Value| match row["name"].as_str() {
        Some(name) => name.to_owned(),
        None => text(&row["path"]).rsplit('/').next().unwrap().to_owned(),
    };
    rows.iter().map(|row| (name(row), (text(&row["action"]), text(&row["reason"])))).collect()
}

/// `troop gc` takes away what nobody needs any more, in this registry and this Home alone: the record and the session root of
/// agents that were stopped longer ago than `--older-than` (7 days) or are retired, records whose session is gone and whose
/// manifest cannot be read, session roots that no record names, the turns of headless agents whose session is gone, and
/// what retired servers of Houmao have left. Nothing goes that is live, starting or not
/// understood, nor what belongs to another Home; each thing that stays is listed with the reason. `--dry-run` prints exactly
/// what the real run does, and writes nothing.
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
    // Nobody has been making it for so long.
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for path in super::tree::everything(&orphan).into_iter().chain([orphan.clone()]) {
        fs::File::open(path).unwrap().set_modified(an_hour_ago).unwrap();
    }
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
    for (name, action, reason) in [
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
    ] {
        assert!(week[name].0 == action && week[name].1.contains(reason), "{name}: {:?}", week[name]);
    }
    assert_eq!(week.len(), 10, "{week:?}");
    let removed = [
        ("stopped", "stopped at"),
        ("orphan", "take the prompt in its queue"),
        ("registered", "retired"),
        ("cao_compat", "given up"),
        ("0123456789ab", "session is gone"),
    ];
    for (name, reason) in removed {
        assert!(planned[name].0 == "remove" && planned[name].1.contains(reason), "{name}: {:?}", planned[name]);
    }
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
