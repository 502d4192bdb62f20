//! The session roots of a Home, and how one is taken away.

use super::dir::Dir;
use super::lock::{LifeLock, our_directory};
use super::spool::queue_directory;
use crate::error::{Error, Kind, Result};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory of a Home with one directory for each backend, and in that one for each session.
const SESSIONS: &str = "sessions";

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
}

/// The session roots of the Home, in the order of their names.
pub fn roots(home: &Path) -> Vec<Root> {
    let real = |path: &Path| path.symlink_metadata().is_ok_and(|about| about.is_dir());
    let mut found: Vec<PathBuf> = listed(&home.join(SESSIONS))
        .filter(|backend| real(backend))
        .flat_map(|backend| listed(&backend).collect::<Vec<_>>())
        .filter(|root| real(root))
        .collect();
    found.sort();
    found.into_iter().map(root).collect()
}

fn root(path: PathBuf) -> Root {
    let ours = our_directory(&path);
    let queued: Vec<PathBuf> = listed(&queue_directory(&path)).collect();
    let inside = listed(&path).chain(listed(&ours)).chain(queued.iter().cloned());
    let changed = std::iter::once(path.clone()).chain(inside).filter_map(|path| {
        let modified = path.symlink_metadata().ok()?.modified().ok()?;
        Timestamp::try_from(modified).ok()
    });
    let changed = changed.max().unwrap_or(Timestamp::MAX);
    Root { changed, queued: queued.len(), is_busy: is_busy(&path), path }
}

fn listed(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether somebody holds the lock on the life of the agent with that session root. Nothing is made to find out.
pub fn is_busy(root: &Path) -> bool {
    LifeLock::is_held(root)
}

/// Whether `root` is a session root of that Home, as it is written.
pub fn is_in(home: &Path, root: &Path) -> bool {
    root.parent().and_then(Path::parent) == Some(&home.join(SESSIONS))
}

/// Takes a session root of the Home away. [`Kind::NotPermitted`] for any other place, [`Kind::TimedOut`] while somebody
/// starts or stops its agent.
pub fn remove(home: &Path, root: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (root.parent(), root.file_name().and_then(|name| name.to_str())) else {
        return Err(not_here(root));
    };
    if !is_in(home, root) || parent.canonicalize().is_ok_and(|real| real != parent) {
        return Err(not_here(root));
    }
    let _life = LifeLock::acquire(root, Duration::ZERO)?;
    match Dir::open(parent)? {
        Some(dir) => dir.remove_tree(name),
        None => Ok(()),
    }
}

fn not_here(root: &Path) -> Error {
    Error::new(Kind::NotPermitted, format!("{} is not a session of this Home and is left alone", root.display()))
}
