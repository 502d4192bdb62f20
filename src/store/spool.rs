//! Prompts on disk, in our directory of a session root: those that wait in `queue/`, by name, and those on their way in
//! `delivering/`, by prompt id.
//!
//! A prompt on its way is a file that its deliverer holds locked until the receipt is written. A file there that
//! nobody holds is one whose deliverer has died: it may have been typed, so it is never typed again. To take a
//! prompt from the queue is one rename, so that of several processes one gets it.

use super::dir::{make_private, read_regular};
use super::lock::our_directory;
use crate::error::{Error, Kind, Result};
use crate::model::agent_view::MAX_QUEUED;
use crate::model::name::check_queue_name as check_name;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, RenameFlags, renameat2};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The most bytes of all prompts in one queue.
pub const MAX_QUEUE_BYTES: u64 = 8 << 20;
/// The most bytes of one prompt: the contract's limit, with room for the newline that is dropped.
const MAX_BYTES: u64 = (1 << 20) + 1;

const QUEUE: &str = "queue";
const DELIVERING: &str = "delivering";
/// What a name is given in front when its prompt cannot be sent. Names that begin with a dot are never sent.
pub const REFUSED: &str = ".refused-";

/// A prompt that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Where the prompts of the session with that root wait.
pub fn queue_directory(session_root: &Path) -> PathBuf {
    our_directory(session_root).join(QUEUE)
}

/// Every prompt that waits, in name order; what is no regular file or is too large is left out. Nothing when there is no queue.
pub fn waiting(session_root: &Path) -> Vec<Waiting> {
    let dir = queue_directory(session_root);
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| check_name(name).is_ok())
        .collect();
    names.sort_unstable();
    let mut left = MAX_QUEUE_BYTES;
    let mut all = Vec::new();
    for name in names.into_iter().take(MAX_QUEUED) {
        if let Some(bytes) = open(&dir.join(&name)).ok().and_then(|file| read_regular(file, MAX_BYTES.min(left)).ok()) {
            left -= bytes.len() as u64;
            all.push(Waiting { name, bytes });
        }
    }
    all
}

/// Puts a prompt into the queue, in place of one of that name. [`Kind::Full`] when there is no room.
pub fn put(session_root: &Path, name: &str, text: &str) -> Result<()> {
    check_name(name)?;
    let waiting = waiting(session_root);
    let others: u64 = waiting.iter().filter(|known| known.name != name).map(|known| known.bytes.len() as u64).sum();
    if waiting.iter().filter(|known| known.name != name).count() >= MAX_QUEUED
        || others + text.len() as u64 > MAX_QUEUE_BYTES
    {
        return Err(Error::new(
            Kind::Full,
            format!("the queue is full ({MAX_QUEUED} prompts, {MAX_QUEUE_BYTES} bytes); remove one or wait"),
        ));
    }
    let dir = queue_directory(session_root);
    make_private(&our_directory(session_root))?;
    make_private(&dir)?;
    // Beside the queue, so that nobody sees half of it there.
    let failed = |error: io::Error| Error::io(format!("cannot write into {}", dir.display()), &error);
    let mut file =
        tempfile::Builder::new().prefix("queue-").tempfile_in(our_directory(session_root)).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(dir.join(name)).map_err(|error| failed(error.error))?;
    sync(&dir);
    Ok(())
}

/// Takes a prompt out of the queue. [`Kind::NotFound`] when it is not there (any more).
pub fn remove(session_root: &Path, name: &str) -> Result<()> {
    check_name(name)?;
    let path = queue_directory(session_root).join(name);
    fs::remove_file(&path).map_err(|error| missing_or(&error, name, "take out of the queue"))?;
    sync(&queue_directory(session_root));
    Ok(())
}

/// Gives a prompt in the queue another name, and with it another place, over a prompt that has it already.
pub fn rename(session_root: &Path, from: &str, to: &str) -> Result<()> {
    check_name(from)?;
    check_name(to)?;
    let dir = queue_directory(session_root);
    fs::rename(dir.join(from), dir.join(to)).map_err(|error| missing_or(&error, from, "rename"))?;
    sync(&dir);
    Ok(())
}

/// A prompt on its way; the file is locked while this lives, and stays when it is dropped without [`Claim::done`].
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    file: Flock<File>,
}

impl Claim {
    /// Writes down a prompt that is about to be delivered.
    pub fn new(session_root: &Path, prompt_id: &str, text: &str) -> Result<Self> {
        let dir = delivering(session_root)?;
        let failed = |error: io::Error| Error::io(format!("cannot write into {}", dir.display()), &error);
        let (file, unnamed) = tempfile::Builder::new()
            .prefix("prompt-")
            .tempfile_in(our_directory(session_root))
            .map_err(failed)?
            .into_parts();
        let mut file = lock(file).ok_or_else(|| failed(io::ErrorKind::WouldBlock.into()))?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        let path = dir.join(prompt_id);
        unnamed.persist(&path).map_err(|error| failed(error.error))?;
        Ok(Self { path, file })
    }

    /// Takes a prompt from the queue; `None` when somebody else has it already.
    pub fn take(session_root: &Path, name: &str, prompt_id: &str) -> Result<Option<Self>> {
        check_name(name)?;
        let (from, path) = (queue_directory(session_root).join(name), delivering(session_root)?.join(prompt_id));
        let Ok(file) = open(&from) else { return Ok(None) };
        let Some(file) = lock(file) else { return Ok(None) };
        match renameat2(AT_FDCWD, &from, AT_FDCWD, &path, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => {
                return Err(Error::io(format!("cannot take {} from the queue", from.display()), &errno.into()));
            }
        }
        let claim = Self { path, file };
        // Another prompt may have been put in its place before the rename.
        if claim.is_whole() {
            return Ok(Some(claim));
        }
        claim.put_back(session_root, name)?;
        Ok(None)
    }

    /// Prompts whose deliverer has died.
    pub fn orphans(session_root: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(our_directory(session_root).join(DELIVERING)) else { return Vec::new() };
        let claims = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let claim = Self { file: lock(open(&path).ok()?)?, path };
            claim.is_whole().then_some(claim)
        });
        claims.collect()
    }

    /// The prompt's id.
    pub fn prompt_id(&self) -> &str {
        self.path.file_name().and_then(OsStr::to_str).unwrap_or_default()
    }

    /// Where its text is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text; empty when it cannot be read any more.
    pub fn bytes(&self) -> Vec<u8> {
        open(&self.path).ok().and_then(|file| read_regular(file, MAX_BYTES).ok()).unwrap_or_default()
    }

    /// Its receipt is written.
    pub fn done(self) {
        // A file that stays is found again and has a receipt then.
        let _ = fs::remove_file(&self.path);
    }

    /// Nothing of it was typed: it waits again, unless there is another prompt of that name by now, which comes first.
    pub fn put_back(self, session_root: &Path, name: &str) -> Result<()> {
        let dir = queue_directory(session_root);
        make_private(&dir)?;
        for number in 0..=MAX_QUEUED {
            let name = if number == 0 { name.to_owned() } else { format!("{name}~{number}") };
            match renameat2(AT_FDCWD, &self.path, AT_FDCWD, &dir.join(name), RenameFlags::RENAME_NOREPLACE) {
                Ok(()) => return Ok(()),
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(Error::io("cannot put a prompt back into the queue", &errno.into())),
            }
        }
        Err(Error::new(Kind::Full, "the queue is full"))
    }

    /// Whether the name still leads to the file that is locked.
    fn is_whole(&self) -> bool {
        let identity = |about: io::Result<fs::Metadata>| about.ok().map(|about| (about.dev(), about.ino()));
        identity(fs::symlink_metadata(&self.path)) == identity(self.file.metadata())
    }
}

fn delivering(session_root: &Path) -> Result<PathBuf> {
    let dir = our_directory(session_root).join(DELIVERING);
    make_private(&our_directory(session_root))?;
    make_private(&dir)?;
    Ok(dir)
}

fn lock(file: File) -> Option<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// Never blocks on a pipe and follows no link.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits()).open(path)
}

fn sync(dir: &Path) {
    // The name is there either way; after a crash of the machine there is no agent to deliver to.
    let _ = File::open(dir).and_then(|dir| dir.sync_all());
}

fn missing_or(error: &io::Error, name: &str, verb: &str) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::new(Kind::NotFound, format!("there is no {name} in the queue (any more)"));
    }
    Error::io(format!("cannot {verb} {name}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        waiting(root).into_iter().map(|waiting| waiting.name).collect()
    }

    #[test]
    fn prompts_wait_in_name_order() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(names(root.path()), [""; 0]);
        for name in ["b", "a", "c"] {
            put(root.path(), name, name).unwrap();
        }
        put(root.path(), "b", "another").unwrap();
        assert_eq!(names(root.path()), ["a", "b", "c"]);
        assert_eq!(waiting(root.path())[1].bytes, b"another");
        remove(root.path(), "a").unwrap();
        assert_eq!(remove(root.path(), "a").unwrap_err().kind(), Kind::NotFound);
        rename(root.path(), "c", "0").unwrap();
        assert_eq!(names(root.path()), ["0", "b"]);
        for bad in ["", ".", "..", "a/b", "a\nb", &"x".repeat(201)] {
            assert_eq!(put(root.path(), bad, "x").unwrap_err().kind(), Kind::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn a_full_queue_refuses() {
        let root = tempfile::tempdir().unwrap();
        let big = "x".repeat(1 << 20);
        for number in 0..8 {
            put(root.path(), &number.to_string(), &big).unwrap();
        }
        assert_eq!(put(root.path(), "more", "x").unwrap_err().kind(), Kind::Full);
        put(root.path(), "7", "smaller in its place").unwrap();
    }

    #[test]
    fn one_takes_it_and_what_nobody_holds_is_an_orphan() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a", "hello").unwrap();
        let claim = Claim::take(root.path(), "a", "p1").unwrap().unwrap();
        assert!(Claim::take(root.path(), "a", "p2").unwrap().is_none());
        assert_eq!((claim.prompt_id(), claim.bytes().as_slice()), ("p1", &b"hello"[..]));
        assert_eq!(Claim::orphans(root.path()).len(), 0, "it is held");
        drop(claim);
        let orphans = Claim::orphans(root.path());
        assert_eq!((orphans.len(), orphans[0].bytes().as_slice()), (1, &b"hello"[..]));
        orphans.into_iter().for_each(Claim::done);
        assert_eq!(Claim::orphans(root.path()).len(), 0);
        let claim = Claim::new(root.path(), "p3", "direct").unwrap();
        assert_eq!(fs::read(claim.path()).unwrap(), b"direct");
        claim.put_back(root.path(), "z").unwrap();
        assert_eq!(names(root.path()), ["z"]);
    }

    #[test]
    fn what_is_put_back_does_not_replace() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a", "first").unwrap();
        let claim = Claim::take(root.path(), "a", "p").unwrap().unwrap();
        put(root.path(), "a", "second").unwrap();
        claim.put_back(root.path(), "a").unwrap();
        assert_eq!(names(root.path()), ["a", "a~1"]);
    }

    #[test]
    fn links_and_pipes_do_not_wait() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a", "x").unwrap();
        let dir = queue_directory(root.path());
        std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap();
        nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(names(root.path()), ["a"]);
    }
}
