//! Ends an agent, or lets go of it: its program, its session, and its record's claim to be live.

use super::clock::now;
use super::crash;
use super::effects::{Hands, Target, blocking};
use super::event::Event;
use super::reader::read_entry;
use super::recover::{MANIFEST_VARIABLE, Scene, Session};
use crate::error::{Error, Kind, Result};
use crate::model::{AgentId, Process, Record};
use crate::process;
use crate::store::{Registry, gateway, manifest};
use crate::tool::Tool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal as signal_of};
use tokio::time::Instant;

/// How long programs may take to end after SIGTERM before they are killed.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// How long a program may take to be gone after it was killed.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// What the record says of a stop that somebody asked for (the reference, section 1.3).
const OPERATOR_STOP: &str = "operator_stop";
/// What the record says of an agent that somebody let go.
const OPERATOR_CLOSE: &str = "operator_close";
/// What the record says of an agent that was retired.
const OPERATOR_RETIRE: &str = "operator_retire";
/// What the record says of an agent that could not come back, because nobody can read how it was started.
pub(super) const MANIFEST_UNREADABLE: &str = "manifest_unreadable";
/// What the record says of a launch that came to nothing.
pub(super) const LAUNCH_FAILED: &str = "launch_failed";

/// What became of a stop.
pub(super) struct Stopped {
    /// What the record says.
    pub(super) reason: &'static str,
    /// What could not be ended, and why.
    pub(super) left: Option<String>,
}

impl Hands {
    /// Ends the program with its descendants and its session, and records it. A session that was joined is somebody's
    /// own: it is left as it is. An agent that could not come back, because its manifest cannot be read, is retired.
    pub(super) async fn stop(&self, target: &Target, force: bool) -> Result<Stopped> {
        let _life = self.life(target).await?;
        let record = self.current(target).await?;
        if !record.lifecycle.state.is_live() {
            return Err(Error::new(Kind::Gone, format!("{} is stopped already", target.name)));
        }
        let scene = self.scene(target, &record).await?;
        let left = end_gateway(&record).await;
        let joined = target.joined || scene.manifest.as_ref().is_ok_and(|manifest| manifest.joined);
        if !joined {
            // What it showed last stays readable, and not what tmux writes there when its program ends.
            self.tell(Event::Ending(record.id.clone())).await;
            let ended = end_programs(&target.tool, &record, scene.session.as_ref(), force).await;
            if ended.is_err() {
                self.record(target, |_, _, _| Ok(())).await?;
            }
            ended?;
        }
        let reason = if cannot_return(&scene, &record.manifest_path) {
            self.retire(target, Some(MANIFEST_UNREADABLE)).await?;
            MANIFEST_UNREADABLE
        } else {
            let stop = |registry: &Registry, id: &AgentId, generation: &str| {
                registry.stop(id, generation, OPERATOR_STOP, now()).map(drop)
            };
            self.record(target, stop).await?;
            OPERATOR_STOP
        };
        crash::here("stop.recorded");
        Ok(Stopped { reason, left })
    }

    /// Lets go of an agent: its program goes on, and its record claims nothing any more. It cannot be relaunched, because
    /// then there would be two of it, and it can be adopted again.
    pub(super) async fn close(&self, target: &Target) -> Result<()> {
        let _life = self.life(target).await?;
        self.current(target).await?;
        self.retire(target, Some(OPERATOR_CLOSE)).await
    }

    /// Marks the record as finished for good.
    pub(super) async fn retire(&self, target: &Target, reason: Option<&'static str>) -> Result<()> {
        let reason = reason.unwrap_or(OPERATOR_RETIRE);
        self.record(target, move |registry, id, generation| registry.retire(id, generation, reason, now()).map(drop))
            .await
    }

    /// Changes the record, and lets the loop know before the command is answered.
    pub(super) async fn record(
        &self,
        target: &Target,
        change: impl FnOnce(&Registry, &AgentId, &str) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let (registry, id, generation) =
            (self.registry.clone(), target.record.id.clone(), target.record.generation.clone());
        let read = blocking(move || {
            change(&registry, &id, &generation)?;
            let looked = Instant::now();
            Ok(registry.read(&id)?.map(|entry| read_entry(entry, looked)))
        });
        // The watch would say so too, but perhaps after whoever asked has asked for something else.
        if let Some(read) = read.await? {
            self.tell(read).await;
        }
        Ok(())
    }

    /// Ends the session of the record and what runs in it; that there is none is no failure.
    pub(super) async fn end_session(&self, target: &Target, force: bool) -> Result<()> {
        let scene = self.scene(target, &target.record).await?;
        end_programs(&target.tool, &target.record, scene.session.as_ref(), force).await
    }
}

/// Whether nobody can say how the agent was started. A manifest that a newer program wrote is not for us to judge.
pub(super) fn cannot_return(scene: &Scene, manifest: &Path) -> bool {
    let is_unreadable = |error: &Error| matches!(error.kind(), Kind::NotFound | Kind::Malformed);
    scene.manifest.as_ref().is_err_and(is_unreadable) && !manifest::is_newer(manifest)
}

/// Ends everything that runs for an agent, and its session: first the programs are asked to end, unless `force`, and
/// what is still there after [`STOP_GRACE`] is killed, with what it has started meanwhile.
pub(super) async fn end_programs(tool: &Tool, record: &Record, session: Option<&Session>, force: bool) -> Result<()> {
    // A person may do this from within the agent: the hangup of its terminal must not end us before it is recorded.
    let _hangup = is_within(session).then(|| signal_of(SignalKind::hangup()));
    let mut known = programs(tool, record, session).await;
    if !force && !known.is_empty() {
        signal(&known, Signal::SIGTERM);
        crash::here("stop.signalled");
        let _ = tokio::time::timeout(STOP_GRACE, all_ended(&known)).await;
        known.extend(programs(tool, record, session).await);
    }
    if let Some(session) = session {
        if let Some(pane) = &session.pane {
            // A pane that is not there any more has nothing to take back.
            let _ = session.client.let_go(pane).await;
        }
        session.client.kill_session(&session.name).await?;
    }
    crash::here("stop.ended");
    kill_all(&known).await;
    Ok(())
}

/// What runs for an agent: in its pane, and what was started there and went elsewhere, but for what serves other agents too.
pub(super) async fn programs(tool: &Tool, record: &Record, session: Option<&Session>) -> Vec<Process> {
    let mut known = Vec::new();
    if let Some((session, pane)) = session.and_then(|session| Some((session, session.pane.as_ref()?)))
        && let Ok(look) = super::observe::look(&session.client, pane).await
    {
        known = look.programs.all;
    }
    // What was launched is the agent, whatever its arguments.
    let first = known.first().map(|process| process.pid);
    let manifest = record.manifest_path.clone();
    let marked = blocking(move || Ok(process::marked(MANIFEST_VARIABLE, &manifest))).await.unwrap_or_default();
    known.extend(marked.into_iter().filter(|process| !known.contains(process)).collect::<Vec<_>>());
    let is_shared = |process: &Process| process.argv.iter().skip(1).any(|word| tool.shared.contains(word));
    let shared =
        known.iter().filter(|process| Some(process.pid) != first && is_shared(process)).map(|process| process.pid);
    let us = i32::try_from(std::process::id()).unwrap_or(0);
    let left: Vec<i32> = shared.chain([us]).flat_map(family).collect();
    known.retain(|process| !left.contains(&process.pid));
    known
}

/// A process and what it has started.
fn family(pid: i32) -> Vec<i32> {
    process::programs(pid)
        .map_or_else(|| vec![pid], |programs| programs.all.iter().map(|process| process.pid).collect())
}

/// Whether this process may run in that session: tmux says so to whatever it starts.
fn is_within(session: Option<&Session>) -> bool {
    session.is_some() && std::env::var_os("TMUX").is_some()
}

/// Kills those that are still there, and waits until they are gone.
pub(super) async fn kill_all(known: &[Process]) {
    signal(known, Signal::SIGKILL);
    let _ = tokio::time::timeout(KILL_LIMIT, all_ended(known)).await;
}

/// Asks programs to end and kills those that do not within [`STOP_GRACE`].
pub(super) async fn end_all(known: &[Process]) {
    signal(known, Signal::SIGTERM);
    let _ = tokio::time::timeout(STOP_GRACE, all_ended(known)).await;
    kill_all(known).await;
}

async fn all_ended(known: &[Process]) {
    for process in known {
        let _ = process::ended(process.pid, process.start_time).await;
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

/// Ends the gateway of Houmao that serves the agent, which would go on asking for its session for ever (the reference,
/// 10.21). Gives the sentence when there is one that cannot be told from another program.
pub(super) async fn end_gateway(record: &Record) -> Option<String> {
    let root = record.session_root.clone()?;
    let pid = blocking(move || Ok(gateway::process(&gateway::directory(&root)).map(|gateway| (gateway.pid, root))))
        .await
        .ok()?;
    let Some((pid, root)) = pid else {
        let gateway = record.gateway.as_ref()?;
        let at = format!("{}:{}", gateway.host, gateway.port);
        return Some(format!("its gateway at {at} was left, because nothing says which process that is"));
    };
    // One that has ended is as good.
    let gateway = process::process(pid)?;
    if !gateway::is_its(&gateway.argv, &root) {
        return Some(format!("process {pid} was left: it is not the gateway that the session names"));
    }
    end_all(&[gateway]).await;
    None
}
