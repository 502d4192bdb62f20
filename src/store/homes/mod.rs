//! Homes: state roots that have hosted a session. What is in one is read from the Home itself, every time; looking never
//! writes, never signals and never reconciles.

mod index;

pub use index::{INDEX_FILE, Index, Known};

use super::machine::{Machine, Mark};
use super::parallel;
use super::session_root::MANIFEST_FILE;
use crate::model::home::{SESSIONS, home_of};
use crate::model::{Home, Record};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most sessions of a Home that are counted.
const MAX_SESSIONS: usize = 100_000;

/// Writes down that the session in `session_root`, whose record is in `registry`, is made on this machine now: in the index,
/// and beside the session. Both are hints; what cannot be written is said in the log and stops nobody.
pub fn hosted(index: &Index, registry: &Path, session_root: &Path, now: Timestamp) {
    let mark = Machine::here().map(|machine| Mark { machine: machine.clone(), registry: registry.to_owned() });
    if let Err(error) = mark.and_then(|mark| mark.write(session_root)) {
        tracing::warn!(%error, "it is not written down on which machine the session was made");
    }
    let registered = home_of(session_root).map_or(Ok(()), |home| index.register(home, now));
    if let Err(error) = registered {
        tracing::warn!(%error, "the index of Homes does not have the Home of the session");
    }
}

/// A session, as far as its record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    root: Arc<Path>,
    updated_at: Timestamp,
    is_live: bool,
}

impl Session {
    /// The session of a record, when it has a root.
    pub fn of(record: &Record, now: Timestamp) -> Option<Self> {
        let root = record.session_root.clone()?;
        Some(Self { root, updated_at: record.lifecycle.updated_at, is_live: record.claims_live(now) })
    }
}

/// The Homes of this machine: those of the index and those that records point into, newest first.
/// One without sessions is left out.
pub fn homes(known: &[Known], sessions: &[Session]) -> Vec<Home> {
    let mut seen: BTreeMap<PathBuf, (Timestamp, bool)> = BTreeMap::new();
    for session in sessions {
        if let Some(home) = home_of(&session.root) {
            let at = seen.entry(home.to_owned()).or_insert((session.updated_at, false));
            at.0 = at.0.max(session.updated_at);
        }
    }
    for known in known {
        seen.insert(known.path.clone(), (known.last_seen, true));
    }
    let live: HashSet<&Path> =
        sessions.iter().filter(|session| session.is_live).map(|session| &*session.root).collect();
    let seen: Vec<_> = seen.into_iter().collect();
    let counted = parallel::map(&seen, |(path, (last_seen, is_registered))| {
        let (mut active, mut total) = (0, 0);
        each_session(path, |root| {
            total += 1;
            active += usize::from(live.contains(root));
        });
        Home { path: path.clone(), last_seen: *last_seen, active, total, is_registered: *is_registered }
    });
    let mut homes: Vec<Home> = counted.into_iter().filter(|home| home.total > 0).collect();
    homes.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.path.cmp(&b.path)));
    homes
}

/// Shows each session root in a Home, what has a manifest, [`MAX_SESSIONS`] at most. A Home that cannot be read has none.
fn each_session(home: &Path, mut see: impl FnMut(&Path)) {
    let directories = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
    };
    let backends = directories(&home.join(SESSIONS));
    let roots = backends.flat_map(|backend| directories(&backend));
    roots.filter(|root| root.join(MANIFEST_FILE).is_file()).take(MAX_SESSIONS).for_each(|root| see(&root));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_manifest_is_a_session() {
        let session_roots = |home: &Path| {
            let mut roots = Vec::new();
            each_session(home, |root| roots.push(root.to_owned()));
            roots.sort();
            roots
        };
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
