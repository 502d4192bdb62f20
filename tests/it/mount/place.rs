//! A place of its own for each test to mount at, and something to serve there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;
use troop::fuse::mount::{Mounted, Mountpoint, unmount_path};
use troop::fuse::mountinfo::{self, MountEntry};

use crate::support::{hello, wait_until};

/// Tells `mount::serve_until_unmounted` where.
pub const SERVE_AT: &str = "TROOP_TEST_SERVE_AT";

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// A directory to mount on, in a directory of its own.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { dir: tempfile::Builder::new().prefix("troop-").tempdir().unwrap() };
        fs::create_dir(place.path()).unwrap();
        place
    }

    pub fn parent(&self) -> &Path {
        self.dir.path()
    }

    /// A name that the mount table escapes.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("m \\040#")
    }

    pub fn mounts(&self) -> Vec<MountEntry> {
        mountinfo::read().unwrap().into_iter().filter(|m| m.path == self.path()).collect()
    }

    pub fn types(&self) -> Vec<String> {
        self.mounts().into_iter().map(|m| m.fs_type).collect()
    }

    #[track_caller]
    pub fn serve(&self) -> Served {
        let (mounted, connection) = Mountpoint::prepare(&self.path(), false).unwrap().mount().unwrap();
        let session = std::thread::spawn(|| hello::serve(connection));
        assert_eq!(fs::read(self.path().join(hello::NAME)).unwrap().len(), hello::SIZE);
        Served { mounted, session }
    }

    /// A server in a process of its own, to be killed.
    #[track_caller]
    pub fn serve_in_child(&self) -> Child {
        let child = Command::new("/proc/self/exe")
            .args(["--ignored", "--exact", "mount::serve_until_unmounted"])
            .env(SERVE_AT, self.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the child to serve", LIMIT, || fs::read(self.path().join(hello::NAME)));
        child
    }

    pub fn leave_dead_mount(&self) {
        let mut child = self.serve_in_child();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(errno(fs::read_dir(self.path())), libc::ENOTCONN);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What a failed test left, and nothing but what is at the path of this test.
        for _ in self.mounts() {
            if umount2(&self.path(), MntFlags::MNT_DETACH).is_err() {
                let _ = unmount_path(&self.path());
            }
        }
    }
}

/// A mount with its session on a thread.
pub struct Served {
    pub mounted: Mounted,
    pub session: JoinHandle<std::io::Result<()>>,
}

impl Served {
    #[track_caller]
    pub fn end(self) {
        self.mounted.unmount().unwrap();
        self.session.join().unwrap().unwrap();
    }
}

fn errno<T>(result: std::io::Result<T>) -> i32 {
    result.err().and_then(|e| e.raw_os_error()).unwrap_or(0)
}
