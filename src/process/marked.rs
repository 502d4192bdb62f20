//! The programs that were started with a variable of that value, wherever they went since.

use super::environ::variable;
use super::walk::{name, parent, process};
use crate::model::Process;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The most that are listed.
pub const MAX_MARKED: usize = 256;

/// How far a process is followed to its ancestors.
const MAX_ANCESTORS: usize = 64;

/// What carries things on for others: a terminal server and what runs in its panes, and troop.
const CARRIERS: [&str; 2] = ["tmux", "troop"];

/// This user's processes whose environment, as they were started, has `wanted` as the variable `key`, and that neither are
/// nor descend from a tmux server or a troop: those have sessions and mounts of their own, whoever started them.
pub fn marked(key: &str, wanted: &Path) -> Vec<Process> {
    let user = nix::unistd::getuid().as_raw();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
        (entry.metadata().ok()?.uid() == user).then_some(pid)
    });
    pids.filter(|pid| variable(*pid, key).is_some_and(|value| value == wanted))
        .filter(|pid| !is_carried(*pid))
        .filter_map(process)
        .take(MAX_MARKED)
        .collect()
}

fn is_carried(pid: i32) -> bool {
    let mut at = Some(pid).filter(|pid| *pid > 1);
    for _ in 0..MAX_ANCESTORS {
        let Some(pid) = at else { return false };
        let carries = u32::try_from(pid)
            .ok()
            .and_then(name)
            .is_some_and(|name| CARRIERS.iter().any(|carrier| name.split(':').next() == Some(carrier)));
        if carries {
            return true;
        }
        at = parent(pid).filter(|parent| *parent > 1);
    }
    // Whoever has so many ancestors is left alone.
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_program_is_known_by_what_it_was_started_with() {
        let mark = tempfile::tempdir().unwrap();
        let mut child = Command::new("cat")
            .env("TROOP_TEST_MARK", mark.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Until it runs, it is still us.
        while variable(pid, "TROOP_TEST_MARK").is_none() {
            std::thread::yield_now();
        }
        let carried = is_carried(i32::try_from(std::process::id()).unwrap());
        let found: Vec<i32> = marked("TROOP_TEST_MARK", mark.path()).iter().map(|process| process.pid).collect();
        // The tests themselves may run in a tmux.
        assert_eq!(found, if carried { vec![] } else { vec![pid] });
        assert_eq!(marked("TROOP_TEST_MARK", Path::new("/other")), []);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(marked("TROOP_TEST_MARK", mark.path()), []);
    }
}
