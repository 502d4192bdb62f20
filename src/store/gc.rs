//! The session roots of a Home, and how one is taken away.

use super::dir::Dir;
use super::lock::{LifeLock, OUR_DIRECTORY, our_directory};
use super::spool::queue_directory;
use super::{legacy, managed};
use crate::error::{Error, Kind, Result};
use crate::model::home::{SESSIONS, home_of};
use crate::model::record::Backend;
use jiff::Timestamp;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most files of one session root that are counted.
const MAX_COUNTED: usize = 1_000_000;

/// One session root of a Home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// When something in it last changed.
    pub changed: Timestamp,
    /// How many prompts wait in its queue.
    pub queued: usize,
    /// Somebody starts or stops its agent at this moment.
    pub is_busy: bool,
    /// Whether troop has something in it.
    pub has_ours: bool,
}

/// The directories where sessions are in the Home, in the order of their names, whatever is in them; `None` when the Home is not there.
/// Fails when they cannot be listed.
pub fn roots(home: &Path) -> Result<Option<Vec<PathBuf>>> {
    let mut found = Vec::new();
    for backend in directories(&home.join(SESSIONS))?.unwrap_or_default() {
        found.extend(directories(&backend)?.unwrap_or_default());
    }
    found.sort();
    if found.is_empty() && directories(home)?.is_none() {
        return Ok(None);
    }
    Ok(Some(found))
}

/// The directories in `dir`, links left out; `None` when it is not there or no directory.
fn directories(dir: &Path) -> Result<Option<Vec<PathBuf>>> {
    let refuse = |error: &io::Error| Error::io(format_args!("cannot list {}", dir.display()), error);
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(refuse(&error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| refuse(&error))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(Some(found))
}

/// What is to be known of a session root.
pub fn root(path: &Path) -> Root {
    let ours = our_directory(path);
    let queued: Vec<PathBuf> = listed(&queue_directory(path)).collect();
    let inside = listed(path).chain(listed(&ours)).chain(queued.iter().cloned());
    let changed = newest(std::iter::once(path.to_owned()).chain(inside));
    Root { changed, queued: queued.len(), is_busy: is_busy(path), has_ours: ours.is_dir(), path: path.to_owned() }
}

/// How many bytes the files below a directory have, links not followed.
pub fn bytes(path: &Path) -> u64 {
    let (mut sum, mut counted, mut dirs) = (0, 0, vec![path.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for path in listed(&dir).take(MAX_COUNTED - counted) {
            counted += 1;
            match path.symlink_metadata() {
                Ok(about) if about.is_dir() => dirs.push(path),
                Ok(about) => sum += about.len(),
                Err(_) => {}
            }
        }
    }
    sum
}

fn listed(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A directory that nothing uses any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Where it is.
    pub path: PathBuf,
    /// What it is, in a few words.
    pub what: &'static str,
    /// The Home it is in.
    pub home: PathBuf,
    /// When something in it last changed.
    pub changed: Timestamp,
}

/// What retired servers of Houmao have left in these Homes, and the turns of headless agents whose session is gone.
pub fn left(homes: &[PathBuf]) -> Vec<Left> {
    let mut left = Vec::new();
    for home in homes {
        let legacy = legacy::legacy(std::slice::from_ref(home)).into_iter().map(|left| (left.path, left.what));
        let turns = managed::abandoned(home).into_iter();
        let turns = turns.map(|path| (path, "the turns of a headless agent whose session is gone"));
        let found = legacy.chain(turns);
        left.extend(found.map(|(path, what)| Left { changed: last_change(&path), home: home.clone(), path, what }));
    }
    left.sort_by(|a, b| a.path.cmp(&b.path));
    left.dedup_by(|a, b| a.path == b.path);
    left
}

/// Takes away a directory that [`left`] has found.
pub fn clear(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(not_here(path));
    };
    Dir::open(parent)?.map_or(Ok(()), |dir| dir.remove_tree(name))
}

/// When a directory or something in it last changed, two levels deep.
fn last_change(path: &Path) -> Timestamp {
    let inside: Vec<PathBuf> = listed(path).collect();
    let below: Vec<PathBuf> = inside.iter().flat_map(|path| listed(path)).collect();
    newest(std::iter::once(path.to_owned()).chain(inside).chain(below))
}

fn newest(paths: impl Iterator<Item = PathBuf>) -> Timestamp {
    let modified = |path: PathBuf| Timestamp::try_from(path.symlink_metadata().ok()?.modified().ok()?).ok();
    paths.filter_map(modified).max().unwrap_or(Timestamp::MAX)
}

/// Whether somebody holds the lock on the life of the agent with that session root. Nothing is made to find out.
pub fn is_busy(root: &Path) -> bool {
    LifeLock::is_held(root)
}

/// Whether a directory is where a Home has its sessions, `HOME/sessions/BACKEND/SESSION` with a backend that is known, and no
/// link leads from there elsewhere.
pub fn is_in_a_home(root: &Path) -> bool {
    let backend = root.parent().filter(|_| home_of(root).is_some());
    backend.is_some_and(|backend| {
        let is_known = |name: &OsStr| Backend::ALL.iter().any(|known| name == known.as_str());
        backend.file_name().is_some_and(is_known) && backend.canonicalize().is_ok_and(|real| real == backend)
    })
}

/// Takes a session root away, after `first` has been done. [`Kind::NotPermitted`] for any other place, [`Kind::TimedOut`] while
/// somebody starts or stops its agent; then nothing was done.
pub fn remove(root: &Path, first: impl FnOnce() -> Result<()>) -> Result<()> {
    if root.symlink_metadata().is_err() {
        return first();
    }
    let (Some(parent), Some(name)) = (root.parent(), root.file_name().and_then(|name| name.to_str())) else {
        return Err(not_here(root));
    };
    if !is_in_a_home(root) {
        return Err(not_here(root));
    }
    let _life = LifeLock::acquire(root, Duration::ZERO)?;
    first()?;
    match Dir::open(parent)? {
        Some(dir) => dir.remove_tree(name),
        None => Ok(()),
    }
}

/// Takes a session root away that no record names, or only troop's own directory in it, when nothing in it has changed since.
pub fn remove_orphan(path: &Path, changed: Timestamp, whole: bool) -> Result<()> {
    // Before the lock, which is a file in it.
    if root(path).changed != changed {
        return Err(Error::new(Kind::Busy, format!("something in {} has changed meanwhile", path.display())));
    }
    if whole {
        return remove(path, || Ok(()));
    }
    let _life = LifeLock::acquire(path, Duration::ZERO)?;
    Dir::open(path)?.map_or(Ok(()), |dir| dir.remove_tree(OUR_DIRECTORY))
}

fn not_here(root: &Path) -> Error {
    Error::new(
        Kind::NotPermitted,
        format!("{} is not where a Home has its sessions, and is left alone", root.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A Home with one session root in which one file has three bytes.
    fn home() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        let root = home.join("sessions/local_interactive/s");
        fs::create_dir_all(root.join("troop/queue")).unwrap();
        fs::write(root.join("troop/queue/1"), "one").unwrap();
        (dir, home, root)
    }

    #[test]
    fn what_cannot_be_listed_is_not_empty() {
        let (_dir, home, session) = home();
        let sessions = home.join(SESSIONS);
        // Files and links are no sessions.
        fs::write(sessions.join("local_interactive/notes"), "").unwrap();
        symlink(&session, sessions.join("local_interactive/link")).unwrap();
        assert_eq!(roots(&home).unwrap(), Some(vec![session.clone()]));
        fs::remove_dir_all(&session).unwrap();
        assert_eq!(roots(&home).unwrap(), Some(vec![]));
        assert_eq!(roots(&home.join("never")).unwrap(), None);
        fs::remove_dir_all(&sessions).unwrap();
        assert_eq!(roots(&home).unwrap(), Some(vec![]));
        symlink("sessions", &sessions).unwrap();
        assert!(roots(&home).unwrap_err().sentence().contains("cannot list"));
    }

    #[test]
    fn only_session_roots_are_taken_away() {
        let (_dir, home, session) = home();
        let others = ["sessions/2026/s", "pictures/local_interactive/s", "linked/sessions/local_interactive/s"];
        fs::create_dir_all(home.join(others[0])).unwrap();
        fs::create_dir_all(home.join(others[1])).unwrap();
        symlink(&home, home.join("linked")).unwrap();
        for other in others.map(|other| home.join(other)) {
            let refused = remove(&other, || panic!("nothing comes before a refusal")).unwrap_err();
            assert_eq!(refused.kind(), Kind::NotPermitted, "{}", other.display());
            assert!(other.exists());
        }
        // What comes first and fails keeps the rest from being done, and so does who starts or stops its agent.
        assert!(remove(&session, || Err(Error::new(Kind::Busy, "no"))).is_err() && session.exists());
        let held = LifeLock::acquire(&session, Duration::ZERO).unwrap();
        assert_eq!(remove(&session, || Ok(())).unwrap_err().kind(), Kind::TimedOut);
        drop(held);
        remove(&session, || Ok(())).unwrap();
        assert!(!session.exists() && home.join(SESSIONS).exists());
        let mut done = false;
        let first = || {
            done = true;
            Ok(())
        };
        remove(&session, first).unwrap();
        assert!(done, "what comes first is done where there is no session root any more");
    }

    #[test]
    fn an_orphan_goes_as_it_was_looked_at() {
        let (_dir, _home, session) = home();
        fs::write(session.join("manifest.json"), "{}").unwrap();
        let looked = root(&session);
        assert_eq!((looked.queued, looked.has_ours, looked.is_busy, bytes(&session)), (1, true, false, 5));
        let changed = looked.changed - jiff::SignedDuration::from_secs(1);
        assert_eq!(remove_orphan(&session, changed, true).unwrap_err().kind(), Kind::Busy);
        remove_orphan(&session, looked.changed, false).unwrap();
        assert!(session.join("manifest.json").exists() && !session.join(OUR_DIRECTORY).exists());
        remove_orphan(&session, root(&session).changed, true).unwrap();
        assert!(!session.exists());
    }
}
