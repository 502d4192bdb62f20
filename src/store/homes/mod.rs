//! Homes: state roots that have hosted a session. What is in one is read from the Home itself, every time; looking never
//! writes, never signals and never reconciles.

mod index;

pub use index::{INDEX_FILE, Index, Known};

use super::launch::MANIFEST_FILE;
use crate::model::Record;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The directory of a Home with one directory a backend.
const SESSIONS: &str = "sessions";
/// The most sessions of a Home that are counted.
const MAX_SESSIONS: usize = 100_000;

/// A Home and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Where it is.
    pub path: PathBuf,
    /// When a session was last made there, as far as the index or a record says.
    pub last_seen: Timestamp,
    /// Sessions whose record claims a live agent.
    pub active: usize,
    /// Sessions that have a manifest, whatever became of them.
    pub total: usize,
    /// Whether the index has it; else a record led to it.
    pub is_registered: bool,
}

/// The Homes of this machine: those of the index and those that records point into, newest first.
/// One without sessions is left out.
pub fn homes<'a>(known: &[Known], records: impl Iterator<Item = &'a Record> + Clone, now: Timestamp) -> Vec<Home> {
    let mut seen: BTreeMap<PathBuf, (Timestamp, bool)> = BTreeMap::new();
    for record in records.clone() {
        if let Some(home) = record.session_root.as_deref().and_then(home_of) {
            let at = seen.entry(home.to_owned()).or_insert((record.lifecycle.updated_at, false));
            at.0 = at.0.max(record.lifecycle.updated_at);
        }
    }
    for known in known {
        seen.insert(known.path.clone(), (known.last_seen, true));
    }
    let live: BTreeSet<&Path> =
        records.filter(|record| record.claims_live(now)).filter_map(|record| record.session_root.as_deref()).collect();
    let mut homes: Vec<Home> = seen
        .into_iter()
        .map(|(path, (last_seen, is_registered))| {
            let roots = session_roots(&path);
            let active = roots.iter().filter(|root| live.contains(root.as_path())).count();
            Home { path, last_seen, active, total: roots.len(), is_registered }
        })
        .filter(|home| home.total > 0)
        .collect();
    homes.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.path.cmp(&b.path)));
    homes
}

/// The Home of a session root, when that lies in one: `HOME/sessions/BACKEND/SESSION`.
pub fn home_of(session_root: &Path) -> Option<&Path> {
    let sessions = session_root.parent()?.parent()?;
    (sessions.file_name()? == SESSIONS).then(|| sessions.parent()).flatten()
}

/// The session roots in a Home: what has a manifest. A Home that cannot be read has none.
pub fn session_roots(home: &Path) -> Vec<PathBuf> {
    let directories = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
    };
    let backends = directories(&home.join(SESSIONS));
    let mut roots: Vec<PathBuf> = backends
        .flat_map(|backend| directories(&backend))
        .filter(|root| root.join(MANIFEST_FILE).is_file())
        .take(MAX_SESSIONS)
        .collect();
    roots.sort();
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_root_is_in_a_home_or_not() {
        assert_eq!(home_of(Path::new("/h/sessions/local_interactive/s-1")), Some(Path::new("/h")));
        for none in ["/h/local_interactive/s-1", "/sessions", "/", "s"] {
            assert_eq!(home_of(Path::new(none)), None, "{none}");
        }
    }

    #[test]
    fn only_what_has_a_manifest_is_a_session() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(session_roots(home.path()), Vec::<PathBuf>::new());
        let sessions = home.path().join("sessions/local_interactive");
        for name in ["b", "a", "none"] {
            std::fs::create_dir_all(sessions.join(name)).unwrap();
        }
        std::fs::write(sessions.join("stray"), "").unwrap();
        for name in ["a", "b"] {
            std::fs::write(sessions.join(name).join(MANIFEST_FILE), "{}").unwrap();
        }
        assert_eq!(session_roots(home.path()), [sessions.join("a"), sessions.join("b")]);
    }
}
