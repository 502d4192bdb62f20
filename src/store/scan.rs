//! Everything a registry holds, seen at once. No entry can hide the others: what
//! is wrong with one becomes a [`Finding`].

use super::dir::Dir;
use super::finding::{Finding, Severity};
use super::homes::Session;
use super::parallel;
use super::wire::external::{self, ExternalRecord};
use super::wire::{self, MAX_RECORD_BYTES};
use crate::error::{Error, Kind, Result};
use crate::model::Record;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The directory of a registry with one directory an agent.
pub const LIVE_AGENTS: &str = "live_agents";

/// The directory of a registry with one directory an external agent.
pub const EXTERNAL_AGENTS: &str = "external_agents";

/// The file in each of those.
pub const RECORD_FILE: &str = "record.json";

/// One agent found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What its record says.
    pub record: Record,
    /// Where its `record.json` is.
    pub path: PathBuf,
    /// It lies in a registry that troop only reads.
    pub read_only: bool,
}

impl Entry {
    /// Whether it lies in the directory of its own id.
    fn is_at_home(&self) -> bool {
        directory_name(&self.path) == Some(self.record.id.as_str())
    }
}

/// What a registry holds, in the order of directory names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The agents, one for each id.
    pub entries: Vec<Entry>,
    /// The agents of other machines.
    pub external: Vec<ExternalRecord>,
    /// What could not be used, or only in spite of something.
    pub problems: Vec<Finding>,
}

impl Scan {
    /// What the records say of sessions.
    pub fn sessions(&self, now: Timestamp) -> Vec<Session> {
        self.entries.iter().filter_map(|entry| Session::of(&entry.record, now)).collect()
    }

    /// How many files could not be used, or only in spite of something.
    pub fn defects(&self) -> usize {
        self.problems.iter().filter(|finding| finding.severity != Severity::Note).count()
    }

    /// Adds the registry at `root`. An id that is there already keeps its entry.
    pub(crate) fn add(&mut self, root: &Path, read_only: bool) {
        let found = self.children(root, LIVE_AGENTS, |dir, name| read_entry(dir, name, read_only));
        self.keep_one_for_each_id(found);
        let external = self.children(root, EXTERNAL_AGENTS, read_external);
        self.keep_one_for_each_name(external);
    }

    /// Reads every directory in `root/section` with `read`. Whatever is no
    /// directory or vanishes meanwhile yields nothing.
    fn children<T>(
        &mut self,
        root: &Path,
        section: &str,
        read: impl Fn(&Dir, &str) -> Result<Option<T>> + Sync,
    ) -> Vec<(PathBuf, T)>
    where
        T: Send,
    {
        let path = root.join(section);
        let (dir, names) = match open_section(root, section).and_then(|dir| dir.map(listed).transpose()) {
            Ok(Some(listed)) => listed,
            Ok(None) => return Vec::new(),
            Err(error) => {
                self.problems.push(Finding::new(Severity::Error, path, error.sentence()));
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        let read = parallel::map(&names, |(name, is_foreign)| {
            let name = name.to_str().filter(|_| !is_foreign)?;
            Some(read(&dir, name))
        });
        for ((name, _), read) in names.iter().zip(read) {
            let entry_path = path.join(name);
            let Some(read) = read else {
                let sentence = "it is not an agent's directory and is ignored";
                self.problems.push(Finding::new(Severity::Note, entry_path, sentence));
                continue;
            };
            match read {
                Ok(Some(value)) => found.push((entry_path.join(RECORD_FILE), value)),
                Ok(None) if entry_path.is_dir() => {
                    let sentence = "there is no record.json in it";
                    self.problems.push(Finding::new(Severity::Note, entry_path, sentence));
                }
                Ok(None) => {}
                Err(error) => {
                    let path = entry_path.join(RECORD_FILE);
                    self.problems.push(Finding::new(Severity::Error, path, error.sentence()));
                }
            }
        }
        found
    }

    fn keep_one_for_each_id(&mut self, mut found: Vec<(PathBuf, Entry)>) {
        let mut taken: BTreeMap<String, PathBuf> =
            self.entries.iter().map(|entry| (entry.record.id.to_string(), entry.path.clone())).collect();
        // Stable: those at home first, then in the order of names.
        found.sort_by_key(|(_, entry)| !entry.is_at_home());
        for (path, entry) in found {
            let id = entry.record.id.to_string();
            if let Some(other) = taken.get(&id) {
                let sentence =
                    format!("it is ignored, because the record of the same agent, {id}, in {} counts", other.display());
                self.problems.push(Finding::new(Severity::Warning, path, sentence));
                continue;
            }
            if !entry.is_at_home() {
                let sentence = format!(
                    "its directory is not named after its agent_id, {id}; it is shown, and cannot be changed until the directory is renamed"
                );
                self.problems.push(Finding::new(Severity::Warning, path.clone(), sentence));
            }
            taken.insert(id, path);
            self.entries.push(entry);
        }
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
    }

    fn keep_one_for_each_name(&mut self, found: Vec<(PathBuf, ExternalRecord)>) {
        let mut names: BTreeSet<String> = self.external.iter().map(|record| record.name.clone()).collect();
        for (path, record) in found {
            if names.insert(record.name.clone()) {
                self.external.push(record);
            } else {
                let sentence =
                    format!("another external agent is called {:?} too, and a name stands for one", record.name);
                self.problems.push(Finding::new(Severity::Error, path, sentence));
            }
        }
    }
}

/// `root/section`, a real directory; `None` when there is none.
pub(crate) fn open_section(root: &Path, section: &str) -> Result<Option<Dir>> {
    match Dir::open(root)? {
        Some(root) => root.child(section),
        None => Ok(None),
    }
}

/// The record in the directory `name`; `None` when there is none.
pub(crate) fn read_record(live_agents: &Dir, name: &str) -> Result<Option<Record>> {
    read_file(live_agents, name)?.map(|bytes| wire::decode_record(&bytes)).transpose()
}

pub(crate) fn read_entry(live_agents: &Dir, name: &str, read_only: bool) -> Result<Option<Entry>> {
    let path = live_agents.path().join(name).join(RECORD_FILE);
    Ok(read_record(live_agents, name)?.map(|record| Entry { record, path, read_only }))
}

fn read_external(external_agents: &Dir, name: &str) -> Result<Option<ExternalRecord>> {
    read_file(external_agents, name)?.map(|bytes| external::decode(&bytes)).transpose()
}

fn read_file(section: &Dir, name: &str) -> Result<Option<Vec<u8>>> {
    section.read_in(name, RECORD_FILE, MAX_RECORD_BYTES)
}

/// The names in a directory, sorted, and whether each is something other than a
/// directory or a symlink (symlinks are judged when they are opened).
fn listed(dir: Dir) -> Result<(Dir, Vec<(std::ffi::OsString, bool)>)> {
    let failed = |error: std::io::Error| Error::io("cannot list it", &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.path()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // An unknown kind has just vanished.
        let Ok(kind) = entry.file_type() else { continue };
        names.push((entry.file_name(), !kind.is_dir() && !kind.is_symlink()));
    }
    names.sort();
    Ok((dir, names))
}

pub(crate) fn directory_name(record_path: &Path) -> Option<&str> {
    record_path.parent()?.file_name()?.to_str()
}

/// The agent that `wanted` names: the one with that id, else the one with that
/// name, or with that name, a `~` and the first 8 characters of its id. Of several with one name, the live ones count before the stopped ones,
/// and those before the retired ones.
pub(crate) fn find(scan: Scan, wanted: &str) -> Result<Entry> {
    use crate::model::LifecycleState::{Retired, Stopped};
    if let Some(entry) = scan.entries.iter().find(|entry| entry.record.id.as_str() == wanted) {
        return Ok(entry.clone());
    }
    let unreadable = scan.problems.iter().filter(|finding| finding.severity == Severity::Error).count();
    let is_named =
        |record: &Record| record.name == wanted || wanted.split_once('~') == Some((&record.name, record.id.short()));
    let named: Vec<Entry> = scan.entries.into_iter().filter(|entry| is_named(&entry.record)).collect();
    let rank = |entry: &Entry| match entry.record.lifecycle.state {
        Retired => 2,
        Stopped => 1,
        _ => 0,
    };
    let best = named.iter().map(rank).min();
    let mut candidates: Vec<Entry> = named.into_iter().filter(|entry| Some(rank(entry)) == best).collect();
    match (candidates.pop(), candidates.is_empty()) {
        (Some(entry), true) => Ok(entry),
        (Some(last), false) => {
            let mut ids: Vec<&str> = candidates.iter().map(|entry| entry.record.id.as_str()).collect();
            ids.push(last.record.id.as_str());
            Err(Error::new(
                Kind::Ambiguous,
                format!(
                    "{} agents are called {wanted:?}; use the id of the one you mean: {}",
                    ids.len(),
                    ids.join(", ")
                ),
            ))
        }
        (None, _) if scan.external.iter().any(|external| external.name == wanted || external.id == wanted) => {
            Err(Error::new(
                Kind::Unsupported,
                format!("{wanted:?} runs on another machine and is only listed here; ask its owner"),
            ))
        }
        (None, _) => {
            let hint = match unreadable {
                0 => String::new(),
                n => format!(" ({n} records cannot be read; `troop doctor` says why)"),
            };
            Err(Error::new(
                Kind::NotFound,
                format!("no agent has the name or id {wanted:?}; `troop list` shows those there are{hint}"),
            ))
        }
    }
}
