//! What a test left behind: mounts, sockets, processes, files.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// Directories below a root that are searched for sockets.
const MAX_DEPTH: usize = 5;

/// A process that still runs in a directory it should have left.
#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub command: String,
}

/// Where troops are still mounted at or below `root`.
pub fn mounts_under(root: &Path) -> Vec<PathBuf> {
    let mounts = troop::fuse::mount::troop_mounts().unwrap();
    mounts.into_iter().map(|m| m.path).filter(|path| path.starts_with(root)).collect()
}

/// The sockets below `root`, served or not.
pub fn sockets_under(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_socket() => found.push(entry.path()),
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => directories.push((entry.path(), depth + 1)),
                _ => {}
            }
        }
    }
    found
}

/// The processes, other than this one and its parents, whose environment, command line
/// or working directory names something below `root`.
pub fn processes_in(root: &Path) -> Vec<Process> {
    let below = [root.as_os_str().as_bytes(), b"/"].concat();
    let exempt = self_and_parents();
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| !exempt.contains(pid)).filter_map(|pid| touching(pid, &below)).collect()
}

/// Every sentence about what is left at or below `root`; empty when nothing is.
pub fn report(root: &Path) -> Vec<String> {
    let mounts = mounts_under(root).into_iter().map(|path| format!("still mounted: {}", path.display()));
    let sockets = sockets_under(root).into_iter().map(|path| format!("a socket: {}", path.display()));
    let processes = processes_in(root).into_iter().map(|p| format!("a process: {} {}", p.pid, p.command));
    let files = fs::read_dir(root).into_iter().flatten().flatten().map(|e| format!("a file: {}", e.path().display()));
    mounts.chain(sockets).chain(processes).chain(files).collect()
}

fn touching(pid: i32, below: &[u8]) -> Option<Process> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    // A zombie's files are empty: it holds nothing, and its parent is found by itself.
    let holds = |name: &str| fs::read(proc.join(name)).is_ok_and(|bytes| contains(&bytes, below));
    let stands_in =
        fs::read_link(proc.join("cwd")).is_ok_and(|cwd| [cwd.as_os_str().as_bytes(), b"/"].concat().starts_with(below));
    (holds("environ") || holds("cmdline") || stands_in).then(|| {
        let command = fs::read(proc.join("cmdline")).unwrap_or_default();
        Process { pid, command: String::from_utf8_lossy(&command).replace('\0', " ") }
    })
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn self_and_parents() -> Vec<i32> {
    let mut line = vec![Pid::this().as_raw()];
    while let Some(parent) = parent_of(*line.last().unwrap()).filter(|&pid| pid > 0) {
        line.push(parent);
    }
    line
}

fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// The last step of `scripts/test`, which names the directory that every test worked in.
#[test]
#[ignore = "looks for what the other tests left; scripts/test runs it after them"]
fn nothing_is_left_behind() {
    let root = std::env::var_os("TROOP_TEST_ROOT").expect("TROOP_TEST_ROOT names the directory to look in");
    let left = report(Path::new(&root));
    assert!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
}

#[test]
fn a_leak_is_seen() {
    let root = tempfile::tempdir().unwrap();
    assert!(report(root.path()).is_empty(), "{:?}", report(root.path()));
    let work = root.path().join("work");
    fs::create_dir(&work).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(work.join("s")).unwrap();
    let mut child = std::process::Command::new("sleep").arg("60").current_dir(&work).spawn().unwrap();
    let seen = report(root.path());
    child.kill().unwrap();
    child.wait().unwrap();
    for expected in ["a socket: ", &format!("a process: {} sleep 60", child.id()), "a file: "] {
        assert!(seen.iter().any(|line| line.starts_with(expected)), "no {expected:?} in {seen:?}");
    }
}
