//! What troop writes to disk is its owner's alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::headless::turner;
use super::tree::everything;
use super::world::{LIMIT, said};
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_until};

/// Everything at or below a directory that others may do anything with.
fn open_to_others(dir: &Path) -> Vec<String> {
    let all = everything(dir).into_iter().chain([dir.to_owned()]);
    let mode = |path: &PathBuf| fs::symlink_metadata(path).unwrap();
    all.map(|path| (mode(&path), path))
        .filter(|(about, _)| !about.is_symlink() && about.permissions().mode() & 0o077 != 0)
        .map(|(about, path)| format!("{:o} {}", about.permissions().mode(), path.display()))
        .collect()
}

/// What troop makes on disk is its owner's alone as well, whatever the umask: directories are 0700 and files 0600,
/// of records and sessions with their journals, queues and turns, and of the index of Homes and the log of a mount.
#[test]
fn on_disk_too() {
    let sandbox = Sandbox::new();
    let troop = |args: &[&str]| {
        let mut command = sandbox.command("sh");
        command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(troop_bin()).args(args);
        let said = said(command.output().unwrap());
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    };
    let mnt = sandbox.path().join("mnt");
    fs::create_dir(&mnt).unwrap();
    troop(&["mount", "--detach", mnt.to_str().unwrap()]);
    let status = |name: &str, wanted: &str| {
        let path = mnt.join("agents").join(name).join("status");
        wait_until(&format!("{name} to be {wanted}"), LIMIT, || match fs::read_to_string(&path) {
            Ok(status) if status.trim_end() == wanted => Ok(()),
            other => Err(other),
        });
    };
    fs::write(mnt.join("control"), "launch a --env SECRET=x\n").unwrap();
    let turner = format!("launch h --tool claude --headless -- {} --style claude\n", turner().display());
    fs::write(mnt.join("control"), turner).unwrap();
    troop(&["launch", "c"]);
    status("a", "ready");
    status("h", "ready");
    for name in ["a", "h"] {
        fs::write(mnt.join("agents").join(name).join("prompt"), "hello").unwrap();
        status(name, "ready");
    }
    fs::write(mnt.join("agents/a/prompt"), "sim:work=600000").unwrap();
    fs::write(mnt.join("agents/a/queue/1"), "later").unwrap();
    troop(&["stop", "c"]);
    troop(&["relaunch", "c"]);

    let state = sandbox.home().join(".local/state/troop");
    let places = [sandbox.registry(), sandbox.troop_home(), state];
    let found: Vec<PathBuf> = places.iter().flat_map(|place| everything(place)).collect();
    let ends = ["record.json", "manifest.json", "launch.env", "history.jsonl", "queue/1", "exitcode", "homes.json"];
    for end in ends.into_iter().chain(["life.lock", ".troop.lock", ".homes.lock", "mount.log", "machine.json"]) {
        assert!(found.iter().any(|path| path.ends_with(end)), "there is no {end}: {found:#?}");
    }
    let open: Vec<String> = places.iter().flat_map(|place| open_to_others(place)).collect();
    assert!(open.is_empty(), "{open:#?}");
    troop(&["umount", mnt.to_str().unwrap()]);
}
