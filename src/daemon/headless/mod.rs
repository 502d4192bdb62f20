//! Agents whose turns are processes of their own: a turn is admitted under the agent's lock and started in its pane, and
//! what runs it there ([`runner`]) writes down how it goes. Everything that has to be known after a crash is in the
//! turn's directory before anything is started, so that every process can tell how a turn stands and
//! judge one that nobody runs any more ([`judge`]).

mod interrupt;
mod judge;
mod runner;

pub use runner::run_turn;

use super::clock::now;
use super::crash;
use super::deliver::Undelivered;
use super::effects::{Hands, Parcel, Target, blocking};
use super::event::Link;
use crate::engine::Progress;
use crate::error::{Error, Kind, Result};
use crate::model::home::home_of;
use crate::model::record::Record;
use crate::store::conversation::{NextTurn, next_turn};
use crate::store::managed::{ActiveTurn, Authority, TurnRecord, new_id};
use crate::store::turn_dir::Run;
use crate::store::wire::time_text;
use crate::store::{AgentLock, Managed, TurnDir, launch, session_root};
use crate::tool::headless::PromptWay;
use crate::tool::{Headless, Tool};
use judge::Standing;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait for another process that begins or ends a turn of the same agent.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// How long what ran the last turn may take to end; it has written down everything by then.
const STILL_LIMIT: Duration = Duration::from_secs(2);
/// How often to look whether it has: tmux says nothing when it notices.
const STILL_GAP: Duration = Duration::from_millis(10);
/// The verb of ours that runs a turn.
const RUNNER: &str = "headless-turn";

/// What stands in a new agent's pane until its first turn.
pub(super) fn placeholder(name: &str) -> Vec<String> {
    vec!["printf".to_owned(), "%s\\n".to_owned(), format!("{name} runs each turn as a process of its own, here")]
}

impl Hands {
    /// Admits a prompt as the next turn and starts that. It is confirmed once its program runs.
    pub(super) async fn begin_turn(
        &self,
        target: &Target,
        parcel: &Parcel,
    ) -> std::result::Result<Progress, Undelivered> {
        let (link, lock) = self.take_keyboard(target).await?;
        let pane_dead = link.client.frame(&link.pane).await?.pane.dead;
        let definition = target.tool.headless.clone().ok_or_else(|| no_way(target))?;
        let tool = target.tool.clone();
        let begin = Begin {
            record: target.record.clone(),
            root: target.root.to_path_buf(),
            home: self.home_of(&target.root),
            pane: link.pane.as_str().to_owned(),
            prompt_id: parcel.prompt_id.clone(),
            text: parcel.text.clone(),
            definition,
            tool,
            pane_dead,
            last_turn: target.last_turn,
        };
        let at = now();
        let turn = blocking(move || begin.admit()).await?;
        crash::here("headless.admitted");
        let started = self.start_runner(link, &turn).await;
        drop(lock);
        match started {
            Ok(()) => Ok(Progress::Pasted(at)),
            Err(error) => {
                // Nothing of it was started, and nobody else will.
                let _ = blocking(move || judge::finish(&turn, Standing::Over)).await;
                Err(error.into())
            }
        }
    }

    async fn start_runner(&self, link: &Link, turn: &TurnDir) -> Result<()> {
        let ourselves =
            std::env::current_exe().map_err(|error| Error::io("cannot find this program's own path", &error))?;
        let argv =
            [ourselves.to_string_lossy().into_owned(), RUNNER.to_owned(), turn.path().to_string_lossy().into_owned()];
        until_still(link).await;
        link.client.run_in(&link.pane, &argv).await?;
        // It may end before it writes anything that would announce it.
        link.attend();
        crash::here("headless.started");
        Ok(())
    }

    /// Writes down who runs the turns of an agent that was just launched.
    pub(super) async fn manage(&self, record: &Record, window: &str, pane: &str) -> Result<()> {
        let Some(root) = record.session_root.as_deref().map(Path::to_path_buf) else { return Ok(()) };
        let held = lock(&root).await?;
        let (home, record, place) = (self.home_of(&root), record.clone(), (window.to_owned(), pane.to_owned()));
        blocking(move || manage(&home, &root, &record, Some(place.0), &place.1).map(|_| drop(held))).await
    }

    /// The Home that a session root is in: ours where its path says nothing of one.
    fn home_of(&self, root: &Path) -> PathBuf {
        home_of(root).unwrap_or(&self.settings.roots.home).to_owned()
    }
}

/// Waits until what ran in the pane before has ended and tmux has noticed: it closes the terminal of a process that ends, and
/// when another was started there in between, that one's.
async fn until_still(link: &Link) {
    let deadline = Instant::now() + STILL_LIMIT;
    while Instant::now() < deadline {
        match link.client.frame(&link.pane).await {
            Ok(frame) if !frame.pane.dead => tokio::time::sleep(STILL_GAP).await,
            _ => return,
        }
    }
}

/// Everything that the admission of a turn needs to know.
struct Begin {
    record: Record,
    root: PathBuf,
    home: PathBuf,
    pane: String,
    prompt_id: String,
    text: String,
    definition: Headless,
    tool: Arc<Tool>,
    pane_dead: bool,
    /// The number of the last turn when the prompt was accepted.
    last_turn: u64,
}

impl Begin {
    /// Writes down the next turn, unless one goes on. The caller holds the agent's lock.
    fn admit(self) -> Result<TurnDir> {
        let name = &self.record.name;
        if let Some(last) = TurnDir::last(&self.root) {
            match judge::standing(&last, self.pane_dead) {
                // Somebody else's has begun and ended while we waited.
                Standing::Over if last.index() > self.last_turn => {
                    let sentence = format!("another prompt to {name} came first; look at its answer, and try again");
                    return Err(Error::new(Kind::Busy, sentence));
                }
                Standing::Over => drop(judge::finish(&last, Standing::Over)?),
                Standing::Starting | Standing::Runs { .. } => {
                    let sentence = format!("a turn of {name} goes on; wait until its status is ready, or interrupt it");
                    return Err(Error::new(Kind::Busy, sentence));
                }
            }
        }
        let next = next_turn(&self.root)?;
        let managed = manage(&self.home, &self.root, &self.record, None, &self.pane)?;
        let turn = TurnDir::create(&self.root, next.turn_index)?;
        let run = self.run(&managed, &turn, next)?;
        crash::here("headless.directory");
        turn.prepare(&run, &self.text)?;
        let active = ActiveTurn {
            tracked_agent_id: managed.id().to_owned(),
            turn_id: run.turn_id.clone(),
            turn_index: turn.index(),
            turn_artifact_dir: turn.path().to_owned(),
            started_at_utc: time_text(run.accepted_at_utc),
            tmux_session_name: self.record.session.clone().unwrap_or_else(|| self.record.last_session.clone()),
            tmux_window_name: Some(launch::WINDOW_NAME.to_owned()),
            tmux_window_id: None,
            tmux_pane_id: Some(self.pane.clone()),
            process_path: None,
            process_started_at_utc: None,
            runner_pid: None,
            child_pid: None,
            interrupt_requested_at_utc: None,
        };
        managed.set_active(&active)?;
        crash::here("headless.active");
        managed.set_turn(&TurnRecord::new(&active))?;
        Ok(turn)
    }

    fn run(&self, managed: &Managed, turn: &TurnDir, next: NextTurn) -> Result<Run> {
        let NextTurn { mut argv, cwd, chat, role, .. } = next;
        if let Some(role) = role {
            argv.extend(self.tool.role_args(&role)?);
        }
        argv.extend(self.definition.arguments(&chat, &turn.prompt_path().to_string_lossy()));
        let definition = serde_json::to_value(&self.definition).map_err(|error| {
            Error::new(Kind::Invalid, format!("the tool definition cannot be written down: {error}"))
        })?;
        Ok(Run {
            schema_version: 1,
            turn_id: new_id(),
            turn_index: turn.index(),
            prompt_id: self.prompt_id.clone(),
            accepted_at_utc: now(),
            managed_dir: managed.path().to_owned(),
            session_root: self.root.clone(),
            cwd,
            argv,
            prompt_on_stdin: self.definition.prompt == PromptWay::Stdin,
            definition,
        })
    }
}

/// The agent's directory in `managed_agents`, brought up to date.
fn manage(home: &Path, root: &Path, record: &Record, window: Option<String>, pane: &str) -> Result<Managed> {
    let text = time_text(now());
    let definition =
        record.agent_def_dir.as_deref().map_or_else(|| session_root::definition_dir(root), Path::to_path_buf);
    let authority = Authority {
        tracked_agent_id: new_id(),
        backend: record.backend,
        tool: record.tool.clone(),
        manifest_path: record.manifest_path.to_path_buf(),
        session_root: root.to_owned(),
        tmux_session_name: record.session.clone().unwrap_or_else(|| record.last_session.clone()),
        tmux_window_id: window,
        tmux_pane_id: Some(pane.to_owned()),
        agent_def_dir: definition,
        agent_name: Some(record.name.clone()),
        agent_id: Some(record.id.to_string()),
        created_at_utc: text.clone(),
        updated_at_utc: text,
    };
    Managed::of(home, root, authority)
}

fn no_way(target: &Target) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("the definition of {} does not say how to run a turn; give it a [headless]", target.tool.name),
    )
}

/// The agent's lock, waited for by a thread of its own.
async fn lock(root: &Path) -> Result<AgentLock> {
    let root = root.to_owned();
    blocking(move || AgentLock::acquire(&root, LOCK_LIMIT)).await
}
