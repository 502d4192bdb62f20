//! The registry: looking agents up, and changing their records one at a time
//! (the reference, sections 1.7, 1.8 and 10).

use super::dir::Dir;
use super::lifecycle::{self, Return};
use super::lock::{FileLock, REGISTRY_LOCK_LIMIT};
use super::roots::Roots;
use super::scan::{self, Entry, LIVE_AGENTS, RECORD_FILE, Scan, open_section};
use super::wire;
use crate::error::{Error, Kind, Result};
use crate::model::name::is_registry_token;
use crate::model::{AgentId, Record};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// The lock of whoever changes the registry. Houmao looks only into the
/// directories beside it.
pub const LOCK_FILE: &str = ".troop.lock";

/// Mode of the records we write: the registry is one user's.
const RECORD_MODE: u32 = 0o600;

/// What the writer of a record believes is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// No live agent of that id. One that is stopped, retired or whose lease is
    /// over gives way, as it does in Houmao.
    New,
    /// This generation.
    Generation(Arc<str>),
}

/// A registry and, read-only, its older one.
#[derive(Debug, Clone)]
pub struct Registry {
    roots: Roots,
}

impl Registry {
    /// The registry at these roots; nothing is made or read yet.
    pub fn new(roots: Roots) -> Self {
        Self { roots }
    }

    /// The roots it was made with.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Everything there is. Never fails as a whole: faults are in `problems`.
    pub fn scan(&self) -> Scan {
        let mut scan = Scan::default();
        scan.add(&self.roots.registry, false);
        if let Some(legacy) = &self.roots.legacy_registry {
            scan.add(legacy, true);
        }
        scan
    }

    /// The record of that id in the directory of that name, here or in the older
    /// registry; `None` when there is none.
    pub fn read(&self, id: &AgentId) -> Result<Option<Entry>> {
        if !is_registry_token(id.as_str()) {
            return Ok(None);
        }
        let legacy = self.roots.legacy_registry.as_deref().map(|root| (root, true));
        for (root, read_only) in std::iter::once((self.roots.registry.as_path(), false)).chain(legacy) {
            let Some(live_agents) = scan::open_section(root, LIVE_AGENTS)? else { continue };
            let found = scan::read_entry(&live_agents, id.as_str(), read_only)
                .map_err(|error| error.while_doing(record_path(root, id).display()))?;
            if found.as_ref().is_some_and(|entry| entry.record.id == *id) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The agent with that id, else the one with that name, or shown as
    /// `<name>~<first 8 of the id>` (the contract, section 4.8). Live agents count
    /// before stopped ones of the same name, and those before retired ones;
    /// [`Kind::Ambiguous`] when several are left, [`Kind::NotFound`] when none is.
    pub fn find(&self, name_or_id: &str) -> Result<Entry> {
        scan::find(self.scan(), name_or_id)
    }

    /// Writes a record when `expected` is what is there.
    ///
    /// [`Kind::Exists`]: a live generation is there and [`Expect::New`] was said.
    /// [`Kind::Gone`]: the expected generation is not there any more.
    /// [`Kind::Malformed`]: what is there cannot be understood, so it stays.
    /// [`Kind::Busy`]: a program that takes no lock wrote at the same moment.
    pub fn publish(&self, record: &Record, expected: &Expect, now: Timestamp) -> Result<()> {
        if record.lifecycle.state.is_live() && !record.claims_live(now) {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "the record of {:?} claims a live agent with a lease that is over; give it a new lease",
                    record.name
                ),
            ));
        }
        wire::encode_record(record)?;
        let _lock = self.lock()?;
        self.publish_locked(record, expected, now)
    }

    /// Marks an agent as stopped when `generation` is still there; its new record.
    pub fn stop(&self, id: &AgentId, generation: &str, reason: &str, now: Timestamp) -> Result<Record> {
        self.change(id, generation, now, |record| lifecycle::stopped(record, reason, now))
    }

    /// Marks an agent as on its way back to that life when `generation` is still there; its new record.
    pub fn relaunch(&self, id: &AgentId, generation: &str, to: &Return, now: Timestamp) -> Result<Record> {
        self.change(id, generation, now, |record| lifecycle::relaunching(record, to, now))
    }

    /// Marks an agent that was on its way back as back when `generation` is still there; its new record.
    pub fn returned(&self, id: &AgentId, generation: &str, now: Timestamp) -> Result<Record> {
        self.change(id, generation, now, |record| lifecycle::returned(record, now))
    }

    /// Takes away the record of an agent that is still exactly `known`, and its directory.
    pub fn remove(&self, known: &Record) -> Result<()> {
        let _lock = self.lock()?;
        let entry = self.read(&known.id)?.ok_or_else(|| self.absent(&known.id))?;
        if entry.read_only || entry.record != *known {
            return Err(Error::new(
                Kind::Busy,
                format!("the record of {:?} has changed meanwhile; look at it again", known.name),
            ));
        }
        match open_section(&self.roots.registry, LIVE_AGENTS)? {
            Some(dir) => dir.remove_tree(known.id.as_str()),
            None => Ok(()),
        }
    }

    /// Marks an agent as finished for good when `generation` is still there; its new record.
    pub fn retire(&self, id: &AgentId, generation: &str, reason: &str, now: Timestamp) -> Result<Record> {
        self.change(id, generation, now, |record| Ok(lifecycle::retired(record, reason, now)))
    }

    fn change(
        &self,
        id: &AgentId,
        generation: &str,
        now: Timestamp,
        transform: impl Fn(&Record) -> Result<Record>,
    ) -> Result<Record> {
        let _lock = self.lock()?;
        let entry = self.read(id)?.ok_or_else(|| self.absent(id))?;
        if entry.read_only {
            return Err(Error::new(
                Kind::NotPermitted,
                format!(
                    "{} lies in the older registry, which troop only reads; use the program that launched {:?}",
                    entry.path.display(),
                    entry.record.name
                ),
            ));
        }
        same_generation(&entry.record, generation)?;
        let changed = transform(&entry.record)?;
        if changed != entry.record {
            self.publish_locked(&changed, &Expect::Generation(generation.into()), now)?;
        }
        Ok(changed)
    }

    /// Why there is no record of `id` where one can be changed.
    fn absent(&self, id: &AgentId) -> Error {
        match self.scan().entries.into_iter().find(|entry| entry.record.id == *id) {
            Some(entry) => Error::new(
                Kind::NotPermitted,
                format!(
                    "the record of {:?} is in {}, a directory of another name; rename that to {id} first",
                    entry.record.name,
                    entry.path.display()
                ),
            ),
            None => vanished(id.as_str()),
        }
    }

    fn lock(&self) -> Result<FileLock> {
        Dir::open_or_make(&self.roots.registry)?;
        FileLock::acquire(&self.roots.registry.join(LOCK_FILE), REGISTRY_LOCK_LIMIT)
    }

    fn publish_locked(&self, record: &Record, expected: &Expect, now: Timestamp) -> Result<()> {
        let bytes = wire::encode_record(record)?;
        let path = record_path(&self.roots.registry, &record.id);
        let dir = Dir::open_or_make(&self.roots.registry)?.child_or_make(LIVE_AGENTS)?;
        let existing = scan::read_record(&dir, record.id.as_str())
            .map_err(|error| error.while_doing(format_args!("{} is not replaced", path.display())))?;
        owner_gives_way(existing.as_ref(), record, expected, now)?;
        let written = dir.child_or_make(record.id.as_str())?.replace(RECORD_FILE, &bytes, RECORD_MODE);
        written.inspect_err(|_| dir.remove_if_empty(record.id.as_str()))?;
        // Houmao takes no lock: whoever renamed last has won, and we say so if it was not us.
        match scan::read_record(&dir, record.id.as_str()) {
            Ok(Some(there)) if there.generation == record.generation => Ok(()),
            _ => Err(Error::new(
                Kind::Busy,
                format!(
                    "another program replaced {} at the same moment; look at what is there and try again",
                    path.display()
                ),
            )),
        }
    }
}

fn owner_gives_way(existing: Option<&Record>, record: &Record, expected: &Expect, now: Timestamp) -> Result<()> {
    if let Some(existing) = existing.filter(|existing| existing.id != record.id) {
        return Err(Error::new(
            Kind::NotPermitted,
            format!(
                "the directory of agent {} holds the record of another, {}; rename it before the agent is changed",
                record.id, existing.id
            ),
        ));
    }
    match (expected, existing) {
        (Expect::New, Some(existing)) if existing.claims_live(now) => Err(Error::new(
            Kind::Exists,
            format!(
                "an agent {:?} is registered as live (generation {}); stop it first or choose another name",
                existing.name, existing.generation
            ),
        )),
        (Expect::New, _) => Ok(()),
        (Expect::Generation(_), None) => Err(vanished(&record.name)),
        (Expect::Generation(generation), Some(existing)) => same_generation(existing, generation),
    }
}

fn same_generation(existing: &Record, expected: &str) -> Result<()> {
    if *existing.generation == *expected {
        return Ok(());
    }
    Err(Error::new(
        Kind::Gone,
        format!(
            "{:?} was launched anew meanwhile (generation {} in place of {expected}); look at it again",
            existing.name, existing.generation
        ),
    ))
}

fn vanished(agent: &str) -> Error {
    Error::new(Kind::Gone, format!("the record of {agent:?} was removed meanwhile; `troop list` shows what is there"))
}

fn record_path(root: &Path, id: &AgentId) -> std::path::PathBuf {
    root.join(LIVE_AGENTS).join(id.as_str()).join(RECORD_FILE)
}
