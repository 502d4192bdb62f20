//! What reaches the dashboard from other threads, over one descriptor that can be waited for beside the terminal.

use super::run::Home;
use crate::error::{Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The most messages that wait. They are all for the person: one more is left out.
const MAX_MESSAGES: usize = 256;

/// One message.
#[derive(Debug)]
pub enum Message {
    /// A signal came.
    Signal(Signal),
    /// What came of the command with that description.
    Answered(String, Result<()>),
    /// The Homes that there are.
    Homes(Vec<Home>),
}

/// What signals mean here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// End.
    End,
    /// Stop until continued.
    Suspend,
    /// The program goes on after it was stopped.
    Continue,
    /// The terminal has another size.
    Resize,
}

/// What there is on a descriptor that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    /// Nothing.
    Quiet,
    /// Something to read.
    Ready,
    /// Nobody at its other end any more.
    Gone,
}

/// Where messages arrive.
#[derive(Debug)]
pub struct Inbox {
    messages: Receiver<Message>,
    outbox: Outbox,
}

/// Where messages are sent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    messages: SyncSender<Message>,
    bell: Arc<OwnedFd>,
}

impl Inbox {
    /// An empty one.
    pub fn new() -> Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::io("cannot make a descriptor to wait for", &error.into()))?;
        let (sender, messages) = sync_channel(MAX_MESSAGES);
        Ok(Self { messages, outbox: Outbox { messages: sender, bell: Arc::new(bell) } })
    }

    /// The other end.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Waits for a message, for [`Outbox::wake`] or for `other`, at most `limit`; what there is on `other`.
    pub(super) fn wait(&self, other: BorrowedFd<'_>, limit: Option<Duration>) -> Result<Other> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let mut polled =
            [PollFd::from_borrowed_fd(other, PollFlags::IN), PollFd::new(&*self.outbox.bell, PollFlags::IN)];
        match poll(&mut polled, limit.as_ref()) {
            Ok(_) => {}
            Err(error) => {
                let error = std::io::Error::from(error);
                // A signal ends the wait, and nothing has come.
                if error.kind() == std::io::ErrorKind::Interrupted {
                    return Ok(Other::Quiet);
                }
                return Err(Error::io("cannot wait for the terminal", &error));
            }
        }
        let came = match polled[0].revents() {
            none if none.is_empty() => Other::Quiet,
            gone if gone.intersects(PollFlags::HUP | PollFlags::ERR) => Other::Gone,
            _ => Other::Ready,
        };
        // Nothing rang when there is nothing to read.
        let _ = rustix::io::read(self.outbox.bell.as_fd(), &mut [0; 8]);
        Ok(came)
    }

    /// The messages that have come.
    pub fn take(&self) -> impl Iterator<Item = Message> {
        self.messages.try_iter()
    }
}

impl Outbox {
    /// Sends a message; never waits.
    pub fn send(&self, message: Message) {
        let _ = self.messages.try_send(message);
        self.wake();
    }

    /// Has the dashboard look whether there is a newer snapshot; never waits.
    pub fn wake(&self) {
        // Full only when it rings already.
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
    }
}
