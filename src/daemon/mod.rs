//! The loop: observe, decide, publish, obey. The one place that waits, and the
//! only reader of the clock. It runs on a thread of its own; everybody else
//! holds a [`Port`].

mod adopt;
mod clock;
mod config;
mod crash;
mod deliver;
mod discover;
mod discoveries;
mod effects;
mod event;
mod gateway;
mod gc;
mod headless;
mod journals;
mod launch;
mod observe;
mod observers;
mod pace;
mod prompts;
mod reader;
mod recover;
mod relaunch;
mod role;
mod run;
mod show;
mod sources;
mod stop;
mod survey;
mod up;
mod walk;

pub use config::{Scope, Settings, environment, tool_overrides};
pub use discover::discover;
pub use gc::{Sweep, has_changed};
pub use headless::run_turn;
pub use role::ROLE_PROMPT;

use crate::error::{Error, Kind, Result};
use crate::port::{self, Port};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A running loop. Dropping it ends the loop and leaves every agent running.
pub struct Daemon {
    port: Port,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Starts the loop. What goes wrong later is shown in the snapshots.
    pub fn start(settings: Settings) -> Result<Self> {
        let (port, hub) = port::pair();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .thread_name("troop-disk")
            .build()
            .map_err(|error| Error::io("cannot start the loop", &error))?;
        let thread = std::thread::Builder::new()
            .name("troop-loop".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    run::run(settings, hub, stopped).await;
                    // Clients that are merely cut off may stay with the server.
                    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, crate::tmux::detach_all()).await;
                });
                // Disk work that hangs must not keep the program from ending.
                runtime.shutdown_timeout(SHUTDOWN_LIMIT);
            })
            .map_err(|error| Error::new(Kind::Unavailable, format!("cannot start the loop's thread: {error}")))?;
        Ok(Self { port, stop: Some(stop), thread: Some(thread) })
    }

    /// The way in and out.
    pub fn port(&self) -> &Port {
        &self.port
    }
}

/// The most threads that do disk work at once.
const MAX_BLOCKING_THREADS: usize = 8;
/// How long ending the loop waits for clients to detach, and for disk work.
const SHUTDOWN_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
