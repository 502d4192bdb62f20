//! SIGINT, SIGTERM and SIGHUP as messages.

use crate::error::{Error, Result};
use nix::sys::signal::{SigSet, Signal};
use std::sync::mpsc::Sender;

/// Blocks the signals that end a mount, in this thread and those it starts.
pub(super) fn block() -> Result<SigSet> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block().map_err(|errno| Error::io("cannot block signals", &errno.into()))?;
    Ok(set)
}

/// Sends a message for the first of those signals, from a thread of its own.
pub(super) fn forward<T: Send + 'static>(set: SigSet, message: T, to: Sender<T>) -> Result<()> {
    let wait = move || {
        if set.wait().is_ok() {
            let _ = to.send(message);
        }
    };
    let thread = std::thread::Builder::new().name("troop-signals".to_owned());
    thread.spawn(wait).map(drop).map_err(|error| Error::io("cannot start a thread for signals", &error))
}
