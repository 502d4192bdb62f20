//! The index of Homes beside launches: where it cannot be kept, and Homes in which nothing is as it should be.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use serde_json::Value;

use super::tree::everything;
use super::world::{Said, plant, record, said};
use crate::support::Sandbox;
use crate::support::disk::SmallDisk;
use crate::support::sandbox::troop_bin;
use crate::support::user::{USUAL_DEVICE, as_user};

/// How long a launch may take where nothing can be written down beside it.
const BOUND: Duration = Duration::from_secs(15);

fn troop(sandbox: &Sandbox, args: &[&str]) -> Said {
    said(sandbox.command(troop_bin()).args(args).output().unwrap())
}

#[track_caller]
fn launches(sandbox: &Sandbox, name: &str) {
    let began = Instant::now();
    let said = troop(sandbox, &["launch", name]);
    assert!(said.code == Some(0) && began.elapsed() < BOUND, "{name}: {said:?} after {:?}", began.elapsed());
}

#[track_caller]
fn homes(sandbox: &Sandbox) -> Vec<Value> {
    let said = troop(sandbox, &["home", "list", "--all", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn where_no_index_can_be_kept_agents_are_launched() {
    let sandbox = Sandbox::new();
    let state = sandbox.home().join(".local/state/troop");
    let index = state.join("homes.json");
    fs::create_dir_all(&state).unwrap();
    let home = sandbox.troop_home();

    // A pipe would make whoever opens it wait; it is set aside as any other thing that is no index.
    nix::unistd::mkfifo(&index, Mode::S_IRWXU).unwrap();
    launches(&sandbox, "pipe");
    assert!(index.is_file() && homes(&sandbox)[0]["registered"] == true);
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    launches(&sandbox, "directory");
    assert!(index.is_file() && homes(&sandbox)[0]["registered"] == true);

    // Where nothing can be written, the records still lead to the Home.
    if let Some(disk) = SmallDisk::on(&state) {
        fs::write(&index, "{\"homes\": []}").unwrap();
        disk.fill(&index);
        launches(&sandbox, "full");
        disk.free();
        assert_eq!(troop(&sandbox, &["launch", "room"]).code, Some(0));
        assert!(homes(&sandbox)[0]["registered"] == true, "there is room again");
        disk.set_read_only(true);
        launches(&sandbox, "read-only");
        let [found] = <[Value; 1]>::try_from(homes(&sandbox)).unwrap();
        assert_eq!((found["path"].as_str(), &found["total_sessions"]), (home.to_str(), &5.into()));
        let forgotten = troop(&sandbox, &["home", "forget", home.to_str().unwrap()]);
        assert!(forgotten.code == Some(1) && forgotten.err.contains("Read-only"), "{forgotten:?}");
    }
}

#[test]
fn a_new_home_below_a_symlink() {
    let sandbox = Sandbox::new();
    let real = sandbox.path().canonicalize().unwrap().join("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, sandbox.path().join("link")).unwrap();
    let named = sandbox.path().join("link/not/yet");
    let named = named.to_str().unwrap();
    assert_eq!(troop(&sandbox, &["launch", "a", "--home", named]).code, Some(0));
    let [home] = <[Value; 1]>::try_from(homes(&sandbox)).unwrap();
    assert_eq!((home["path"].as_str(), &home["registered"]), (real.join("not/yet").to_str(), &true.into()));
    // Whatever it is called, it is that agent and that Home.
    assert_eq!(
        troop(&sandbox, &["prompt", "a", "hello", "--home", real.join("not/yet").to_str().unwrap()]).code,
        Some(0)
    );
    assert_eq!(troop(&sandbox, &["stop", "a", "--home", named]).code, Some(0));
    assert_eq!(troop(&sandbox, &["relaunch", "a", "--home", named]).code, Some(0));
    assert_eq!(homes(&sandbox).len(), 1);
    // A path that is not absolute is one from here.
    let here = |path: &str| {
        said(sandbox.command(troop_bin()).args(["home", "forget", path]).current_dir(&real).output().unwrap())
    };
    assert_eq!(here("../link/not/yet/").code, Some(0));
    assert_eq!(homes(&sandbox)[0]["registered"], false);
    let again = here("not/yet");
    assert!(again.code == Some(3) && again.err.contains("not/yet is not in the index"), "{again:?}");
}

/// Every file with its bytes, and every directory, with their modes and times.
fn bytes(places: &[PathBuf]) -> BTreeMap<PathBuf, (Vec<u8>, u32, std::time::SystemTime)> {
    let all = places.iter().flat_map(|place| everything(place));
    all.map(|path| {
        let about = fs::symlink_metadata(&path).unwrap();
        let bytes = if about.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        (path, (bytes, about.permissions().mode(), about.modified().unwrap()))
    })
    .collect()
}

/// A session root in a Home with that manifest.
fn session(home: &Path, name: &str, manifest: &str) -> PathBuf {
    let root = home.join("sessions/local_interactive").join(name);
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("manifest.json"), manifest).unwrap();
    root
}

#[test]
fn listing_homes_as_an_ordinary_user_writes_nothing_whatever_is_in_them() {
    as_user(
        "semantics::index::listing_homes_as_an_ordinary_user_writes_nothing_whatever_is_in_them",
        USUAL_DEVICE,
        listing_writes_nothing,
    );
}

fn listing_writes_nothing() {
    let sandbox = Sandbox::new();
    let base = sandbox.path().canonicalize().unwrap();
    let [good, closed, empty, gone] = ["good", "closed", "empty", "gone"].map(|name| base.join(name));
    // A record that says it lives, of a session that is not there.
    let root = session(&good, "dead", "{}");
    let mut dead = record("dead", "dead", "no-such-session", &base);
    dead["runtime"]["session_root"] = root.to_str().unwrap().into();
    dead["runtime"]["manifest_path"] = root.join("manifest.json").to_str().unwrap().into();
    plant(&sandbox, "dead", dead.to_string().as_bytes());
    plant(&sandbox, "torn", b"{\"schema_version\": 3, ");
    session(&good, "corrupt", "{ no JSON");
    session(&good, "newer", r#"{"schema_version": 99, "of": "a newer program"}"#);
    let pipe = good.join("sessions/local_interactive/pipe");
    fs::create_dir(&pipe).unwrap();
    nix::unistd::mkfifo(&pipe.join("manifest.json"), Mode::S_IRWXU).unwrap();
    fs::write(good.join("sessions/stray"), "").unwrap();
    session(&closed, "s", "{}");
    fs::create_dir_all(empty.join("sessions/local_interactive")).unwrap();
    let state = sandbox.home().join(".local/state/troop");
    fs::create_dir_all(&state).unwrap();
    let entries = [&good, &closed, &empty, &gone]
        .map(|home| format!(r#"{{"path": {home:?}, "lastSeenAt": "2026-01-01T00:00:00Z", "of": "a newer program"}}"#));
    fs::write(state.join("homes.json"), format!(r#"{{"version": 2, "homes": [{}, 7]}}"#, entries.join(", "))).unwrap();

    let places = [sandbox.registry(), good.clone(), empty, gone, state];
    let places: Vec<PathBuf> = places.into_iter().filter(|place| place.exists()).collect();
    let before = bytes(&places);
    fs::set_permissions(closed.join("sessions"), fs::Permissions::from_mode(0o000)).unwrap();
    for args in [&["home", "list"][..], &["home", "list", "--all"], &["home", "list", "--all", "--json"]] {
        let said = troop(&sandbox, args);
        assert!(said.code == Some(0) && said.out.contains(good.to_str().unwrap()), "{args:?}: {said:?}");
    }
    let [listed] = <[Value; 1]>::try_from(homes(&sandbox)).unwrap();
    let counts = (&listed["active_sessions"], &listed["total_sessions"]);
    assert_eq!((listed["path"].as_str(), counts), (good.to_str(), (&1.into(), &3.into())));
    assert!(bytes(&places) == before, "listing has changed a file");
    // The Home that could not be read is there again when it can be.
    fs::set_permissions(closed.join("sessions"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(homes(&sandbox).len(), 2);
}
