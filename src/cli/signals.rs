//! SIGINT, SIGTERM and SIGHUP as messages.

use crate::error::{Error, Result};
use std::sync::mpsc::Sender;
use tokio::signal::unix::{SignalKind, signal};

/// Sends a message for the first of those signals, from a thread of its own. From
/// the return on, none of them ends the program by itself.
///
/// They are handled and not blocked: programs inherit blocked signals, and a tmux
/// server and its agents could not be ended any more.
pub(super) fn forward<T: Send + 'static>(message: T, to: Sender<T>) -> Result<()> {
    let failed = |error| Error::io("cannot receive signals", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    drop(entered);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        let _ = to.send(message);
    };
    let thread = std::thread::Builder::new().name("troop-signals".to_owned());
    thread.spawn(wait).map(drop).map_err(|error| Error::io("cannot start a thread for signals", &error))
}
