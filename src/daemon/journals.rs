//! The agents' journals: opened when there is something to read or write, and
//! kept in memory alone where they cannot be on disk.

use crate::model::{Actor, AgentId, Event, EventKind, Record};
use crate::store::lock::{FileLock, our_directory};
use crate::store::spool::queue_directory;
use crate::store::{Journal, Watch};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How much of a journal is read back when an agent is first seen, in bytes.
const TAIL_BYTES: u64 = 1 << 20;
/// Whoever holds this file's lock writes down what is observed; everybody else
/// reads it there, so that two mounts do not write everything twice.
const OBSERVER_LOCK: &str = "observer.lock";

/// All journals.
pub(super) struct Journals {
    watch: Option<Arc<Watch>>,
    open: HashMap<AgentId, Open>,
    /// Whose the session roots are that are watched.
    roots: HashMap<Arc<Path>, AgentId>,
}

struct Open {
    root: Arc<Path>,
    /// In a box of its own, because most agents that have ended never get one.
    journal: Option<Box<Journal>>,
    /// Held while we are the observer.
    observer: Option<FileLock>,
    /// Counts where there is no journal to count for us.
    seq: u64,
}

/// What a change in an agent's session root means.
pub(super) struct Changed {
    pub(super) agent: AgentId,
    /// New in its journal.
    pub(super) events: Vec<Event>,
    /// Something in its queue.
    pub(super) queue: bool,
    /// The root itself has changed: its manifest may be another one.
    pub(super) manifest: bool,
}

impl Journals {
    pub(super) fn new(watch: Option<Arc<Watch>>) -> Self {
        Self { watch, open: HashMap::new(), roots: HashMap::new() }
    }

    /// Whether an agent with that record has not been met yet.
    pub(super) fn is_new(&self, record: &Record) -> bool {
        self.open.get(&record.id).is_none_or(|open| *open.root != *journal_root(record))
    }

    /// Meets an agent: the events there are already. From now on its session root is watched.
    pub(super) fn meet(&mut self, record: &Record) -> Vec<Event> {
        let root = journal_root(record);
        if self.open.get(&record.id).is_some_and(|open| *open.root == *root) {
            return Vec::new();
        }
        self.forget(&record.id);
        if record.lifecycle.state.is_live() {
            self.watch(root.clone());
        }
        let mut open = Open { root: root.clone(), journal: None, observer: None, seq: 0 };
        let events = if our_directory(&root).is_dir() { self.open_journal(&mut open) } else { Vec::new() };
        self.roots.insert(root, record.id.clone());
        self.open.insert(record.id.clone(), open);
        events
    }

    /// An agent is not there any more.
    pub(super) fn forget(&mut self, id: &AgentId) {
        if let Some(open) = self.open.remove(id) {
            self.roots.remove(&open.root);
            if let Some(watch) = &self.watch {
                watch.forget(&open.root);
                watch.forget(&our_directory(&open.root));
                watch.forget(&queue_directory(&open.root));
            }
        }
    }

    /// Writes down what happened, and gives everything that is new in the journal.
    pub(super) fn write(&mut self, record: &Record, actor: Actor, kind: EventKind, now: Timestamp) -> Vec<Event> {
        let mut events = self.meet(record);
        let Some(mut open) = self.open.remove(&record.id) else { return events };
        events.extend(self.open_journal(&mut open));
        if matches!(actor, Actor::Observed) && !open.is_observer() {
            events.extend(open.read_new());
        } else {
            let mut event =
                Event { seq: 0, at: now, agent: record.name.clone(), agent_id: record.id.to_string(), actor, kind };
            let written = open.journal.as_mut().map(|journal| journal.append(&mut event));
            events.extend(open.read_new());
            if !matches!(written, Some(Ok(()))) {
                // No place on disk: the event is shown while we run, and is gone after.
                event.seq = open.seq + 1;
            }
            open.seq = open.seq.max(event.seq);
            events.push(event);
        }
        self.open.insert(record.id.clone(), open);
        events
    }

    /// What a change at `path` means, if it is in a session root we know.
    pub(super) fn changed(&mut self, path: &Path) -> Option<Changed> {
        let root = path.ancestors().take(4).find_map(|dir| self.roots.get_key_value(dir))?;
        let (root, agent) = (root.0.clone(), root.1.clone());
        let mut open = self.open.remove(&agent)?;
        let mut events = if our_directory(&root).is_dir() { self.open_journal(&mut open) } else { Vec::new() };
        events.extend(open.read_new());
        self.open.insert(agent.clone(), open);
        let (queue, manifest) = (path.starts_with(queue_directory(&root)), !path.starts_with(our_directory(&root)));
        Some(Changed { agent, events, queue, manifest })
    }

    /// Whether we write down what is observed of that agent, and with it act on what waits for it.
    pub(super) fn is_observer(&mut self, id: &AgentId) -> bool {
        let Some(mut open) = self.open.remove(id) else { return false };
        self.open_journal(&mut open);
        let is_observer = open.journal.is_some() && open.is_observer();
        self.open.insert(id.clone(), open);
        is_observer
    }

    /// Watches the queue of the session with that root, if there is one.
    pub(super) fn watch_queue(&self, root: &Path) {
        let queue = queue_directory(root);
        if queue.is_dir() {
            self.watch(queue.into());
        }
    }

    /// Opens a journal that is not open yet: everything in it is new then.
    fn open_journal(&self, open: &mut Open) -> Vec<Event> {
        if open.journal.is_some() {
            return Vec::new();
        }
        let dir = our_directory(&open.root);
        match Journal::open(&dir) {
            Ok(journal) => {
                let events = journal.load_tail(TAIL_BYTES).unwrap_or_default();
                open.seq = events.last().map_or(0, |event| event.seq);
                open.journal = Some(Box::new(journal));
                self.watch(dir.into());
                events
            }
            Err(error) => {
                tracing::debug!(%error, "history is kept in memory only");
                Vec::new()
            }
        }
    }

    fn watch(&self, dir: Arc<Path>) {
        if let Some(watch) = &self.watch
            && let Err(error) = watch.also(dir)
        {
            tracing::debug!(%error, "changes there are not seen at once");
        }
    }
}

impl Open {
    fn is_observer(&mut self) -> bool {
        if self.observer.is_none() && self.journal.is_some() {
            self.observer = FileLock::acquire(&our_directory(&self.root).join(OBSERVER_LOCK), Duration::ZERO).ok();
        }
        self.observer.is_some() || self.journal.is_none()
    }

    fn read_new(&mut self) -> Vec<Event> {
        let events = self.journal.as_mut().and_then(|journal| journal.read_new().ok()).unwrap_or_default();
        self.seq = events.last().map_or(self.seq, |event| event.seq.max(self.seq));
        events
    }
}

/// Where an agent's own files are: its session root, else beside its manifest.
pub(super) fn journal_root(record: &Record) -> Arc<Path> {
    record
        .session_root
        .clone()
        .or_else(|| record.manifest_path.parent().map(Arc::from))
        .unwrap_or_else(|| Path::new("/nonexistent").into())
}
