//! Programs that a signal keeps from running.

use super::open::{Open, open_files};
use super::walk;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A process that is stopped, and what it has open at the path that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Its id.
    pub pid: i32,
    /// Its descriptors there.
    pub open: Vec<Open>,
}

/// This user's processes that call themselves `name`, have `path` open and are stopped: whoever waits for one of them
/// waits until somebody lets it go on.
pub fn stopped(name: &str, path: &Path) -> Vec<Stopped> {
    let user = nix::unistd::getuid().as_raw();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
        (entry.metadata().ok()?.uid() == user).then_some(pid)
    });
    let at_path =
        |pid: i32| Stopped { pid, open: open_files(pid).into_iter().filter(|open| open.path == path).collect() };
    pids.filter(|pid| walk::is_stopped(*pid, name)).map(at_path).filter(|stopped| !stopped.open.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::Pid;

    #[test]
    fn only_what_is_stopped_and_has_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(file.reopen().unwrap()).spawn().unwrap();
        let pid = child.id().cast_signed();
        let stopped = |name, path| super::stopped(name, path).iter().map(|stopped| stopped.pid).collect::<Vec<_>>();
        let before = stopped("sleep", file.path());
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WUNTRACED)).unwrap();
        let found = [stopped("sleep", file.path()), stopped("cat", file.path()), stopped("sleep", Path::new("/no"))];
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((before, found), (vec![], [vec![pid], vec![], vec![]]));
    }
}
