//! Directories watched for several agents at once: programs of one person keep their files in one place.

use crate::store::Watch;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The directories that are watched, and for how many.
#[derive(Clone)]
pub(super) struct Places(Rc<Inner>);

struct Inner {
    watch: Option<Arc<Watch>>,
    mountpoint: Option<PathBuf>,
    held: RefCell<HashMap<PathBuf, usize>>,
}

/// A file that is watched, there or not yet: the watch is on the nearest directory above it that is there.
pub(super) struct Place {
    places: Places,
    file: PathBuf,
    dir: Option<PathBuf>,
}

impl Places {
    pub(super) fn new(watch: Option<Arc<Watch>>, mountpoint: Option<PathBuf>) -> Self {
        Self(Rc::new(Inner { watch, mountpoint, held: RefCell::default() }))
    }

    /// Watches `file`; `None` when it is in our own mount.
    pub(super) fn hold(&self, file: PathBuf) -> Option<Place> {
        if self.is_ours(&file) {
            return None;
        }
        Some(Place { places: self.clone(), file, dir: None })
    }

    /// Whether `path` is not in our own mount, by whichever name.
    pub(super) fn are_clear_of(&self, path: &Path) -> bool {
        let real = || path.ancestors().find_map(|there| std::fs::canonicalize(there).ok());
        !self.is_ours(path) && real().is_none_or(|real| !self.is_ours(&real))
    }

    fn is_ours(&self, path: &Path) -> bool {
        self.0.mountpoint.as_ref().is_some_and(|mount| path.starts_with(mount))
    }

    fn take(&self, dir: &Path) {
        let mut held = self.0.held.borrow_mut();
        *held.entry(dir.to_owned()).or_default() += 1;
        if let Some(watch) = &self.0.watch
            && let Err(error) = watch.also(dir.into())
        {
            tracing::debug!(%error, "changes there are not seen at once");
        }
    }

    fn leave(&self, dir: &Path) {
        let mut held = self.0.held.borrow_mut();
        let Some(count) = held.get_mut(dir) else { return };
        *count -= 1;
        if *count == 0 {
            held.remove(dir);
            if let Some(watch) = &self.0.watch {
                watch.forget(dir);
            }
        }
    }
}

impl Place {
    /// The file, once the watch is as near to it as can be; symbolic links above it have been followed. `None` when they
    /// lead into our own mount.
    pub(super) fn settle(&mut self) -> Option<&Path> {
        // Each round is nearer to the file, or the last.
        for _ in 0..=self.file.components().count() {
            let there = self.file.ancestors().skip(1).find(|dir| dir.is_dir())?;
            let real = std::fs::canonicalize(there).ok()?;
            if self.places.is_ours(&real) {
                return None;
            }
            let rest = self.file.strip_prefix(there).ok()?.to_owned();
            let file = real.join(rest);
            let is_settled = self.dir.as_ref() == Some(&real) && self.file == file;
            // The same once more, because a directory that was made anew has lost its watch; and the new one first, so
            // that none loses it in between.
            self.places.take(&real);
            if let Some(before) = self.dir.replace(real) {
                self.places.leave(&before);
            }
            self.file = file;
            if is_settled {
                break;
            }
        }
        Some(&self.file)
    }

    /// Whether a change at `path` may be one of the file: it is the file, or something above it.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        self.file.starts_with(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir {
            self.places.leave(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(places: &Places) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = places.0.held.borrow().keys().cloned().collect();
        dirs.sort();
        dirs
    }

    #[test]
    fn the_watch_comes_nearer_and_goes() {
        let root = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(root.path()).unwrap();
        let places = Places::new(None, None);
        let mut place = places.hold(root.join("home/sessions/7.json")).unwrap();
        assert_eq!(place.settle(), Some(&*root.join("home/sessions/7.json")));
        assert_eq!(held(&places), std::slice::from_ref(&root));
        assert!(place.concerns(&root.join("home")) && !place.concerns(&root.join("other")));
        std::fs::create_dir_all(root.join("real/sessions")).unwrap();
        std::os::unix::fs::symlink("real", root.join("home")).unwrap();
        assert_eq!(place.settle(), Some(&*root.join("real/sessions/7.json")));
        assert_eq!(held(&places), [root.join("real/sessions")]);
        let mut other = places.hold(root.join("real/sessions/8.json")).unwrap();
        other.settle();
        drop(place);
        assert_eq!(held(&places), [root.join("real/sessions")]);
        drop(other);
        assert!(held(&places).is_empty());
    }

    #[test]
    fn nothing_in_our_own_mount() {
        let root = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(root.path()).unwrap();
        std::fs::create_dir(root.join("mnt")).unwrap();
        std::os::unix::fs::symlink("mnt", root.join("link")).unwrap();
        let places = Places::new(None, Some(root.join("mnt")));
        assert!(places.hold(root.join("mnt/a")).is_none());
        assert_eq!(places.hold(root.join("link/a")).unwrap().settle(), None);
    }
}
