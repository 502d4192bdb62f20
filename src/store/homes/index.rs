//! The index of Homes: which state roots of this machine have hosted a session, and when one was last made there (contract,
//! section 7). It is a hint and nothing else: whoever loses it loses a list, and the Homes are the truth.

use crate::error::{Error, Kind, Result};
use crate::store::atomic::write_replace;
use crate::store::dir::{Dir, make_private};
use crate::store::lock::FileLock;
use crate::store::roots::resolve;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The index in troop's state directory.
pub const INDEX_FILE: &str = "homes.json";
/// Held by whoever changes the index.
const LOCK_FILE: &str = ".homes.lock";
/// How long a change waits for another one. Thirty at once take less than a second.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// The largest index that is read, in bytes: some ten thousand Homes.
const MAX_BYTES: u64 = 4 << 20;
/// What we write. Another number is kept, with all that is not ours.
const VERSION: u64 = 1;
const FILE_MODE: u32 = 0o600;

/// A Home that the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where it is: absolute, symlinks resolved when it was registered.
    pub path: PathBuf,
    /// When a session was last made there.
    pub last_seen: Timestamp,
}

/// The index below one state directory.
#[derive(Debug, Clone)]
pub struct Index {
    dir: PathBuf,
}

/// The file as it was read: what we know and all that we do not.
#[derive(Default)]
struct Contents {
    rest: Map<String, Value>,
    homes: Vec<Value>,
}

impl Index {
    /// The index in `state_dir`, troop's directory under `XDG_STATE_HOME`; nothing is read or made yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned() }
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        self.dir.join(INDEX_FILE)
    }

    /// What is known, newest first. A file that is not there is an empty one; an entry that cannot be understood is left
    /// out. [`Kind::Malformed`] when nothing of the file can be.
    pub fn known(&self) -> Result<Vec<Known>> {
        let contents = self.read()?.unwrap_or_default();
        let mut known: Vec<Known> = contents.homes.iter().filter_map(Known::parse).collect();
        known.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.path.cmp(&b.path)));
        Ok(known)
    }

    /// Writes down that `home` hosts a session now. A file that cannot be understood is kept beside the new one.
    pub fn register(&self, home: &Path, now: Timestamp) -> Result<()> {
        let path = resolve(home);
        let text = path.to_str().ok_or_else(|| {
            Error::new(Kind::Invalid, format!("{} is not UTF-8, and the index of Homes takes no other", path.display()))
        })?;
        self.change(|contents| {
            let at = now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            match contents.homes.iter_mut().find(|entry| is_of(entry, &path)) {
                Some(entry) => entry["lastSeenAt"] = at.into(),
                None => contents.homes.push(json!({ "path": text, "lastSeenAt": at })),
            }
            true
        })
    }

    /// Removes the entry of a Home, which stays as it is. [`Kind::NotFound`] when there is none.
    pub fn forget(&self, home: &Path) -> Result<()> {
        let (mut known, home) = (false, resolve(home));
        self.change(|contents| {
            known = contents.remove(&home);
            known
        })?;
        if known {
            return Ok(());
        }
        Err(Error::new(
            Kind::NotFound,
            format!("{} is not in the index of Homes; troop home list --all shows those there are", home.display()),
        ))
    }

    /// Removes the entry of a Home if that is still `empty` while nobody can register it; whether it was.
    pub fn forget_empty(&self, home: &Path, empty: impl FnOnce() -> bool) -> Result<bool> {
        let (mut gone, home) = (false, resolve(home));
        self.change(|contents| {
            gone = empty();
            gone && contents.remove(&home)
        })?;
        Ok(gone)
    }

    /// Changes the file under the lock, when `change` says that there is something to write.
    fn change(&self, change: impl FnOnce(&mut Contents) -> bool) -> Result<()> {
        make_private(&self.dir)?;
        let _lock = FileLock::acquire(&self.dir.join(LOCK_FILE), LOCK_LIMIT)?;
        let mut contents = match self.read() {
            Ok(contents) => contents.unwrap_or_default(),
            Err(error) if error.kind() == Kind::Malformed => {
                self.set_aside()?;
                Contents::default()
            }
            Err(error) => return Err(error),
        };
        if !change(&mut contents) {
            return Ok(());
        }
        let bytes = contents.into_json()?;
        write_replace(&self.path(), &bytes, FILE_MODE)
    }

    fn read(&self) -> Result<Option<Contents>> {
        let Some(dir) = Dir::open(&self.dir)? else { return Ok(None) };
        let what = || format!("{} is no index of Homes", self.path().display());
        let read = dir.read(INDEX_FILE, MAX_BYTES);
        let read =
            read.map_err(|error| if error.kind() == Kind::Malformed { error.while_doing(what()) } else { error });
        let Some(bytes) = read? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(Kind::Malformed, format!("{}: {error}; it will be set aside", what())))?;
        match value {
            Value::Object(mut rest) => match rest.remove("homes") {
                Some(Value::Array(homes)) => Ok(Some(Contents { rest, homes })),
                None => Ok(Some(Contents { rest, homes: Vec::new() })),
                Some(_) => Err(Error::new(Kind::Malformed, format!("{}: its homes are no list", what()))),
            },
            _ => Err(Error::new(Kind::Malformed, format!("{}: it is no object", what()))),
        }
    }

    /// Renames a file that cannot be understood to a name of its own.
    fn set_aside(&self) -> Result<()> {
        let aside = self.dir.join(format!("{INDEX_FILE}.bad-{}", uuid::Uuid::new_v4().simple()));
        std::fs::rename(self.path(), &aside)
            .map_err(|error| Error::io(format_args!("cannot set {} aside", self.path().display()), &error))
    }
}

impl Contents {
    /// Removes every entry of a Home; whether there was one.
    fn remove(&mut self, home: &Path) -> bool {
        let before = self.homes.len();
        self.homes.retain(|entry| !is_of(entry, home));
        self.homes.len() < before
    }

    fn into_json(mut self) -> Result<Vec<u8>> {
        self.rest.entry("version").or_insert_with(|| VERSION.into());
        self.homes.sort_by_key(|entry| std::cmp::Reverse(Known::parse(entry).map(|known| known.last_seen)));
        self.rest.insert("homes".to_owned(), self.homes.into());
        let mut bytes = serde_json::to_vec_pretty(&self.rest)
            .map_err(|error| Error::new(Kind::Invalid, format!("the index of Homes cannot be written: {error}")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl Known {
    /// An entry that can be understood: an absolute path and a time.
    fn parse(entry: &Value) -> Option<Self> {
        let path = PathBuf::from(entry.get("path")?.as_str()?);
        let last_seen = entry.get("lastSeenAt")?.as_str()?.parse().ok()?;
        path.is_absolute().then_some(Self { path, last_seen })
    }
}

fn is_of(entry: &Value, path: &Path) -> bool {
    entry.is_object() && entry.get("path").and_then(Value::as_str).is_some_and(|known| Path::new(known) == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn paths(index: &Index) -> Vec<String> {
        index.known().unwrap().iter().map(|known| known.path.display().to_string()).collect()
    }

    #[test]
    fn what_is_registered_is_known_newest_first_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::new(&dir.path().join("not/yet"));
        assert_eq!(index.known().unwrap(), []);
        for (path, second) in [("/nowhere/a", 1), ("/nowhere/b", 2), ("/nowhere/c/../a", 3)] {
            index.register(Path::new(path), at(second)).unwrap();
        }
        assert_eq!(paths(&index), ["/nowhere/a", "/nowhere/b"]);
        assert_eq!(index.known().unwrap()[0].last_seen, at(3));
        index.forget(Path::new("/nowhere/c/../b")).unwrap();
        assert_eq!(paths(&index), ["/nowhere/a"]);
        assert_eq!(index.forget(Path::new("/nowhere/b")).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn a_home_is_forgotten_as_empty_only_while_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::new(dir.path());
        index.register(Path::new("/nowhere/a"), at(1)).unwrap();
        assert!(!index.forget_empty(Path::new("/nowhere/a"), || false).unwrap());
        assert_eq!(paths(&index), ["/nowhere/a"]);
        assert!(index.forget_empty(Path::new("/nowhere/a"), || true).unwrap());
        assert_eq!(paths(&index), [""; 0]);
    }

    #[test]
    fn a_bad_entry_costs_only_itself_and_what_is_unknown_survives() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::new(dir.path());
        let text = r#"{"version": 7, "color": "red", "homes": [
            {"path": "/a", "lastSeenAt": "2026-01-01T00:00:00Z", "label": "mine"}, {"path": 5}, "x",
            {"path": "relative", "lastSeenAt": "2026-01-01T00:00:00Z"}, {"path": "/b", "lastSeenAt": "some day"}]}"#;
        std::fs::write(index.path(), text).unwrap();
        assert_eq!(paths(&index), ["/a"]);
        index.register(Path::new("/a"), at(9)).unwrap();
        index.register(Path::new("/n"), at(10)).unwrap();
        assert_eq!(paths(&index), ["/n", "/a"]);
        let written: Value = serde_json::from_slice(&std::fs::read(index.path()).unwrap()).unwrap();
        assert_eq!((&written["version"], &written["color"]), (&json!(7), &json!("red")));
        let homes = written["homes"].as_array().unwrap();
        assert_eq!((homes.len(), &homes[1]["label"]), (6, &json!("mine")));
    }

    #[test]
    fn a_file_that_is_no_index_is_kept_before_it_is_replaced() {
        for bad in ["", "{", "[]", "{\"homes\": 3}", "\u{0}"] {
            let dir = tempfile::tempdir().unwrap();
            let index = Index::new(dir.path());
            std::fs::write(index.path(), bad).unwrap();
            assert_eq!(index.known().unwrap_err().kind(), Kind::Malformed, "{bad:?}");
            index.register(Path::new("/a"), at(1)).unwrap();
            assert_eq!(paths(&index), ["/a"]);
            let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
            let aside = names.filter(|path| path.to_string_lossy().contains(".bad-")).collect::<Vec<_>>();
            assert_eq!(std::fs::read_to_string(&aside[0]).unwrap(), bad, "{aside:?}");
        }
    }

    #[test]
    fn many_at_once_are_all_there() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..30 {
                let index = Index::new(dir.path());
                scope.spawn(move || index.register(Path::new(&format!("/home{n}")), at(n)).unwrap());
            }
        });
        assert_eq!(Index::new(dir.path()).known().unwrap().len(), 30);
    }
}
