//! The session roots of a Home, and how one is taken away.

use super::dir::Dir;
use super::lock::{LifeLock, our_directory};
use super::spool::queue_directory;
use super::{legacy, managed};
use crate::error::{Error, Kind, Result};
use crate::model::home::{SESSIONS, home_of};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    let changed = newest(std::iter::once(path.clone()).chain(inside));
    Root { changed, queued: queued.len(), is_busy: is_busy(&path), path }
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
    /// When something in it last changed.
    pub changed: Timestamp,
}

/// What retired servers of Houmao have left in these Homes, and the turns of headless agents whose session is gone.
pub fn left(homes: &[PathBuf]) -> Vec<Left> {
    let legacy = legacy::legacy(homes).into_iter().map(|left| (left.path, left.what));
    let turns = homes.iter().flat_map(|home| managed::abandoned(home));
    let turns = turns.map(|path| (path, "the turns of a headless agent whose session is gone"));
    let mut left: Vec<Left> =
        legacy.chain(turns).map(|(path, what)| Left { changed: last_change(&path), path, what }).collect();
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

/// Whether `root` is a session root of that Home, as it is written.
pub fn is_in(home: &Path, root: &Path) -> bool {
    home_of(root) == Some(home)
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
