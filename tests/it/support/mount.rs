//! A mounted troop: `troop mount PATH` as a child in the foreground, taken away on drop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use troop::fuse::mount;

use super::Sandbox;
use super::sandbox::troop_bin;
use super::wait::wait_until;

/// How long a mount may take to answer.
const MOUNT_LIMIT: Duration = Duration::from_secs(10);

/// How long the daemon may take to unmount and end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running `troop mount`.
pub struct Mount {
    path: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Sandbox {
    /// Mounts this sandbox's troop at `mnt` in it, and returns when it answers.
    #[track_caller]
    pub fn mount(&self) -> Mount {
        self.mount_with(&[])
    }

    /// The same with more arguments for `troop mount`.
    #[track_caller]
    pub fn mount_with(&self, args: &[&str]) -> Mount {
        self.mount_logging(args, None)
    }

    /// The same, logging as `TROOP_LOG` says; [`Mount::log`] has it.
    #[track_caller]
    pub fn mount_logging(&self, args: &[&str], filter: Option<&str>) -> Mount {
        let path = self.path().join("mnt");
        fs::create_dir_all(&path).unwrap();
        let log = self.path().join("mount.log");
        let out = File::create(&log).unwrap();
        let mut command = self.command(troop_bin());
        command.arg("mount").args(args).arg(&path).stdout(out.try_clone().unwrap()).stderr(out);
        command.envs(filter.map(|filter| ("TROOP_LOG", filter)));
        let mut mount = Mount { child: command.spawn().unwrap(), path, log };
        wait_until("troop mount to answer", MOUNT_LIMIT, || mount.answers());
        mount
    }
}

impl Mount {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the tree.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.join(path)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// What the daemon has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends `signal` and gives how the daemon ended.
    #[track_caller]
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        let _ = kill(self.pid(), signal);
        wait_until("troop mount to end", STOP_LIMIT, || {
            self.child.try_wait().unwrap().ok_or_else(|| fs::read_to_string(&self.log))
        })
    }

    fn answers(&mut self) -> Result<(), String> {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("troop mount ended with {status}:\n{}", self.log());
        }
        // Not before it is mounted: the empty directory below answers too.
        let mounts = mount::troop_mounts().unwrap();
        if !mounts.iter().any(|m| m.path == self.path) {
            return Err(format!("not mounted; {}", self.log()));
        }
        fs::read_dir(&self.path).map(drop).map_err(|e| format!("{e}; {}", self.log()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            let _ = mount::unmount_path(&self.path);
            return;
        }
        let _ = kill(self.pid(), Signal::SIGTERM);
        let deadline = std::time::Instant::now() + STOP_LIMIT;
        while self.child.try_wait().unwrap().is_none() {
            if std::time::Instant::now() > deadline {
                let _ = mount::unmount_path(&self.path);
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                if !std::thread::panicking() {
                    panic!("troop mount did not end within {STOP_LIMIT:?} of SIGTERM:\n{}", self.log());
                }
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let left = mount::troop_mounts().unwrap().into_iter().any(|m| m.path == self.path);
        if left {
            let _ = mount::unmount_path(&self.path);
            assert!(std::thread::panicking(), "troop mount ended and left {} mounted", self.path.display());
        }
    }
}
