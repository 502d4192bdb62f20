//! Who may make a tmux server tell its control clients something, and when.
//!
//! tmux from 2.x to 3.6 crashes, with every session in it, when it has a
//! notification for all control clients while one of them is still connecting: that
//! client is already known as one and has no buffer yet (tmux pull request 4980; a
//! detach beside an attach met it within twenty tries with 3.3a). Nor may a
//! connecting client be killed (pull request 5004).
//!
//! So a client connects alone, and what makes the server notify (detaching, making
//! or ending a session, resizing) is not done meanwhile by anybody who asks at the same door: an
//! advisory lock on the socket's directory, which every troop process of the
//! machine shares. What other programs do to the server cannot be held back; the
//! moment of connecting is a fraction of a millisecond.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long to wait for the others before going on without the lock: a process that was
/// stopped while it held it must not keep everybody out. Longer than any wait that a busy machine makes, because without the
/// lock the server and all that runs in it are at risk.
const DOOR_DEADLINE: Duration = Duration::from_secs(60);

/// How often the lock is tried: a connection takes a few milliseconds.
const RETRY: Duration = Duration::from_millis(3);

/// How long the server may go on notifying after a client has gone or a session was
/// ended: it first has to see the sockets of the clients close.
pub(super) const SETTLING: Duration = Duration::from_millis(30);

/// The door of the servers in one directory.
#[derive(Debug, Clone)]
pub(super) struct Door {
    directory: PathBuf,
    /// What the clients of this process share.
    hall: Arc<Hall>,
}

#[derive(Debug, Default)]
struct Hall {
    /// The queue in front of the lock: whoever wants to be alone is not overtaken by others for ever.
    queue: tokio::sync::Mutex<()>,
    /// The servers that somebody of this process has connected to.
    known: Mutex<BTreeSet<PathBuf>>,
    /// Tells the clients to go; each holds a receiver for as long as it lives.
    leaving: watch::Sender<()>,
}

/// One for each directory with a socket that this process has used.
static HALLS: Mutex<BTreeMap<PathBuf, Arc<Hall>>> = Mutex::new(BTreeMap::new());

/// Detaches every client of this process and waits until the servers have let them go.
///
/// For the end of a program: clients that are merely cut off may stay behind, and the
/// next program to connect meets them on their way out.
pub async fn detach_all() {
    let halls: Vec<_> = HALLS.lock().values().cloned().collect();
    for hall in &halls {
        hall.leaving.send_replace(());
    }
    for hall in halls {
        hall.leaving.closed().await;
    }
}

/// The right to what was asked for, until dropped.
#[derive(Debug)]
pub(super) struct Held {
    /// Dropping the file gives the lock back.
    lock: Option<File>,
}

impl Door {
    pub(super) fn new(directory: PathBuf) -> Self {
        let hall = Arc::clone(HALLS.lock().entry(directory.clone()).or_default());
        Self { directory, hall }
    }

    /// Whether nobody of this process has come to that server before.
    pub(super) fn is_first_at(&self, socket: &Path) -> bool {
        self.hall.known.lock().insert(socket.to_owned())
    }

    /// Changes when every client has to go; to be held while one lives.
    pub(super) fn leaving(&self) -> watch::Receiver<()> {
        self.hall.leaving.subscribe()
    }

    /// Detaches the clients of this process at this door and waits until they are gone.
    pub(super) async fn empty(&self) {
        self.hall.leaving.send_replace(());
        self.hall.leaving.closed().await;
    }

    /// For connecting: waits until nobody else does anything, and keeps them waiting.
    pub(super) async fn alone(&self) -> Held {
        self.hold(File::try_lock).await
    }

    /// For what makes the server notify: waits until nobody connects.
    pub(super) async fn shared(&self) -> Held {
        self.hold(File::try_lock_shared).await
    }

    async fn hold(&self, try_lock: fn(&File) -> Result<(), TryLockError>) -> Held {
        // Without the directory there is no server, and where it cannot be read there is no lock.
        let Ok(directory) = File::open(&self.directory) else { return Held { lock: None } };
        let deadline = Instant::now() + DOOR_DEADLINE;
        let _turn = timeout_at(deadline, self.hall.queue.lock()).await.ok();
        loop {
            match try_lock(&directory) {
                Ok(()) => return Held { lock: Some(directory) },
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    tracing::warn!(directory = %self.directory.display(), %error, "going on without the lock for tmux clients");
                    return Held { lock: None };
                }
            }
        }
    }
}

impl Held {
    /// Keeps it a little longer, for what the server has still to say.
    pub(super) async fn settle(self) {
        tokio::time::sleep(SETTLING).await;
        drop(self.lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_connects_and_nobody_else_does_anything() {
        let directory = tempfile::tempdir().unwrap();
        let door = Door::new(directory.path().to_owned());
        let (one, two) = (door.shared().await, door.shared().await);
        let alone = door.alone();
        tokio::pin!(alone);
        tokio::select! {
            biased;
            held = &mut alone => panic!("it is not alone: {held:?}"),
            () = tokio::task::yield_now() => {}
        }
        drop((one, two));
        let alone = alone.await;
        assert!(alone.lock.is_some());
        let shared = door.shared();
        tokio::pin!(shared);
        tokio::select! {
            biased;
            held = &mut shared => panic!("somebody connects: {held:?}"),
            () = tokio::task::yield_now() => {}
        }
        let (shared, ()) = tokio::join!(shared, alone.settle());
        assert!(shared.lock.is_some());
    }

    #[tokio::test]
    async fn without_a_directory_there_is_no_server() {
        assert!(Door::new("/no/such/directory".into()).alone().await.lock.is_none());
    }
}
