//! A disk of one's own, to be filled.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::skip;

/// What it takes.
const BYTES: u64 = 512 << 10;

/// A disk with little room; gone when this is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounted on `path`; says SKIPPED where that is not allowed.
    pub fn on(path: &Path) -> Option<Self> {
        if !skip::have_root() {
            return None;
        }
        fs::create_dir_all(path).unwrap();
        let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        match mount(Some("none"), path, Some("tmpfs"), flags, Some(format!("size={BYTES},mode=700").as_str())) {
            Ok(()) => Some(Self(path.to_owned())),
            Err(error) => {
                skip::skip(&format!("needs to mount a tmpfs: {error}"));
                None
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Fills it to the last byte, what is left of the last page of the file `last` too.
    pub fn fill(&self, last: &Path) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
        let mut last = File::options().append(true).open(last).unwrap();
        while last.write_all(b"\n").is_ok() {}
    }

    /// Leaves room for so many bytes and no more.
    pub fn leave(&self, bytes: u64) {
        let ballast = File::options().write(true).open(self.ballast()).unwrap();
        ballast.set_len(ballast.metadata().unwrap().len() - bytes).unwrap();
    }

    /// Takes away what fills it.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// Whether nothing can be written to it. Nothing may be open for writing there.
    pub fn set_read_only(&self, read_only: bool) {
        let flags = if read_only { MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY } else { MsFlags::MS_REMOUNT };
        mount(None::<&str>, &self.0, None::<&str>, flags, None::<&str>).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
