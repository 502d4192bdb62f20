//! Changes of the registry as they happen, through inotify.
//!
//! A directory is watched before it is read: what appears between the two is
//! seen twice and never missed. The watches are one a directory, placed here;
//! a registry that is not there yet is awaited in its nearest parent that is.

use super::scan::{LIVE_AGENTS, RECORD_FILE};
use crate::error::{Error, Kind, Result};
use crate::model::name::is_registry_token;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The most events that wait for our thread; beyond them one [`Change::Rescan`]
/// stands for all that were dropped. The queue has its memory from the start, 64 bytes for each.
pub const MAX_WAITING_EVENTS: usize = 1024;

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
    events: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the registries at `roots`, there or not yet, and calls `sender` for
    /// every change, on a thread of its own. All watches are placed when this
    /// returns, so a scan made afterwards misses nothing.
    pub fn start(roots: &[PathBuf], sender: impl Fn(Change) + Send + 'static) -> Result<Self> {
        let (events, incoming) = sync_channel(MAX_WAITING_EVENTS);
        let overflow = Arc::new(AtomicBool::new(false));
        let (to_thread, lost) = (events.clone(), Arc::clone(&overflow));
        let watcher = notify::recommended_watcher(move |event| {
            // Never blocks: our thread may itself be waiting for this one.
            if to_thread.try_send(Message::Event(event)).is_err() {
                lost.store(true, Ordering::Release);
            }
        })
        .map_err(|error| unavailable(&error))?;
        let watches = Arc::new(Watches {
            watcher: Mutex::new(watcher),
            also: Mutex::new(HashSet::new()),
            anchors: Mutex::new(HashSet::new()),
            targets: roots.iter().map(|root| root.join(LIVE_AGENTS)).collect(),
        });
        for target in &watches.targets {
            watches.settle(target)?;
        }
        let shared = Arc::clone(&watches);
        let thread = std::thread::Builder::new()
            .name("troop-watch".to_owned())
            .spawn(move || run(&shared, &incoming, &overflow, &sender))
            .map_err(|error| Error::io("cannot start the thread that watches the registry", &error))?;
        Ok(Self { watches, events, thread: Some(thread) })
    }

    /// Watches one more directory, not what is below it; its changes come as [`Change::Path`].
    pub fn also(&self, path: Arc<Path>) -> Result<()> {
        self.watches.also.lock().insert(path.clone());
        self.watches.place(&path).inspect_err(|_| {
            self.watches.also.lock().remove(&path);
        })
    }

    /// Watches a directory of [`Watch::also`] no longer.
    pub fn forget(&self, path: &Path) {
        let is_awaited = || self.watches.anchors.lock().contains(path);
        if self.watches.also.lock().remove(path) && !is_awaited() {
            // Fails when the directory is gone, and its watch with it.
            let _ = self.watches.watcher.lock().unwatch(path);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.events.send(Message::Stop);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

enum Message {
    Event(notify::Result<notify::Event>),
    Stop,
}

fn run(watches: &Watches, incoming: &Receiver<Message>, overflow: &AtomicBool, sender: &impl Fn(Change)) {
    while let Ok(Message::Event(event)) = incoming.recv() {
        if overflow.swap(false, Ordering::AcqRel) {
            watches.settle_all();
            sender(Change::Rescan);
        }
        match event {
            Ok(event) if event.need_rescan() => {
                watches.settle_all();
                sender(Change::Rescan);
            }
            Ok(event) => watches.sort_out(&event, sender),
            Err(error) => {
                tracing::warn!(%error, "the registry's watch missed something");
                sender(Change::Rescan);
            }
        }
    }
}

#[derive(Debug)]
struct Watches {
    watcher: Mutex<RecommendedWatcher>,
    also: Mutex<HashSet<Arc<Path>>>,
    /// Parents watched for a target that is not there yet.
    anchors: Mutex<HashSet<PathBuf>>,
    /// The `live_agents` of each registry.
    targets: Vec<PathBuf>,
}

impl Watches {
    fn sort_out(&self, event: &notify::Event, sender: &impl Fn(Change)) {
        if !is_change(event.kind) {
            return;
        }
        // Both halves of a rename come as events of their own.
        let Some(path) = event.paths.first().filter(|_| event.paths.len() == 1) else { return };
        for target in &self.targets {
            if target.starts_with(path) {
                // The target or something above it came or went.
                self.settle_or_warn(target);
                sender(Change::Rescan);
            } else if let Some(change) = self.in_registry(target, path, event.kind) {
                sender(change);
            }
        }
        let also = self.also.lock();
        let is_wanted = also.contains(path.as_path()) || path.parent().is_some_and(|parent| also.contains(parent));
        drop(also);
        if is_wanted {
            sender(Change::Path(path.clone()));
        }
    }

    fn in_registry(&self, target: &Path, path: &Path, kind: EventKind) -> Option<Change> {
        let mut below = path.strip_prefix(target).ok()?.components();
        let directory = below.next()?.as_os_str();
        let file = below.next();
        // Bytes still on their way into a record are followed by its closing.
        let is_noise = matches!(kind, EventKind::Modify(ModifyKind::Data(_)));
        if file.is_some_and(|file| file.as_os_str() != RECORD_FILE) || is_noise || below.next().is_some() {
            return None;
        }
        if file.is_none() && is_real_directory(path) {
            self.place(path).unwrap_or_else(|error| tracing::warn!(%error, "an agent's directory is not watched"));
        }
        match directory.to_str().filter(|name| is_registry_token(name)) {
            Some(name) => Some(Change::Record(name.to_owned())),
            None => Some(Change::Rescan),
        }
    }

    fn settle_all(&self) {
        self.targets.iter().for_each(|target| self.settle_or_warn(target));
    }

    fn settle_or_warn(&self, target: &Path) {
        self.settle(target).unwrap_or_else(|error| tracing::warn!(%error, "a registry is not watched"));
    }

    /// Watches `target` and the directories in it, or the nearest parent that exists.
    fn settle(&self, target: &Path) -> Result<()> {
        let Some(there) = target.ancestors().find(|ancestor| ancestor.is_dir()) else { return Ok(()) };
        self.place(there)?;
        match target.strip_prefix(there).ok().and_then(|rest| rest.components().next()) {
            None => {
                self.leave_anchors();
                self.place_children(target)
            }
            // It may have appeared before the watch was placed.
            Some(next) if there.join(next).is_dir() => self.settle(target),
            Some(_) => {
                self.anchors.lock().insert(there.to_owned());
                Ok(())
            }
        }
    }

    /// Ends the watches on parents where nothing is awaited any more: a home
    /// directory is a busy place.
    fn leave_anchors(&self) {
        let is_awaited =
            |anchor: &Path| self.targets.iter().any(|target| target.starts_with(anchor) && !target.is_dir());
        let left: Vec<PathBuf> = self.anchors.lock().extract_if(|anchor| !is_awaited(anchor)).collect();
        for anchor in left.iter().filter(|anchor| !self.also.lock().contains(anchor.as_path())) {
            // Fails when the directory is gone, and its watch with it.
            let _ = self.watcher.lock().unwatch(anchor);
        }
    }

    fn place_children(&self, target: &Path) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(target) else { return Ok(()) };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_real_directory(path)) {
            self.place(&path)?;
        }
        Ok(())
    }

    /// Watches one directory. One that has just vanished is no error.
    fn place(&self, path: &Path) -> Result<()> {
        match self.watcher.lock().watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

// Reading a file is an event too, and must not lead to reading it.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

fn is_real_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
}

fn unavailable(error: &notify::Error) -> Error {
    let hint = match error.kind {
        notify::ErrorKind::MaxFilesWatch => "; raise fs.inotify.max_user_watches",
        _ => "",
    };
    Error::new(Kind::Unavailable, format!("the registry cannot be watched: {error}{hint}"))
}
