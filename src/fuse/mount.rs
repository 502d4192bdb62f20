//! Mounting by ourselves: `/dev/fuse` and mount(2) as root, fusermount3 for
//! everybody else.
//!
//! fuser's own mounting is not used, because its unmount can take away whatever
//! else has been mounted at the path since. Here nothing is detached that
//! `/proc/self/mountinfo` does not show to be the mount that is meant.

mod fusermount;
mod place;
mod root;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::unistd::Uid;

use crate::error::{Error, Kind, Result};
use crate::fuse::mountinfo::{self, MountEntry};
use crate::model::Pulse;
use crate::process::{Open, Stopped};

/// A directory that has been found fit to mount on, and is held so that no
/// second troop can choose it before [`Mountpoint::mount`].
#[derive(Debug)]
pub struct Mountpoint {
    path: PathBuf,
    directory: Flock<File>,
}

impl Mountpoint {
    /// Checks everything that can be known before mounting, and refuses with what
    /// to do about it: no FUSE here, no such directory, not empty, in use, not ours.
    /// A dead troop of the same user at `path` is detached. With `create` a missing
    /// directory is made (mode 0700; its parent must exist).
    pub fn prepare(path: &Path, create: bool) -> Result<Self> {
        check_machine()?;
        let path = place::resolve(path)?;
        place::make_free(&path)?;
        let directory = place::claim(&path, create)?;
        // Somebody may have mounted between the first look and the claim.
        place::make_free(&path)?;
        place::check_usable(&path)?;
        Ok(Self { path, directory })
    }

    /// Where it is: absolute, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mounts, for the calling user alone. The descriptor is the connection to the
    /// kernel, for `fuser::Session::from_fd`; until that is served, whoever touches
    /// the path waits.
    pub fn mount(self) -> Result<(Mounted, OwnedFd)> {
        let connection =
            if is_root() { root::mount(&self.path, &self.directory) } else { fusermount::mount(&self.path) }?;
        let watch =
            connection.try_clone().map_err(|e| Error::io("cannot keep a second handle on the mount just made", &e))?;
        let mounts = mountinfo::read()?;
        let entry = mountinfo::top_at(&mounts, &self.path).filter(|m| is_mine(m)).ok_or_else(|| {
            let path = self.path.display();
            Error::new(Kind::Io, format!("mounted at {path}, but the kernel does not list the mount there; try again"))
        })?;
        Ok((Mounted { path: self.path, device: entry.device.clone(), watch }, connection))
    }
}

/// A mount of ours, detached at the latest when this is dropped.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    device: String,
    /// A second handle on the connection, to tell whether it still has a mount:
    /// while it has, nothing else can bear its device number.
    watch: OwnedFd,
}

impl Mounted {
    /// Where it is: absolute, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The filesystem's `major:minor`. The minor is the name of the connection
    /// under `/sys/fs/fuse/connections`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Takes the mount away from the tree of files, also while files on it are
    /// open: those keep working until they are closed. Doing so again, or after
    /// somebody else did, is no error. Whatever else stands at the path stays.
    pub fn unmount(&self) -> Result<()> {
        if !self.connected() {
            return Ok(());
        }
        let mounts = mountinfo::read()?;
        match mountinfo::top_at(&mounts, &self.path) {
            Some(top) if top.device == self.device => detach(top),
            Some(top) if mounts.iter().any(|m| m.device == self.device && m.path == self.path) => Err(Error::new(
                Kind::Busy,
                format!(
                    "cannot unmount the troop at {}: {} is mounted over it; unmount that first",
                    self.path.display(),
                    named(top)
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the kernel still has the filesystem: mounted somewhere, or with files open.
    fn connected(&self) -> bool {
        let mut fds = [PollFd::new(self.watch.as_fd(), PollFlags::empty())];
        // The kernel answers POLLERR for a connection that has ended (fuse_dev_poll).
        let asked = nix::poll::poll(&mut fds, PollTimeout::ZERO);
        asked.is_err() || !fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLERR))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            tracing::warn!(%error, "left mounted");
        }
    }
}

/// Unmounts the troop at `path`, whoever serves it, dead or alive (`troop umount`).
/// Anything that is not a troop, or is another user's, is refused and left alone.
pub fn unmount_path(path: &Path) -> Result<()> {
    let path = place::resolve(path)?;
    let mounts = mountinfo::read()?;
    let at = path.display();
    let Some(top) = mountinfo::top_at(&mounts, &path) else {
        return Err(Error::new(Kind::NotFound, format!("nothing is mounted at {at}; `troop doctor` lists what is")));
    };
    if !top.is_troop() {
        let sentence =
            format!("{} is mounted at {at}, which is no troop, so it stays; umount(8) is for the rest", named(top));
        return Err(Error::new(Kind::NotPermitted, sentence));
    }
    if !is_mine(top) && !is_root() {
        let sentence = format!("the troop at {at} belongs to {}, who can unmount it", owner(top));
        return Err(Error::new(Kind::NotPermitted, sentence));
    }
    detach(top)
}

/// The processes that serve mounts of this user and are stopped. Whoever asks such a mount for anything waits until its
/// process goes on, and cannot even be killed before: the kernel has given it the question already.
pub fn stopped() -> Vec<Stopped> {
    crate::process::stopped(env!("CARGO_PKG_NAME"), Path::new(root::DEVICE))
}

/// Whether a mount can be asked without waiting for one of these. Where the kernel does not say which mounts a process
/// serves, none can.
pub fn can_be_asked(mount: &MountEntry, stopped: &[Stopped]) -> bool {
    let minor = mount.device.split_once(':').and_then(|(_, minor)| minor.parse::<u32>().ok());
    let serves = |open: &Open| open.fuse_connection.is_none() || open.fuse_connection == minor;
    !stopped.iter().any(|stopped| stopped.open.iter().any(serves))
}

/// Every troop mounted on this machine, as far as this process can see.
pub fn troop_mounts() -> Result<Vec<MountEntry>> {
    Ok(mountinfo::read()?.into_iter().filter(MountEntry::is_troop).collect())
}

/// The same that are the calling user's: nobody else's answers are to be believed.
pub fn own_mounts() -> Result<Vec<MountEntry>> {
    Ok(mountinfo::read()?.into_iter().filter(is_mine).collect())
}

/// The troops of the calling user, and how each answers; one that hangs takes two seconds.
pub fn pulses() -> Result<Vec<(PathBuf, Pulse)>> {
    let stopped = stopped();
    let with_pulse = |mount: MountEntry| {
        let pulse = place::pulse(&mount, &stopped);
        (mount.path, pulse)
    };
    Ok(own_mounts()?.into_iter().map(with_pulse).collect())
}

/// Detaches the troop at `path` if it is one of the calling user and its server has died; [`Kind::Busy`] if it lives.
pub fn detach_dead(path: &Path) -> Result<()> {
    let mounts = mountinfo::read()?;
    let Some(top) = mountinfo::top_at(&mounts, path).filter(|mount| is_mine(mount)) else { return Ok(()) };
    match place::pulse(top, &stopped()) {
        Pulse::Dead => detach(top),
        Pulse::Alive | Pulse::Silent => {
            Err(Error::new(Kind::Busy, format!("the troop at {} is served again", path.display())))
        }
    }
}

/// Whether FUSE filesystems can be mounted here by the calling user.
fn check_machine() -> Result<()> {
    root::open_device()?;
    if is_root() { Ok(()) } else { fusermount::find().map(drop) }
}

/// Takes `mount` away, also when its server is dead or files on it are open.
fn detach(mount: &MountEntry) -> Result<()> {
    if is_root() { root::unmount(mount) } else { fusermount::unmount(&mount.path) }
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Whether this is a troop of the calling user.
fn is_mine(mount: &MountEntry) -> bool {
    mount.is_troop() && mount.user_id() == Some(Uid::effective().as_raw())
}

/// What is mounted, for a sentence: `a tmpfs filesystem (none)`.
fn named(mount: &MountEntry) -> String {
    format!("a {} filesystem ({})", mount.fs_type, Path::new(&mount.source).display())
}

/// Whose mount it is, for a sentence: `user 1000`.
fn owner(mount: &MountEntry) -> String {
    mount.user_id().map_or_else(|| "another user".to_owned(), |id| format!("user {id}"))
}
