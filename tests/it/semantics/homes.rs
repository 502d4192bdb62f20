//! Homes: the directories in which agents have their sessions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::world::{LIMIT, World};
use crate::support::{Sandbox, wait_until};

/// Every file below a directory, with its bytes and when it changed.
fn everything(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                dirs.push(path.clone());
            }
            let bytes = if kind.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            found.insert(path, (bytes, entry.metadata().unwrap().modified().unwrap()));
        }
    }
    found
}

fn homes(world: &World, args: &[&str]) -> Vec<Value> {
    let said = world.troop(&[&["home", "list", "--json"], args].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// A Home is a directory in which agents have their sessions: troop's own, which `--home` or TROOP_HOME
/// names, and every other that a record points into. `homes/N` shows each that has a session: `path` leads to it,
/// `summary.json` says how many sessions it has and how many of them live, and `agents/` has links to
/// its agents, live and stopped. N stays the same while mounted.
#[test]
fn homes_in_the_mount() {
    let world = World::with("a");
    let wanted = |active: u64| {
        let text = fs::read_to_string(world.at("homes/1/summary.json")).map_err(|error| error.to_string())?;
        let summary: Value = serde_json::from_str(&text).unwrap();
        if summary["active_sessions"] == active { Ok(summary) } else { Err(text) }
    };
    let summary = wait_until("its Home", LIMIT, || wanted(1));
    let home = world.sandbox().troop_home();
    assert_eq!((summary["path"].as_str(), &summary["total_sessions"]), (home.to_str(), &1.into()));
    assert_eq!(fs::read_link(world.at("homes/1/path")).unwrap(), home);
    assert_eq!(world.names("homes"), ["1"]);
    assert_eq!(world.names("homes/1/agents"), ["a"]);
    assert_eq!(world.read("homes/1/agents/a/status"), "ready\n");

    // A record of somebody else leads to another Home.
    let foreign = world.sandbox().path().join("project/.houmao/runtime");
    let root = foreign.join("sessions/local_interactive/s-1");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("manifest.json"), "{}").unwrap();
    let mut record = super::record("idofb", "b", "no-such-session", world.sandbox().path());
    record["runtime"]["session_root"] = root.to_str().unwrap().into();
    record["runtime"]["manifest_path"] = root.join("manifest.json").to_str().unwrap().into();
    world.plant_bytes("idofb", record.to_string().as_bytes());
    world.wait_there("homes/2/agents/b");
    assert_eq!(fs::read_link(world.at("homes/2/path")).unwrap(), foreign);

    assert_eq!(world.troop(&["stop", "a"]).code, Some(0));
    wait_until("it to be counted as stopped", LIMIT, || wanted(0));
    assert_eq!(fs::read_link(world.at("homes/1/agents/a")).unwrap(), Path::new("../../../stopped/a"));
    assert_eq!(world.names("homes"), ["1", "2"]);
}

/// A launch writes the Home it uses into the index, `${XDG_STATE_HOME:-~/.local/state}/troop/homes.json`,
/// and never fails because that cannot be done. An entry that cannot be understood costs only itself, what is unknown
/// stays in the file, and a file that is no index is kept beside the new one.
#[test]
fn the_index_of_homes() {
    let sandbox = Sandbox::new();
    let (index, aside) = (sandbox.home().join(".local/state/troop/homes.json"), sandbox.path().join("aside"));
    fs::create_dir_all(index.parent().unwrap()).unwrap();
    fs::write(
        &index,
        r#"{"version": 9, "homes": [{"path": 1}, {"path": "/gone", "lastSeenAt": "2026-01-01T00:00:00Z"}], "x": 1}"#,
    )
    .unwrap();
    let world = World::mounted(sandbox, &[]);
    world.launch("a");
    let read = || serde_json::from_slice::<Value>(&fs::read(&index).unwrap()).unwrap();
    let home = world.sandbox().troop_home();
    let has = || {
        let text = read();
        let known = text["homes"].as_array().unwrap().iter().any(|entry| entry["path"].as_str() == home.to_str());
        if known { Ok(()) } else { Err(text) }
    };
    wait_until("the Home to be in the index", LIMIT, has);
    assert_eq!(
        (&read()["version"], &read()["x"], read()["homes"].as_array().unwrap().len()),
        (&9.into(), &1.into(), 3)
    );

    fs::write(&index, "no JSON").unwrap();
    world.launch("b");
    wait_until("the index to be written anew", LIMIT, has);
    let kept = fs::read_dir(index.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<_> = kept.filter(|path| path.to_string_lossy().contains("homes.json.bad-")).collect();
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "no JSON");

    // Where there is no room for an index, agents are launched all the same.
    fs::rename(index.parent().unwrap(), &aside).unwrap();
    fs::write(index.parent().unwrap(), "a file").unwrap();
    world.launch("c");
}

/// `troop home list` lists the Homes in which an agent lives, the one used last first, `--all` those too in which
/// none does; a Home without sessions is not listed. Counts are made by looking, every time, and looking
/// changes nothing: not a byte in a Home, in the registry or in the index. `troop home forget PATH` takes a
/// Home out of the index and leaves it as it is.
#[test]
fn listing_and_forgetting_homes() {
    let world = World::with("a");
    let home = world.sandbox().troop_home();
    let index = world.sandbox().home().join(".local/state/troop/homes.json");
    wait_until("the index", LIMIT, || fs::metadata(&index));
    let empty = world.sandbox().path().join("empty");
    fs::create_dir(&empty).unwrap();
    let text = fs::read_to_string(&index).unwrap().replacen(
        "\"homes\": [",
        &format!("\"homes\": [{{\"path\": {empty:?}, \"lastSeenAt\": \"2026-01-01T00:00:00Z\"}},"),
        1,
    );
    fs::write(&index, text).unwrap();

    let [listed] = <[Value; 1]>::try_from(homes(&world, &[])).unwrap();
    let counts = (&listed["active_sessions"], &listed["total_sessions"], &listed["registered"]);
    assert_eq!((listed["path"].as_str(), counts), (home.to_str(), (&1.into(), &1.into(), &true.into())));
    assert_eq!(world.troop(&["stop", "a"]).code, Some(0));
    let places =
        [world.sandbox().troop_home(), world.sandbox().registry(), world.sandbox().home().join(".local/state")];
    let before = places.clone().map(|place| everything(&place));
    assert_eq!(homes(&world, &[]), [Value::Null; 0]);
    assert_eq!(homes(&world, &["--all"])[0]["total_sessions"], 1);
    assert!(world.troop(&["home", "list", "--all"]).out.contains(&format!("{}  0/1 active", home.display())));
    assert_eq!(places.map(|place| everything(&place)), before);

    let inside = everything(&home);
    assert_eq!(world.troop(&["home", "forget", empty.to_str().unwrap()]).code, Some(0));
    assert_eq!(world.troop(&["home", "forget", empty.to_str().unwrap()]).code, Some(3), "it is not there any more");
    assert_eq!(world.troop(&["home", "forget", home.to_str().unwrap()]).code, Some(0));
    assert_eq!(everything(&home), inside);
    assert_eq!(homes(&world, &["--all"])[0]["registered"], false, "its record leads to it");
}
