//! The agents' journals: opened when there is something to read or write, and
//! kept in memory alone where they cannot be on disk.

use crate::model::{Actor, AgentId, Event, EventKind, Record};
use crate::store::lock::{FileLock, our_directory};
use crate::store::{Journal, Watch};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much of a journal is read back when an agent is first seen, in bytes.
const TAIL_BYTES: u64 = 1 << 20;
/// Whoever holds this file's lock writes down what is observed; everybody else
/// reads it there, so that two mounts do not write everything twice.
const OBSERVER_LOCK: &str = "observer.lock";

/// All journals.
#[derive(Default)]
pub(super) struct Journals {
    open: HashMap<AgentId, Open>,
    by_dir: HashMap<PathBuf, AgentId>,
}

struct Open {
    dir: PathBuf,
    journal: Option<Journal>,
    /// Held while we are the observer; none before it was tried.
    observer: Option<FileLock>,
    /// Counts where there is no journal to count for us.
    seq: u64,
}

impl Journals {
    /// Meets an agent: the events there are already.
    pub(super) fn meet(&mut self, record: &Record, watch: Option<&Watch>) -> Vec<Event> {
        let dir = our_directory(&journal_root(record));
        if self.open.get(&record.id).is_some_and(|open| open.dir == dir) {
            return Vec::new();
        }
        self.forget(&record.id, watch);
        let mut open = Open { dir: dir.clone(), journal: None, observer: None, seq: 0 };
        let mut events = Vec::new();
        if dir.is_dir() {
            open.open();
            events = open.journal.as_ref().and_then(|journal| journal.load_tail(TAIL_BYTES).ok()).unwrap_or_default();
            if let Some(watch) = watch {
                let _ = watch.also(&dir);
            }
        }
        self.by_dir.insert(dir, record.id.clone());
        self.open.insert(record.id.clone(), open);
        events
    }

    /// An agent is not there any more.
    pub(super) fn forget(&mut self, id: &AgentId, watch: Option<&Watch>) {
        if let Some(open) = self.open.remove(id) {
            self.by_dir.remove(&open.dir);
            if let Some(watch) = watch {
                watch.forget(&open.dir);
            }
        }
    }

    /// Writes down what happened, and gives everything that is new in the journal.
    pub(super) fn write(
        &mut self,
        record: &Record,
        actor: Actor,
        kind: EventKind,
        now: Timestamp,
        watch: Option<&Watch>,
    ) -> Vec<Event> {
        let mut events = self.meet(record, watch);
        let Some(open) = self.open.get_mut(&record.id) else { return events };
        let existed = open.journal.is_some();
        open.open();
        if !existed
            && open.journal.is_some()
            && let Some(watch) = watch
        {
            let _ = watch.also(&open.dir);
        }
        if matches!(actor, Actor::Observed) && !open.is_observer() {
            events.extend(open.read_new());
            return events;
        }
        let mut event =
            Event { seq: 0, at: now, agent: record.name.clone(), agent_id: record.id.to_string(), actor, kind };
        let written = open.journal.as_mut().map(|journal| journal.append(&mut event));
        events.extend(open.read_new());
        if !matches!(written, Some(Ok(()))) {
            // No place on disk: the event is shown while we run, and is gone after.
            open.seq += 1;
            event.seq = open.seq;
        }
        open.seq = open.seq.max(event.seq);
        events.push(event);
        events
    }

    /// What others have written into the journal in `dir`, and whose it is.
    pub(super) fn changed(&mut self, path: &Path) -> Option<(AgentId, Vec<Event>)> {
        let id = self.by_dir.get(path).or_else(|| self.by_dir.get(path.parent()?))?.clone();
        let events = self.open.get_mut(&id)?.read_new();
        Some((id, events))
    }
}

impl Open {
    fn open(&mut self) {
        if self.journal.is_none() {
            match Journal::open(&self.dir) {
                Ok(journal) => self.journal = Some(journal),
                Err(error) => tracing::debug!(%error, "history is kept in memory only"),
            }
        }
    }

    fn is_observer(&mut self) -> bool {
        if self.observer.is_none() && self.journal.is_some() {
            self.observer = FileLock::acquire(&self.dir.join(OBSERVER_LOCK), Duration::ZERO).ok();
        }
        self.observer.is_some() || self.journal.is_none()
    }

    fn read_new(&mut self) -> Vec<Event> {
        let events = self.journal.as_mut().and_then(|journal| journal.read_new().ok()).unwrap_or_default();
        self.seq = events.last().map_or(self.seq, |event| event.seq);
        events
    }
}

/// Where an agent's own files are: its session root, else beside its manifest.
pub(super) fn journal_root(record: &Record) -> PathBuf {
    record
        .session_root
        .clone()
        .or_else(|| record.manifest_path.parent().map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("/nonexistent"))
}
