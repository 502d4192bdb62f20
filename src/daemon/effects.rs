//! Carries out effects, each command's in order, away from the loop.

use super::config::Settings;
use super::event::{Event, Events, Link};
use super::journals::journal_root;
use crate::command::{Adopt, Gc, QueueChange};
use crate::engine::{Effect, Fact, LaunchOrder, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::{Actor, ChatSession, EventKind, Pressed, Question, Record};
use crate::port::Answer;
use crate::store::{Registry, spool};
use crate::tmux::Socket;
use crate::tool::{Pick, Tool};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything needed to act on one agent, as it was when the command was accepted.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) record: Record,
    pub(super) tool: Arc<Tool>,
    /// Where its own files are.
    pub(super) root: Arc<Path>,
    pub(super) socket: Socket,
    pub(super) link: Option<Link>,
    /// The session is somebody's own.
    pub(super) joined: bool,
    /// The number of its last turn, where turns are processes of their own.
    pub(super) last_turn: u64,
}

impl Target {
    pub(super) fn bare(record: Record, tool: Arc<Tool>, socket: Socket, link: Option<Link>) -> Self {
        Self {
            name: record.name.clone(),
            root: journal_root(&record),
            record,
            tool,
            socket,
            link,
            joined: false,
            last_turn: 0,
        }
    }

    /// The connection, if there is one.
    pub(super) fn link(&self) -> Result<&Link> {
        self.link
            .as_ref()
            .filter(|link| link.client.is_open())
            .ok_or_else(|| Error::new(Kind::Gone, format!("there is no connection to the session of {}", self.name)))
    }
}

/// A prompt to be delivered.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) prompt_id: String,
    pub(super) text: String,
    /// A file with exactly that text, if there is one.
    pub(super) file: Option<PathBuf>,
}

/// One effect with what it acts on.
pub(super) enum Job {
    /// Paste and submit.
    Deliver(Target, Parcel),
    /// Change the queue.
    Queue(Target, QueueChange),
    /// Press the interrupt key.
    Interrupt(Target),
    /// Answer a question.
    Answer(Target, Question, Pick),
    /// Press keys.
    Press(Target, Vec<String>),
    /// Resize.
    Resize(Target, u16, u16),
    /// Stop.
    Stop(Target, bool),
    /// Relaunch.
    Relaunch(Target, ChatSession),
    /// Let go.
    Close(Target),
    /// Settle a relaunch that was left undone.
    Recover(Target),
    /// Launch.
    Launch(LaunchOrder, Arc<Tool>),
    /// Register what runs.
    Adopt(Adopt),
    /// Take away what nobody needs any more.
    Gc(Gc),
    /// Take a Home out of the index.
    ForgetHome(PathBuf),
    /// Retire.
    Retire(Target),
}

impl Job {
    /// The job of an effect, or none when the loop itself does it. `target` finds an agent.
    pub(super) fn of(
        effect: Effect,
        target: impl Fn(&crate::model::AgentId) -> Option<Target>,
        tool: impl Fn(&str) -> Arc<Tool>,
    ) -> Option<Self> {
        Some(match effect {
            Effect::Queue { agent, change } => Self::Queue(target(&agent)?, change),
            Effect::Interrupt { agent } => Self::Interrupt(target(&agent)?),
            Effect::Answer { agent, question, pick } => Self::Answer(target(&agent)?, question, pick),
            Effect::Press { agent, keys } => Self::Press(target(&agent)?, keys),
            Effect::Resize { agent, cols, rows } => Self::Resize(target(&agent)?, cols, rows),
            Effect::Stop { agent, force } => Self::Stop(target(&agent)?, force),
            Effect::Relaunch { agent, chat } => Self::Relaunch(target(&agent)?, chat),
            Effect::Close { agent } => Self::Close(target(&agent)?),
            Effect::Retire { agent } => Self::Retire(target(&agent)?),
            Effect::Launch(order) => {
                let tool = tool(&order.tool);
                Self::Launch(order, tool)
            }
            Effect::Adopt(adopt) => Self::Adopt(adopt),
            Effect::Gc(gc) => Self::Gc(gc),
            Effect::ForgetHome(home) => Self::ForgetHome(home),
            Effect::Deliver { .. } | Effect::Rescan | Effect::Refuse { .. } => return None,
        })
    }
}

/// Does what the engine decided.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) settings: Arc<Settings>,
    pub(super) registry: Arc<Registry>,
    pub(super) events: Events,
}

impl Hands {
    /// Carries out jobs one after the other, up to the first that fails.
    pub(super) async fn carry_out(self, jobs: Vec<Job>, actor: Actor, answer: Option<Answer>) {
        let mut result = Ok(());
        for job in jobs {
            result = self.one(job, &actor).await;
            if result.is_err() {
                break;
            }
        }
        self.tell(Event::Finished { answer, result }).await;
    }

    pub(super) async fn tell(&self, event: Event) {
        // The loop has ended when nobody listens; what was done is on disk.
        let _ = self.events.send(event).await;
    }

    async fn one(&self, job: Job, actor: &Actor) -> Result<()> {
        match job {
            Job::Deliver(target, parcel) => {
                let delivered = match target.record.backend.is_headless() {
                    true => self.begin_turn(&target, &parcel).await,
                    false => self.deliver(&target, &parcel).await,
                };
                let progress = match &delivered {
                    Ok(submitted) => submitted.clone(),
                    Err(failed) => Progress::Failed { reason: failed.error.to_string(), typed: failed.typed },
                };
                self.progress(&target, &parcel.prompt_id, progress).await;
                self.check(&target, "prompt", actor, delivered.map(drop).map_err(|failed| failed.error)).await
            }
            Job::Queue(target, change) => {
                let (done, kind) = change_queue(&target, change).await;
                let queue = super::prompts::read_queue(target.root.clone()).await;
                self.tell(Event::fact(Fact::Queue(target.record.id.clone(), queue))).await;
                self.done(&target, "queue", actor, done, kind).await
            }
            Job::Interrupt(target) => {
                let pressed = match target.record.backend.is_headless() {
                    true => self.interrupt_turn(&target).await,
                    false => self.interrupt(&target).await,
                };
                self.pressed(&target, actor, "interrupt", pressed, EventKind::Interrupted).await
            }
            Job::Answer(target, question, pick) => {
                let pressed = self.answer(&target, &question, pick).await;
                self.pressed(&target, actor, "answer", pressed, EventKind::Answered).await
            }
            Job::Press(target, keys) => {
                let done = self.press(&target, &keys).await;
                self.done(&target, "keys", actor, done, EventKind::Keys { keys }).await
            }
            Job::Resize(target, cols, rows) => {
                let done = self.resize(&target, cols, rows).await;
                self.done(&target, "resize", actor, done, EventKind::Resized { cols, rows }).await
            }
            Job::Stop(target, force) => match self.stop(&target, force).await {
                Ok(stopped) => {
                    let reason = stopped.reason.to_owned();
                    if let Some(left) = stopped.left {
                        self.tell(Event::fact(Fact::Refused(Some(target.record.id.clone()), left.clone()))).await;
                        self.note(&target, actor, EventKind::Refused { what: "gateway".to_owned(), error: left }).await;
                    }
                    self.done(&target, "stop", actor, Ok(()), EventKind::Stopped { reason }).await
                }
                Err(error) => self.check(&target, "stop", actor, Err(error)).await,
            },
            Job::Relaunch(target, chat) => {
                let done = self.relaunch(&target, &chat, actor).await;
                self.check(&target, "relaunch", actor, done).await
            }
            Job::Close(target) => {
                let done = self.close(&target).await;
                self.done(&target, "close", actor, done, EventKind::Closed).await
            }
            Job::Recover(target) => match self.recover(&target).await {
                Ok(found) => {
                    if let Some(found) = found {
                        self.note(&target, actor, EventKind::Recovered { found: found.to_owned() }).await;
                    }
                    Ok(())
                }
                Err(error) => self.check(&target, "relaunch", actor, Err(error)).await,
            },
            Job::Retire(target) => {
                let done = self.retire(&target, None).await;
                self.done(&target, "retire", actor, done, EventKind::Retired).await
            }
            Job::Launch(order, tool) => self.of_troop(self.launch(order, tool, actor.clone()).await).await,
            Job::Adopt(adopt) => self.of_troop(self.adopt(adopt, actor.clone()).await).await,
            Job::Gc(gc) => self.of_troop(self.collect(gc).await).await,
            Job::ForgetHome(home) => self.of_troop(self.forget_home(home).await).await,
        }
    }

    /// Shows a failure in the troop's `control`.
    async fn of_troop(&self, result: Result<()>) -> Result<()> {
        if let Err(error) = &result {
            self.tell(Event::fact(Fact::Refused(None, error.to_string()))).await;
        }
        result
    }

    /// Writes down what became of keys, and fails when their effect was not seen.
    async fn pressed(
        &self,
        target: &Target,
        actor: &Actor,
        what: &str,
        pressed: Result<Pressed>,
        kind: fn(Pressed) -> EventKind,
    ) -> Result<()> {
        let unseen = match pressed {
            Ok(pressed) => {
                let reason = pressed.reason.clone();
                self.note(target, actor, kind(pressed)).await;
                reason.map_or(Ok(()), |reason| Err(Error::new(Kind::TimedOut, reason)))
            }
            Err(error) => return self.check(target, what, actor, Err(error)).await,
        };
        if let Err(error) = &unseen {
            self.tell(Event::fact(Fact::Refused(Some(target.record.id.clone()), error.to_string()))).await;
        }
        unseen
    }

    /// Tells how far a prompt has come.
    pub(super) async fn progress(&self, target: &Target, prompt_id: &str, progress: Progress) {
        self.tell(Event::fact(Fact::Progress(target.record.id.clone(), prompt_id.to_owned(), progress))).await;
    }

    pub(super) async fn note(&self, target: &Target, actor: &Actor, kind: EventKind) {
        self.tell(Event::Note(Box::new((target.record.id.clone(), actor.clone(), kind)))).await;
    }

    /// Notes `kind` when it was done, and the failure when it was not.
    async fn done(
        &self,
        target: &Target,
        what: &str,
        actor: &Actor,
        result: Result<()>,
        kind: EventKind,
    ) -> Result<()> {
        if result.is_ok() {
            self.note(target, actor, kind).await;
        }
        self.check(target, what, actor, result).await
    }

    /// Shows a failure in the agent's `error` and journal.
    async fn check(&self, target: &Target, what: &str, actor: &Actor, result: Result<()>) -> Result<()> {
        if let Err(error) = &result {
            self.tell(Event::fact(Fact::Refused(Some(target.record.id.clone()), error.to_string()))).await;
            if what != "prompt" {
                let kind = EventKind::Refused { what: what.to_owned(), error: error.to_string() };
                self.note(target, actor, kind).await;
            }
        }
        result
    }
}

/// Does work that waits for the disk, away from the loop.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::new(Kind::Io, "the work was cut off"))?
}

/// Changes the queue on disk; and what to write down when that was done.
async fn change_queue(target: &Target, change: QueueChange) -> (Result<()>, EventKind) {
    let kind = match &change {
        QueueChange::Put { name, text } => EventKind::Queued { name: name.clone(), bytes: text.len() },
        QueueChange::Remove { name } => EventKind::Unqueued { name: name.clone() },
        QueueChange::Rename { from, to } => EventKind::Requeued { from: from.clone(), to: to.clone() },
    };
    let root = target.root.clone();
    let done = tokio::task::spawn_blocking(move || match change {
        QueueChange::Put { name, text } => spool::put(&root, &name, &text),
        QueueChange::Remove { name } => spool::remove(&root, &name),
        QueueChange::Rename { from, to } => spool::rename(&root, &from, &to),
    });
    (done.await.unwrap_or_else(|_| Err(Error::new(Kind::Io, "the work was cut off"))), kind)
}

/// The prompt's id in events: unique, and sortable by time.
pub(super) fn prompt_id(now: Timestamp) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", now.strftime("%Y%m%dT%H%M%S"), &random[..8])
}
