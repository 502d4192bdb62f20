//! Changes of the registry as they happen, through inotify.
//!
//! A directory is watched before it is read: what appears between the two is
//! seen twice and never missed. The watches are one a directory, placed here;
//! a registry that is not there yet is awaited in its nearest parent that is.

use super::scan::{LIVE_AGENTS, RECORD_FILE};
use crate::error::{Error, Kind, Result};
use crate::model::name::is_registry_token;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// What counts as a change. Reading a file does not: it must not lead to reading it.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_ATTRIB);

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record in the directory of that name under `live_agents/` appeared, changed or went.
    Record(String),
    /// Anything may have changed: scan again.
    Rescan,
    /// Something in a directory given to [`Watch::also`] appeared, changed or went.
    Path(PathBuf),
}

/// A running watch; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    watches: Arc<Watches>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the registries at `roots`, there or not yet, and calls `sender` for
    /// every change, on a thread of its own. All watches are placed when this
    /// returns, so a scan made afterwards misses nothing. While `sender` waits, the
    /// kernel keeps what happens, and says so when that is too much.
    pub fn start(roots: &[PathBuf], sender: impl Fn(Change) + Send + 'static) -> Result<Self> {
        let watches = Arc::new(Watches {
            inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(unavailable)?,
            stop: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(unavailable)?,
            watched: Mutex::new(BTreeMap::new()),
            targets: roots.iter().map(|root| root.join(LIVE_AGENTS)).collect(),
        });
        for target in &watches.targets {
            watches.settle(target)?;
        }
        let shared = Arc::clone(&watches);
        let thread = std::thread::Builder::new()
            .name("troop-watch".to_owned())
            .spawn(move || shared.run(&sender))
            .map_err(|error| Error::io("cannot start the thread that watches the registry", &error))?;
        Ok(Self { watches, thread: Some(thread) })
    }

    /// Watches one more directory, not what is below it; its changes come as [`Change::Path`].
    pub fn also(&self, path: Arc<Path>) -> Result<()> {
        self.watches.place(path, true)
    }

    /// Watches a directory of [`Watch::also`] no longer.
    pub fn forget(&self, path: &Path) {
        if let Some(watched) = self.watches.watched.lock().values_mut().find(|watched| *watched.path == *path) {
            watched.also = false;
        }
        self.watches.leave(|watched| *watched.path == *path && !self.watches.is_wanted(path));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.watches.stop.write(1);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// One directory that the kernel watches for us.
#[derive(Debug, Clone)]
struct Watched {
    path: Arc<Path>,
    /// Asked for by [`Watch::also`].
    also: bool,
}

#[derive(Debug)]
struct Watches {
    inotify: Inotify,
    /// Readable once the watch is to end.
    stop: EventFd,
    // Held while a watch is placed, so that none of its events is looked up too early.
    watched: Mutex<BTreeMap<WatchDescriptor, Watched>>,
    /// The `live_agents` of each registry.
    targets: Vec<PathBuf>,
}

impl Watches {
    fn run(&self, sender: &impl Fn(Change)) {
        loop {
            let mut fds = [self.stop.as_fd(), self.inotify.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) if fds[0].any() != Some(false) => return,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return tracing::warn!(%error, "the registry is watched no longer"),
            }
            match self.inotify.read_events() {
                Ok(events) => events.iter().for_each(|event| self.sort_out(event, sender)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return tracing::warn!(%error, "the registry is watched no longer"),
            }
        }
    }

    fn sort_out(&self, event: &InotifyEvent, sender: &impl Fn(Change)) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            self.targets.iter().for_each(|target| self.settle_or_warn(target));
            return sender(Change::Rescan);
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.watched.lock().remove(&event.wd);
            return;
        }
        let Some(Watched { path, also }) = self.watched.lock().get(&event.wd).cloned() else { return };
        let path = event.name.as_ref().map_or_else(|| path.to_path_buf(), |name| path.join(name));
        // The watch goes with the directory. Another name that we know it by has been given to it by now.
        if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) && !path.is_dir() {
            self.leave(|watched| *watched.path == *path);
        }
        for target in &self.targets {
            if target.starts_with(&path) {
                // The target or something above it came or went.
                self.settle_or_warn(target);
                sender(Change::Rescan);
            } else if let Some(change) = self.in_registry(target, &path, event.mask) {
                sender(change);
            }
        }
        if also {
            sender(Change::Path(path));
        }
    }

    fn in_registry(&self, target: &Path, path: &Path, mask: AddWatchFlags) -> Option<Change> {
        let mut below = path.strip_prefix(target).ok()?.components();
        let directory = below.next()?.as_os_str();
        let file = below.next();
        // Bytes still on their way into a record are followed by its closing.
        let is_noise = mask.contains(AddWatchFlags::IN_MODIFY);
        if file.is_some_and(|file| file.as_os_str() != RECORD_FILE) || is_noise || below.next().is_some() {
            return None;
        }
        if file.is_none() && is_real_directory(path) {
            self.place(path.into(), false)
                .unwrap_or_else(|error| tracing::warn!(%error, "an agent's directory is not watched"));
        }
        match directory.to_str().filter(|name| is_registry_token(name)) {
            Some(name) => Some(Change::Record(name.to_owned())),
            None => Some(Change::Rescan),
        }
    }

    fn settle_or_warn(&self, target: &Path) {
        self.settle(target).unwrap_or_else(|error| tracing::warn!(%error, "a registry is not watched"));
    }

    /// Watches `target` and the directories in it, or the nearest parent that exists.
    fn settle(&self, target: &Path) -> Result<()> {
        let Some(there) = target.ancestors().find(|ancestor| ancestor.is_dir()) else { return Ok(()) };
        self.place(there.into(), false)?;
        match target.strip_prefix(there).ok().and_then(|rest| rest.components().next()) {
            None => {
                self.leave_parents();
                self.place_children(target)
            }
            // It may have appeared before the watch was placed.
            Some(next) if there.join(next).is_dir() => self.settle(target),
            Some(_) => Ok(()),
        }
    }

    /// Ends the watches on parents where nothing is awaited any more: a home
    /// directory is a busy place.
    fn leave_parents(&self) {
        self.leave(|watched| {
            let mut below = self.targets.iter().filter(|target| target.starts_with(&watched.path)).peekable();
            !watched.also && below.peek().is_some() && below.all(|target| **target != *watched.path && target.is_dir())
        });
    }

    fn place_children(&self, target: &Path) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(target) else { return Ok(()) };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_real_directory(path)) {
            self.place(path.into(), false)?;
        }
        Ok(())
    }

    /// Watches one directory. One that has just vanished is no error.
    fn place(&self, path: Arc<Path>, also: bool) -> Result<()> {
        let mut watched = self.watched.lock();
        match self.inotify.add_watch(&*path, CHANGES) {
            Ok(wd) => {
                // The kernel watches a directory once, whatever for and under whichever name.
                let also = also || watched.get(&wd).is_some_and(|known| known.also);
                watched.insert(wd, Watched { path, also });
                Ok(())
            }
            Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Whether a registry is, or is awaited, in the directory `path`, or it is an agent's.
    fn is_wanted(&self, path: &Path) -> bool {
        self.targets.iter().any(|target| path.starts_with(target) || (target.starts_with(path) && !target.is_dir()))
    }

    /// Ends all watches that are `left`.
    fn leave(&self, mut left: impl FnMut(&Watched) -> bool) {
        for (wd, _) in self.watched.lock().extract_if(.., |_, watched| left(watched)) {
            // Fails when the directory is gone, and its watch with it.
            let _ = self.inotify.rm_watch(wd);
        }
    }
}

fn is_real_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
}

fn unavailable(error: Errno) -> Error {
    let hint = match error {
        Errno::ENOSPC => "; raise fs.inotify.max_user_watches",
        Errno::EMFILE => "; raise fs.inotify.max_user_instances",
        _ => "",
    };
    Error::new(Kind::Unavailable, format!("the registry cannot be watched: {}{hint}", error.desc()))
}
