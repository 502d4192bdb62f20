//! The one bridge between threads: snapshots out, commands in.
//!
//! Readers take the newest snapshot and never wait for the loop. A command is
//! queued (the queue is bounded) and answered once, from the loop's thread.

use crate::command::Command;
use crate::error::{Error, Kind, Result};
use crate::model::{Actor, Snapshot};
use parking_lot::{Condvar, Mutex, RwLock};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The most commands that wait for the loop.
pub const MAX_QUEUED_COMMANDS: usize = 1024;

/// What a command is answered with, and when.
pub type Answer = Box<dyn FnOnce(Result<()>) + Send>;

/// When a command counts as answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It was accepted: the snapshot that shows so is published.
    Accepted,
    /// Everything it asks for has been done, or has failed.
    Done,
}

/// One command on its way to the loop.
pub struct Request {
    /// What.
    pub command: Command,
    /// Who asks.
    pub actor: Actor,
    /// When to answer.
    pub until: Until,
    /// Called once.
    pub answer: Answer,
}

/// The readers' and writers' end. Cheap to clone.
#[derive(Clone)]
pub struct Port {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

/// The loop's end.
pub struct Hub {
    shared: Arc<Shared>,
    /// Commands in the order they were submitted.
    pub requests: mpsc::Receiver<Request>,
}

struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    version: Mutex<u64>,
    changed: Condvar,
    /// Called after each publication.
    watchers: Mutex<Vec<Watcher>>,
}

type Watcher = Box<dyn Fn() + Send>;

/// Both ends of a new port with an empty snapshot.
pub fn pair() -> (Port, Hub) {
    let (sender, requests) = mpsc::channel(MAX_QUEUED_COMMANDS);
    let shared = Arc::new(Shared {
        snapshot: RwLock::default(),
        version: Mutex::new(0),
        changed: Condvar::new(),
        watchers: Mutex::default(),
    });
    (Port { shared: shared.clone(), requests: sender }, Hub { shared, requests })
}

impl Port {
    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.read().clone()
    }

    /// Queues a command. When the queue is full or the loop has ended, the answer
    /// is the error and comes at once.
    pub fn submit(&self, command: Command, actor: Actor, until: Until, answer: Answer) {
        if let Err(refused) = self.requests.try_send(Request { command, actor, until, answer }) {
            let (request, error) = match refused {
                mpsc::error::TrySendError::Full(request) => (
                    request,
                    Error::new(Kind::Full, format!("{MAX_QUEUED_COMMANDS} commands are waiting already; try again")),
                ),
                mpsc::error::TrySendError::Closed(request) => {
                    (request, Error::new(Kind::Gone, "troop is shutting down; try again when it is mounted"))
                }
            };
            (request.answer)(Err(error));
        }
    }

    /// Queues a command and waits for its answer, at most `limit`.
    pub fn call(&self, command: Command, actor: Actor, until: Until, limit: Duration) -> Result<()> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.submit(command, actor, until, Box::new(move |result| drop(sender.send(result))));
        receiver.recv_timeout(limit).unwrap_or_else(|_| {
            Err(Error::new(
                Kind::TimedOut,
                format!("no answer within {} s; look at the agent's history before trying again", limit.as_secs()),
            ))
        })
    }

    /// Has `told` called after each publication from now on, on the loop's thread: it must
    /// only wake somebody else.
    pub fn on_publish(&self, told: impl Fn() + Send + 'static) {
        self.shared.watchers.lock().push(Box::new(told));
    }

    /// Waits until a snapshot newer than `version` is published, at most `limit`,
    /// and gives the newest one either way.
    pub fn wait_newer(&self, version: u64, limit: Duration) -> Arc<Snapshot> {
        let deadline = Instant::now() + limit;
        let mut newest = self.shared.version.lock();
        while *newest <= version {
            if self.shared.changed.wait_until(&mut newest, deadline).timed_out() {
                break;
            }
        }
        drop(newest);
        self.snapshot()
    }

    /// Waits until `holds` says something about a snapshot, at most `limit`.
    pub fn wait_for<T>(&self, limit: Duration, mut holds: impl FnMut(&Snapshot) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut snapshot = self.snapshot();
        loop {
            if let Some(found) = holds(&snapshot) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            snapshot = self.wait_newer(snapshot.version, left);
        }
    }
}

impl Hub {
    /// Shows `snapshot` to everybody.
    pub fn publish(&self, snapshot: Snapshot) {
        let version = snapshot.version;
        *self.shared.snapshot.write() = Arc::new(snapshot);
        *self.shared.version.lock() = version;
        self.shared.changed.notify_all();
        self.shared.watchers.lock().iter().for_each(|told| told());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_snapshot_wakes_who_waits() {
        let (port, hub) = pair();
        let waiter = std::thread::spawn({
            let port = port.clone();
            move || port.wait_newer(0, Duration::from_secs(30)).version
        });
        hub.publish(Snapshot { version: 7, ..Snapshot::default() });
        assert_eq!(waiter.join().unwrap(), 7);
        assert_eq!(port.wait_newer(7, Duration::ZERO).version, 7, "a limit of nothing does not wait");
    }

    #[test]
    fn a_full_queue_and_an_ended_loop_refuse() {
        let (port, hub) = pair();
        let actor = Actor::Observed;
        for _ in 0..MAX_QUEUED_COMMANDS {
            port.submit(Command::Troop { verbs: Vec::new() }, actor.clone(), Until::Accepted, Box::new(|_| {}));
        }
        let full = port
            .call(Command::Troop { verbs: Vec::new() }, actor.clone(), Until::Accepted, Duration::from_secs(1))
            .unwrap_err();
        assert_eq!(full.kind(), Kind::Full);
        drop(hub);
        let closed = port
            .call(Command::Troop { verbs: Vec::new() }, actor, Until::Accepted, Duration::from_secs(1))
            .unwrap_err();
        assert_eq!(closed.kind(), Kind::Gone);
    }
}
