//! The directory to mount on: where it really is, and why it may not do.
//!
//! Nothing here asks a mounted filesystem anything before the mount table has
//! said that it is a troop of the same user: a dead or hung one would not answer.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::statvfs::statvfs;
use nix::unistd::AccessFlags;

use super::{can_be_asked, detach, is_mine, is_root, named, owner, stopped};
use crate::error::{Error, Kind, Result};
use crate::fuse::mountinfo::{self, MountEntry};
use crate::model::Pulse;
use crate::process::Stopped;

/// How long a troop found at the path may take to show that it is alive.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Symbolic links followed before giving up, as the kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Dead troops removed from one path before giving up.
const MAX_DEAD: usize = 16;

/// The absolute path that the mount table will show. Only the parent is resolved
/// by the kernel: the last name may be the root of a dead mount, which every
/// `stat` (and so `canonicalize`) fails on.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let refuse = |at: &Path, e: io::Error| match Errno::from_raw(e.raw_os_error().unwrap_or(0)) {
        Errno::ENOENT => Error::new(
            Kind::NotFound,
            format!("there is no directory {}; create it, or choose another mountpoint", at.display()),
        ),
        Errno::ENOTCONN => Error::new(
            Kind::Invalid,
            format!("{} lies on a filesystem whose server has died; unmount that first", at.display()),
        ),
        _ => Error::io(format!("cannot use {} as a mountpoint", path.display()), &e),
    };
    let mut path = std::path::absolute(path).map_err(|e| refuse(path, e))?;
    for _ in 0..MAX_LINKS {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return fs::canonicalize(&path).map_err(|e| refuse(&path, e));
        };
        let parent = fs::canonicalize(parent).map_err(|e| refuse(parent, e))?;
        match fs::read_link(parent.join(name)) {
            Ok(target) => path = parent.join(target),
            Err(_) => return Ok(parent.join(name)),
        }
    }
    Err(Error::new(Kind::Invalid, format!("{} leads through more than {MAX_LINKS} links", path.display())))
}

/// Leaves with success only when nothing is mounted at `path`; removes dead troops
/// of the same user.
pub(super) fn make_free(path: &Path) -> Result<()> {
    let at = path.display();
    let busy = |sentence: String| Err(Error::new(Kind::Busy, sentence));
    for _ in 0..MAX_DEAD {
        let mounts = mountinfo::read()?;
        let Some(top) = mountinfo::top_at(&mounts, path) else { return Ok(()) };
        if !top.is_troop() {
            return busy(format!("{} is mounted at {at}; choose another directory", named(top)));
        }
        if !is_mine(top) {
            return busy(format!("the troop of {} is mounted at {at}; choose another directory", owner(top)));
        }
        match pulse(top, &stopped()) {
            Pulse::Dead => detach(top)?,
            Pulse::Alive => {
                return busy(format!("a troop is already mounted at {at}; `troop umount {at}` takes it away"));
            }
            Pulse::Silent => {
                return busy(format!(
                    "the troop mounted at {at} has not answered within {} s, or is stopped; `troop umount {at}` takes it away",
                    ANSWER_LIMIT.as_secs()
                ));
            }
        }
    }
    busy(format!("{at} is covered by dead mounts that come back; choose another directory"))
}

/// Whether a filesystem is still served. Asked with statfs, because
/// the kernel answers a stat from its cache for a while after the server died. One
/// whose server is stopped is not asked.
pub(super) fn pulse(mount: &MountEntry, stopped: &[Stopped]) -> Pulse {
    if !can_be_asked(mount, stopped) {
        return Pulse::Silent;
    }
    let (answer, answered) = mpsc::channel();
    let path = mount.path.clone();
    // Left behind when it gets no answer: a waiting system call cannot be called off.
    std::thread::spawn(move || answer.send(statvfs(&path).map(drop)));
    match answered.recv_timeout(ANSWER_LIMIT) {
        Ok(Err(Errno::ENOTCONN | Errno::ECONNABORTED)) => Pulse::Dead,
        Ok(_) => Pulse::Alive,
        Err(_) => Pulse::Silent,
    }
}

/// Opens the directory and locks it, so that of two troops started at once one is refused.
pub(super) fn claim(path: &Path, create: bool) -> Result<Flock<File>> {
    let at = path.display();
    if create {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io(format!("cannot create the mountpoint {at}"), &e)),
        }
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let directory =
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::new(
                Kind::NotFound,
                format!(
                    "there is no directory {at}; create it with `mkdir {at}`, or leave the path out to use ~/troop"
                ),
            ),
            io::ErrorKind::NotADirectory => {
                Error::new(Kind::Invalid, format!("{at} is not a directory; choose an empty directory"))
            }
            io::ErrorKind::PermissionDenied => not_ours(path),
            _ => Error::io(format!("cannot use {at} as a mountpoint"), &e),
        })?;
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
        Errno::EWOULDBLOCK => Error::new(Kind::Busy, format!("another troop is just being mounted at {at}")),
        e => Error::io(format!("cannot lock the mountpoint {at}"), &e.into()),
    })
}

/// What a mount would hide, and what fusermount3 would refuse.
pub(super) fn check_usable(path: &Path) -> Result<()> {
    let at = path.display();
    let mut entries = fs::read_dir(path).map_err(|e| Error::io(format!("cannot list the mountpoint {at}"), &e))?;
    if entries.next().is_some() {
        let sentence = format!("{at} is not empty, and a mount would hide what is in it; choose an empty directory");
        return Err(Error::new(Kind::Invalid, sentence));
    }
    if !is_root() && nix::unistd::access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Err(not_ours(path));
    }
    Ok(())
}

fn not_ours(path: &Path) -> Error {
    let sentence = format!("{} is not yours to mount on; choose a directory you may write to", path.display());
    Error::new(Kind::Unavailable, sentence)
}
