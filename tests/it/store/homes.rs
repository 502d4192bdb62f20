//! The index of Homes, as processes and paths treat it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;
use troop::error::Kind;
use troop::store::homes::{INDEX_FILE, Index};

use super::now;

/// What a process of [`registers_when_asked`] is to register, and in which state directory.
const HOME: &str = "TROOP_TEST_REGISTER";
const STATE: &str = "TROOP_TEST_STATE";

fn paths(index: &Index) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = index.known().unwrap().into_iter().map(|known| known.path).collect();
    paths.sort();
    paths
}

/// What `many_processes_at_once` starts.
#[test]
#[ignore = "a part of another test, which starts it as a process"]
fn registers_when_asked() {
    let (Some(home), Some(state)) = (std::env::var_os(HOME), std::env::var_os(STATE)) else { return };
    // The end of the input is the sign.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    let index = Index::new(Path::new(&state));
    index.register(Path::new(&home), now()).unwrap();
    index.forget(&[Path::new(&home).with_file_name("nobody")]).unwrap();
}

#[test]
fn many_processes_at_once() {
    const PROCESSES: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let homes: Vec<PathBuf> = (10..10 + PROCESSES).map(|n| base.join(format!("home{n}"))).collect();
    let mut children: Vec<_> = homes
        .iter()
        .map(|home| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "store::homes::registers_when_asked", "--ignored", "--test-threads=1"])
                .env(HOME, home)
                .env(STATE, base.join("state"))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let started: Vec<_> = children.iter_mut().map(|child| child.stdin.take().unwrap()).collect();
    drop(started);
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(paths(&Index::new(&base.join("state"))), homes);
    // Nothing is left of their writing.
    let mut left: Vec<_> =
        std::fs::read_dir(base.join("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".homes.lock", INDEX_FILE]);
}

#[test]
fn a_home_has_one_path() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let index = Index::new(&base.join("state"));
    let real = base.join("real");
    std::fs::create_dir_all(real.join("home")).unwrap();
    symlink(&real, base.join("link")).unwrap();
    for same in ["real/home", "link/home", "real/../link/./home", "real/home/"] {
        index.register(&base.join(same), now()).unwrap();
        assert_eq!(paths(&index), [real.join("home")], "{same}");
    }
    // One that does not exist yet, below a symlink.
    index.register(&base.join("link/new/home"), now()).unwrap();
    assert_eq!(paths(&index), [real.join("home"), real.join("new/home")]);
    std::fs::create_dir_all(real.join("new/home")).unwrap();
    index.register(&base.join("real/new/home"), now()).unwrap();
    assert_eq!(paths(&index).len(), 2);
    // What has gone is forgotten by any of its names.
    std::fs::remove_dir_all(&real).unwrap();
    std::fs::create_dir(&real).unwrap();
    assert_eq!(index.forget(&[base.join("link/home"), base.join("real/x/../new/home")]).unwrap().len(), 2);
    assert!(paths(&index).is_empty());
}

#[test]
fn what_is_no_file_makes_nobody_wait() {
    let make = |what: &str, path: &Path| match what {
        "a pipe" => nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap(),
        "a directory" => std::fs::create_dir(path).unwrap(),
        _ => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
    };
    for what in ["a pipe", "a directory", "a socket"] {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::new(dir.path());
        make(what, &index.path());
        let error = index.known().unwrap_err();
        assert!(error.sentence().contains(INDEX_FILE), "{what}: {error}");
        // A socket cannot even be opened, so nobody knows that it is no index.
        match index.register(Path::new("/a"), now()) {
            Ok(()) => assert_eq!(paths(&index), [Path::new("/a")], "{what}"),
            Err(error) => assert!(what == "a socket" && error.sentence().contains(INDEX_FILE), "{what}: {error}"),
        }
        // The same in the place of its lock.
        let dir = tempfile::tempdir().unwrap();
        let index = Index::new(dir.path());
        make(what, &dir.path().join(".homes.lock"));
        match index.register(Path::new("/a"), now()) {
            Ok(()) => assert_eq!(paths(&index), [Path::new("/a")], "{what}"),
            Err(error) => assert!(what == "a socket" && error.sentence().contains(".homes.lock"), "{what}: {error}"),
        }
    }
}

#[test]
fn a_symlink_in_its_place_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::new(&dir.path().join("state"));
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    std::fs::write(&elsewhere, "precious").unwrap();
    symlink(&elsewhere, index.path()).unwrap();
    assert_eq!(index.known().unwrap_err().kind(), Kind::NotPermitted);
    assert_eq!(index.register(Path::new("/a"), now()).unwrap_err().kind(), Kind::NotPermitted);
    assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "precious");
}
