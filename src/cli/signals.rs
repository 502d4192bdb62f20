//! Signals as messages.

use crate::error::{Error, Result};
use nix::sys::signal::Signal;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::signal::unix::{SignalKind, signal};

/// Those that ask a program to end.
pub(super) const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Sends a message when a signal asks the program to end, as [`listen`] does.
pub(super) fn forward<T: Clone + Send + Sync + 'static>(message: T, to: Sender<T>) -> Result<()> {
    listen(&ENDS, move |_| {
        let _ = to.send(message.clone());
    })
}

/// Has `told` called for each of those signals that comes, on a thread of its own. From
/// the return on, none of them does anything by itself.
///
/// They are handled and not blocked: programs inherit blocked signals, and a tmux
/// server and its agents could not be ended any more.
pub(super) fn listen(signals: &[Signal], told: impl Fn(Signal) + Send + Sync + 'static) -> Result<()> {
    let failed = |error| Error::io("cannot receive signals", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let entered = runtime.enter();
    let told = Arc::new(told);
    for which in signals.iter().copied() {
        let (mut come, told) = (signal(SignalKind::from_raw(which as i32)).map_err(failed)?, told.clone());
        runtime.spawn(async move {
            while come.recv().await.is_some() {
                told(which);
            }
        });
    }
    drop(entered);
    let wait = move || runtime.block_on(std::future::pending::<()>());
    let thread = std::thread::Builder::new().name("troop-signals".to_owned());
    thread.spawn(wait).map(drop).map_err(|error| Error::io("cannot start a thread for signals", &error))
}
