//! Locks between troop processes: flock, waited for with a limit. The kernel
//! drops them when their holder ends, however it ends. Houmao takes none.

use super::dir::make_private;
use crate::error::{Error, Kind, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a change of the registry waits for others. One takes milliseconds, and many may be launched at once on a disk
/// that has much to write.
pub const REGISTRY_LOCK_LIMIT: Duration = Duration::from_secs(10);

/// How often a taken lock is tried again: flock has no deadline of its own.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Our directory in a session root. Houmao ignores what it does not know there.
pub const OUR_DIRECTORY: &str = "troop";

/// A lock held until this is dropped.
#[derive(Debug)]
pub struct FileLock {
    _held: Flock<File>,
}

impl FileLock {
    /// Takes the lock on the file `path`, making it (0600) when it is missing; one that is
    /// there is taken also where the disk can only be read. [`Kind::TimedOut`] after `limit`.
    pub fn acquire(path: &Path, limit: Duration) -> Result<Self> {
        let file = open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))
            .or_else(|error| open(path, OpenOptions::new().read(true)).map_err(|_| error))
            .map_err(|error| Error::io(format_args!("cannot open the lock file {}", path.display()), &error))?;
        Ok(Self { _held: lock(file, path, limit)? })
    }

    /// Takes the lock on the directory `dir`. [`Kind::TimedOut`] after `limit`.
    fn directory(dir: &Path, limit: Duration) -> Result<Self> {
        let file = File::open(dir)
            .map_err(|error| Error::io(format_args!("cannot open the directory {}", dir.display()), &error))?;
        Ok(Self { _held: lock(file, dir, limit)? })
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)
}

/// Takes an exclusive flock on an open file, or gives up after `limit`.
pub(crate) fn lock(mut file: File, path: &Path, limit: Duration) -> Result<Flock<File>> {
    let deadline = Instant::now() + limit;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(held),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) => file = back,
            Err((_, errno)) => {
                return Err(Error::io(format_args!("cannot lock {}", path.display()), &errno.into()));
            }
        }
        if Instant::now() >= deadline {
            return Err(Error::new(
                Kind::TimedOut,
                format!("another troop process has held {} for {limit:?}; try again when it is done", path.display()),
            ));
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}

/// The lock on one agent: whoever holds it may deliver to its terminal.
#[derive(Debug)]
pub struct AgentLock {
    _held: FileLock,
}

impl AgentLock {
    /// Takes `<session root>/troop/lock`, making our directory there (0700) when it
    /// is missing. A disk that is full has room for neither: then the session root
    /// itself is locked. [`Kind::TimedOut`] after `limit`.
    pub fn acquire(session_root: &Path, limit: Duration) -> Result<Self> {
        let dir = our_directory(session_root);
        let made = if dir.is_dir() { Ok(()) } else { make_private(&dir) };
        let held = made.and_then(|()| FileLock::acquire(&dir.join("lock"), limit));
        let held = match held {
            Err(error) if error.kind() != Kind::TimedOut => FileLock::directory(session_root, limit)
                .map_err(|again| if again.kind() == Kind::TimedOut { again } else { error })?,
            held => held?,
        };
        Ok(Self { _held: held })
    }
}

/// The lock on one agent's life: whoever holds it may start or end its program.
#[derive(Debug)]
pub struct LifeLock {
    // None where there is no session root to hold it in.
    _held: Option<FileLock>,
}

impl LifeLock {
    /// Takes `<session root>/troop/life.lock`, making our directory there (0700) when it is missing. Where there is no
    /// session root, nothing can be started from it and nothing is locked. [`Kind::TimedOut`] after `limit`.
    pub fn acquire(session_root: &Path, limit: Duration) -> Result<Self> {
        if !session_root.is_dir() {
            return Ok(Self { _held: None });
        }
        let dir = our_directory(session_root);
        let made = if dir.is_dir() { Ok(()) } else { make_private(&dir) };
        match made.and_then(|()| FileLock::acquire(&dir.join(LIFE_LOCK), limit)) {
            Ok(held) => Ok(Self { _held: Some(held) }),
            Err(error) if error.kind() == Kind::TimedOut => Err(error),
            // A disk that takes no more files keeps nobody from ending a program.
            Err(error) => {
                tracing::debug!(%error, "going on without the lock on its life");
                Ok(Self { _held: None })
            }
        }
    }
}

impl LifeLock {
    /// Makes a new session root (0700, parents too) and takes the lock on the life of its agent before anything else is in it.
    pub fn begin(session_root: &Path) -> Result<Self> {
        make_private(session_root)?;
        Self::acquire(session_root, Duration::ZERO)
    }

    /// Whether somebody has it. Nothing is made to find out.
    pub(super) fn is_held(session_root: &Path) -> bool {
        let path = our_directory(session_root).join(LIFE_LOCK);
        let file = open(&path, OpenOptions::new().read(true)).ok();
        file.is_some_and(|file| lock(file, &path, Duration::ZERO).is_err_and(|error| error.kind() == Kind::TimedOut))
    }
}

/// The file of [`LifeLock`] in our directory.
const LIFE_LOCK: &str = "life.lock";

/// Our directory in a session root, where the lock and the journal are.
pub fn our_directory(session_root: &Path) -> PathBuf {
    session_root.join(OUR_DIRECTORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_free_again() {
        let root = tempfile::tempdir().unwrap();
        let held = AgentLock::acquire(root.path(), Duration::ZERO).unwrap();
        let refused = AgentLock::acquire(root.path(), Duration::from_millis(20)).unwrap_err();
        assert_eq!(refused.kind(), Kind::TimedOut);
        drop(held);
        AgentLock::acquire(root.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_waiter_gets_it_when_the_holder_lets_go() {
        let root = tempfile::tempdir().unwrap();
        let held = AgentLock::acquire(root.path(), Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| AgentLock::acquire(root.path(), Duration::from_secs(60)).map(drop));
            drop(held);
            waiter.join().unwrap().unwrap();
        });
    }
}
