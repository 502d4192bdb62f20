//! Ends an agent: its program, its session, and its record's claim to be live.

use super::clock::now;
use super::effects::{Hands, Target};
use super::reader::read_entry;
use crate::error::{Error, Kind, Result};
use crate::model::{Process, Programs};
use crate::process;
use crate::tmux::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a program may take to end after SIGTERM before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// What the record says of a stop that somebody asked for (the reference, section 1.3).
const OPERATOR_STOP: &str = "operator_stop";
/// What the record says of an agent that was retired.
const OPERATOR_RETIRE: &str = "operator_retire";
/// What the record says of a launch that came to nothing.
pub(super) const LAUNCH_FAILED: &str = "launch_failed";

impl Hands {
    /// Ends the program and its session and records it. A session that was joined
    /// is somebody's own: it is left as it is. Gives the reason recorded.
    pub(super) async fn stop(&self, target: &Target, force: bool) -> Result<String> {
        if !target.joined {
            self.end_session(target, force).await?;
        }
        self.record(target, |registry, id, generation| registry.stop(id, generation, OPERATOR_STOP, now()).map(drop))
            .await?;
        Ok(OPERATOR_STOP.to_owned())
    }

    /// Marks the record as finished for good.
    pub(super) async fn retire(&self, target: &Target, reason: Option<&'static str>) -> Result<()> {
        let reason = reason.unwrap_or(OPERATOR_RETIRE);
        self.record(target, move |registry, id, generation| registry.retire(id, generation, reason, now()).map(drop))
            .await
    }

    /// Changes the record, and lets the loop know before the command is answered.
    async fn record(
        &self,
        target: &Target,
        change: impl FnOnce(&crate::store::Registry, &crate::model::AgentId, &str) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let (registry, id, generation) =
            (self.registry.clone(), target.record.id.clone(), target.record.generation.clone());
        let changed = tokio::task::spawn_blocking(move || {
            change(&registry, &id, &generation)?;
            let looked = Instant::now();
            Ok(registry.read(&id)?.map(|entry| read_entry(entry, looked)))
        });
        let read = changed.await.map_err(|_| Error::new(Kind::Io, "the work was cut off"))??;
        // The watch would say so too, but perhaps after whoever asked has asked for something else.
        if let Some(read) = read {
            self.tell(read).await;
        }
        Ok(())
    }

    /// Ends the session and what runs in it; that there is none is no failure.
    pub(super) async fn end_session(&self, target: &Target, force: bool) -> Result<()> {
        let Some(session) = &target.record.session else { return Ok(()) };
        let client = match &target.link {
            Some(link) if link.client.is_open() => link.client.clone(),
            _ => {
                let (sender, _events) = super::observe::tmux_events();
                match Client::attach(&target.socket, session, sender).await {
                    Ok(client) => Arc::new(client),
                    // There is nothing left to end.
                    Err(error) if error.kind() == Kind::Gone => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        let programs = self.programs(target, &client, session).await;
        if !force {
            signal(&programs.all, Signal::SIGTERM);
            if let Some(first) = programs.all.first() {
                let _ = tokio::time::timeout(STOP_GRACE, process::ended(first.pid, first.start_time)).await;
            }
        }
        client.kill_session(session).await?;
        signal(&programs.all, Signal::SIGKILL);
        Ok(())
    }

    async fn programs(&self, target: &Target, client: &Client, session: &str) -> Programs {
        let pane = match &target.link {
            Some(link) => link.pane.clone(),
            None => match client.find_agent_pane(session).await {
                Ok(place) => place.pane,
                Err(_) => return Programs::default(),
            },
        };
        super::observe::look(client, &pane).await.map(|look| look.programs).unwrap_or_default()
    }
}

/// Signals those processes that are still the ones that were seen: a pid alone
/// may belong to somebody else by now.
fn signal(processes: &[Process], signal: Signal) {
    for known in processes.iter().rev() {
        if process::start_time(known.pid) == Some(known.start_time) {
            let _ = kill(Pid::from_raw(known.pid), signal);
        }
    }
}
