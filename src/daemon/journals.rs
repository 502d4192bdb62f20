//! The agents' journals: opened when there is something to read or write, and
//! kept in memory alone where they cannot be on disk.

use crate::error::{Error, Kind};
use crate::model::record::NOWHERE;
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
    /// In a box of its own, because most agents that have ended never get one. Else why not,
    /// once that was tried.
    journal: Result<Box<Journal>, Option<Error>>,
    /// Held while we are the observer.
    observer: Option<FileLock>,
    /// The highest number that was read or given.
    seq: u64,
    /// How many events were given since the journal took the last one.
    missing: u64,
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
        let mut open = Open { root: root.clone(), journal: Err(None), observer: None, seq: 0, missing: 0 };
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

    /// Numbers what happened to an agent that has no place on disk.
    pub(super) fn remember(&mut self, record: &Record, actor: Actor, kind: EventKind, now: Timestamp) -> Vec<Event> {
        let open = self.open.entry(record.id.clone()).or_insert_with(|| {
            let root: Arc<Path> = Path::new(NOWHERE).into();
            Open { root, journal: Err(None), observer: None, seq: 0, missing: 0 }
        });
        let (agent, agent_id) = (record.name.clone(), record.id.to_string());
        vec![open.keep(Event { seq: 0, at: now, agent, agent_id, actor, kind })]
    }

    /// Writes down what happened, and gives everything that is new in the journal. Where it
    /// cannot be written the events are given all the same: a disk stops nobody.
    pub(super) fn write(&mut self, record: &Record, actor: Actor, kind: EventKind, now: Timestamp) -> Vec<Event> {
        let mut events = self.meet(record);
        let Some(mut open) = self.open.remove(&record.id) else { return events };
        events.extend(self.open_journal(&mut open));
        // Before anything is appended, which would let the oldest of many go.
        events.extend(open.read_new());
        if !matches!(actor, Actor::Observed) || open.is_observer() {
            let event = |actor, kind| {
                let (agent, agent_id) = (record.name.clone(), record.id.to_string());
                Event { seq: 0, at: now, agent, agent_id, actor, kind }
            };
            if open.missing > 0 {
                let resumed = EventKind::JournalResumed { missing: open.missing };
                if open.append(event(Actor::Observed, resumed), &mut events).is_ok() {
                    open.missing = 0;
                }
            }
            if let Err(refused) = open.append(event(actor, kind), &mut events) {
                let (kept, error) = *refused;
                let is_first = open.missing == 0;
                events.push(open.keep(kept));
                if is_first {
                    tracing::warn!(agent = %record.name, %error, "its history is kept in memory only");
                    let failed = EventKind::JournalFailed { error: error.to_string() };
                    events.push(open.keep(event(Actor::Observed, failed)));
                }
            }
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
        self.open.get_mut(id).is_some_and(|open| open.journal.is_ok() && open.is_observer() && open.observer.is_some())
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
        if open.journal.is_ok() {
            return Vec::new();
        }
        let dir = our_directory(&open.root);
        match Journal::open(&dir) {
            Ok(journal) => {
                let events = journal.load_tail(TAIL_BYTES).unwrap_or_default();
                open.seq = events.last().map_or(0, |event| event.seq).max(open.seq);
                open.journal = Ok(Box::new(journal));
                self.watch(dir.into());
                events
            }
            Err(error) => {
                open.journal = Err(Some(error));
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
    /// Whether it is for us to write down what is observed. Where the lock cannot be had at
    /// all it is, because otherwise nobody would show it.
    fn is_observer(&mut self) -> bool {
        if self.observer.is_none() && self.journal.is_ok() {
            match FileLock::acquire(&our_directory(&self.root).join(OBSERVER_LOCK), Duration::ZERO) {
                Ok(lock) => self.observer = Some(lock),
                Err(error) if error.kind() == Kind::TimedOut => return false,
                Err(error) => tracing::debug!(%error, "not known whether another troop observes"),
            }
        }
        true
    }

    /// Appends an event, and gives it with what others have appended, in order; or gives it back
    /// with the reason why it cannot be.
    fn append(&mut self, mut event: Event, events: &mut Vec<Event>) -> Result<(), Box<(Event, Error)>> {
        let journal = match &mut self.journal {
            Ok(journal) => journal,
            Err(error) => {
                let unknown = || Error::new(Kind::Unavailable, "its journal is not open");
                let error = error.clone().unwrap_or_else(unknown);
                return Err(Box::new((event, error)));
            }
        };
        // Above those that were given while the disk took none.
        event.seq = self.seq.saturating_add(1);
        let appended = journal.append(&mut event);
        let mut new = self.read_new();
        let result = match appended {
            Ok(()) => {
                self.seq = self.seq.max(event.seq);
                new.insert(new.partition_point(|other| other.seq < event.seq), event);
                Ok(())
            }
            Err(error) => Err(Box::new((event, error))),
        };
        events.append(&mut new);
        result
    }

    /// Numbers an event that is in memory only: it is shown while we run, and is gone after.
    fn keep(&mut self, mut event: Event) -> Event {
        self.seq = self.seq.saturating_add(1);
        self.missing += 1;
        event.seq = self.seq;
        event
    }

    fn read_new(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(journal) = &mut self.journal
            && let Ok(new) = journal.read_new()
            && !new.is_empty()
        {
            events.extend(new);
        }
        self.seq = events.last().map_or(self.seq, |event: &Event| event.seq.max(self.seq));
        events
    }
}

/// Where an agent's own files are: its session root, else beside its manifest.
pub(super) fn journal_root(record: &Record) -> Arc<Path> {
    record
        .session_root
        .clone()
        .or_else(|| record.manifest_path.parent().map(Arc::from))
        .unwrap_or_else(|| Path::new(NOWHERE).into())
}
