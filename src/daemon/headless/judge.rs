//! How a turn stands, and the verdict on one that nobody runs any more.

use super::super::clock::now;
use super::super::crash;
use super::super::effects::{Hands, Target};
use super::super::event::Event;
use super::super::run::Loop;
use super::{blocking, lock};
use crate::error::Result;
use crate::headless::{Facts, Stream, verdict};
use crate::model::headless::{TurnStanding, Verdict};
use crate::model::{AgentId, Terminal};
use crate::process;
use crate::store::managed::{Managed, TurnRecord};
use crate::store::turn_dir::{EXIT_CODE, Known, PROCESS, ProcessFile, Run, STDERR, STDOUT, Started};
use crate::store::wire::time_text;
use crate::store::{TurnDir, conversation};
use crate::transcript::{News, Tail};
use jiff::{SignedDuration, Timestamp};

/// By how much the time of a launch, which is told to the second, may be before the start of its process, which is
/// reckoned from the time of boot.
const LAUNCH_SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What keeps a turn going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was admitted, and what runs it is on its way.
    Starting,
    /// This process belongs to it and lives.
    Runs {
        /// Which: what runs it, or its program when that is alone.
        process: Known,
        /// Whether it is what runs it, which will write down how it ends.
        is_runner: bool,
    },
    /// It has a verdict, or nobody is left who would write one.
    Over,
}

/// How a turn stands. The caller holds the agent's lock, and has looked at the pane since.
pub(super) fn standing(turn: &TurnDir, pane_dead: bool) -> Standing {
    if turn.verdict().is_some() {
        return Standing::Over;
    }
    let lives = |known: &Known| process::start_time(known.pid) == Some(known.start_time);
    match turn.started() {
        Some(started) if !started.is_of_this_boot() => Standing::Over,
        Some(Started { runner, .. }) if lives(&runner) => Standing::Runs { process: runner, is_runner: true },
        Some(Started { child, .. }) if lives(&child) && turn.exit_code().is_none() => {
            Standing::Runs { process: child, is_runner: false }
        }
        Some(_) => Standing::Over,
        // Not one of ours: Houmao's runner says its number, and when it began.
        None if turn.run().is_none() => match turn.process().and_then(|file| known(&file)) {
            Some(process) => Standing::Runs { process, is_runner: true },
            None => Standing::Over,
        },
        None if pane_dead => Standing::Over,
        None => Standing::Starting,
    }
}

/// What runs a turn, unless that started later than the turn: then it only has the number of what ran it.
fn known(file: &ProcessFile) -> Option<Known> {
    let known = Known { pid: file.runner_pid, start_time: process::start_time(file.runner_pid)? };
    let launched: Timestamp = file.launched_at_utc.parse().ok()?;
    (process::started_at(known.pid)? <= launched + LAUNCH_SLACK).then_some(known)
}

/// Writes down how a turn ended, in all places; the verdict comes last, so that whoever sees it sees the rest. The caller holds the agent's lock, and knows that the turn is over.
pub(super) fn finish(turn: &TurnDir, standing: Standing) -> Result<Option<Verdict>> {
    let (Standing::Over, Some(run)) = (standing, turn.run()) else { return Ok(None) };
    let managed = Managed::at(run.managed_dir.clone());
    if let Some(known) = turn.verdict() {
        return Ok(Some(known));
    }
    let stream = stream(turn, &run);
    let (started, complaint) = (turn.started(), turn.complaint());
    let facts = Facts {
        begun: started.is_some(),
        exit_code: turn.exit_code(),
        interrupted: turn.interrupted_at().is_some(),
        complaint: complaint.as_deref(),
    };
    let verdict = verdict(facts, &stream);
    if let Some(session) = stream.session() {
        conversation::went_on(&run.session_root, session, run.turn_index)?;
    }
    crash::here("headless.manifest");
    let active =
        || managed.active().filter(|active| active.turn_id == run.turn_id).map(|active| TurnRecord::new(&active));
    if let Some(before) = managed.turn(&run.turn_id).or_else(active) {
        managed.set_turn(&record(turn, before, &verdict, started.as_ref(), &stream))?;
    }
    crash::here("headless.recorded");
    managed.clear_active(&run.turn_id);
    crash::here("headless.cleared");
    turn.set_verdict(&verdict)?;
    crash::here("headless.judged");
    Ok(Some(verdict))
}

fn record(
    turn: &TurnDir,
    before: TurnRecord,
    verdict: &Verdict,
    started: Option<&Started>,
    stream: &Stream,
) -> TurnRecord {
    let file = |name: &str| Some(turn.file(name)).filter(|path| path.exists());
    let mut diagnostics = before.diagnostics.clone();
    if verdict.returncode.is_none() && verdict.standing == TurnStanding::Completed {
        let words = "nobody was left to see its exit code; its own last line says that it ended well";
        diagnostics.insert("exit_code".to_owned(), words.to_owned());
    }
    TurnRecord {
        status: verdict.standing,
        completed_at_utc: Some(time_text(now())),
        process_path: file(PROCESS),
        process_started_at_utc: started.map(|started| time_text(started.at)),
        runner_pid: started.map(|started| started.runner.pid),
        child_pid: started.map(|started| started.child.pid),
        stdout_path: file(STDOUT),
        stderr_path: file(STDERR),
        status_path: file(EXIT_CODE),
        completion_source: verdict.returncode.map(|_| "process_exit".to_owned()),
        returncode: verdict.returncode,
        error: verdict.error.clone(),
        interrupt_requested_at_utc: turn.interrupted_at(),
        history_summary: Some(summary(stream.answer())).filter(|text| !text.is_empty()),
        diagnostics,
        ..before
    }
}

/// The first line of an answer, cut.
fn summary(answer: &str) -> String {
    const MOST: usize = 200;
    let line = answer.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

/// What the program of a turn has printed.
fn stream(turn: &TurnDir, run: &Run) -> Stream {
    let definition = serde_json::from_value(run.definition.clone());
    let mut stream = Stream::new(std::sync::Arc::new(definition.unwrap_or_else(|_| super::runner::no_definition())));
    let mut end = Vec::new();
    let mut tail = Tail::new(turn.file(STDOUT));
    tail.read(|news| {
        if let News::Line(line) = news {
            stream.line(line);
        }
    });
    // Nothing comes any more: a last line without its newline is whole.
    tail.take_torn(&mut end);
    stream.line(&end);
    stream
}

/// Whether nothing runs in the agent's pane, or its session is gone; none when that cannot be told. A connection that
/// is over proves nothing: it may be that this very process ends.
async fn is_pane_dead(target: &Target) -> Option<bool> {
    if let Ok(link) = target.link() {
        return link.client.frame(&link.pane).await.ok().map(|frame| frame.pane.dead);
    }
    let session = target.record.session.as_deref().unwrap_or(&target.record.last_session);
    let sessions = target.socket.sessions().await.ok()?;
    sessions.iter().all(|known| known.name != session).then_some(true)
}

impl Hands {
    /// Judges the last turn of an agent if nobody runs it, and follows one that goes on without what ran it.
    pub(super) async fn judge(&self, target: Target) {
        loop {
            let Ok(held) = lock(&target.root).await else { return };
            // After the lock, because a look from before may be of the turn before.
            let Some(pane_dead) = is_pane_dead(&target).await else { return };
            let root = target.root.clone();
            let judged = blocking(move || {
                let Some(turn) = TurnDir::last(&root) else { return Ok(Standing::Over) };
                let standing = standing(&turn, pane_dead);
                finish(&turn, standing)?;
                drop(held);
                Ok(standing)
            });
            match judged.await {
                Ok(Standing::Runs { process, is_runner: false }) => {
                    if process::ended(process.pid, process.start_time).await.is_err() {
                        return;
                    }
                }
                Ok(Standing::Over | Standing::Starting | Standing::Runs { .. }) => return,
                Err(error) => {
                    tracing::warn!(%error, agent = target.name, "how its last turn ended cannot be written down");
                    return;
                }
            }
        }
    }
}

impl Loop {
    /// Has the last turn of an agent judged when nothing runs in its pane and it has no verdict.
    pub(in super::super) fn check_turn(&mut self, id: &AgentId) {
        let Some(agent) = self.world.agents.get(id).filter(|agent| agent.record.backend.is_headless()) else { return };
        let is_still = match &agent.terminal {
            Terminal::Seen(look) => look.pane.dead,
            Terminal::NoSession | Terminal::NoPane => true,
            Terminal::Unseen | Terminal::Failed(_) => false,
        };
        let goes_on = agent.headless().is_some_and(|turns| turns.is_active());
        if !is_still || !goes_on {
            return;
        }
        // What is learned while one judges may have come too late for it.
        if let Some(again) = self.judged.get_mut(id) {
            *again = true;
            return;
        }
        let Some(target) = self.target(id) else { return };
        self.judged.insert(id.clone(), false);
        let (hands, id) = (self.hands.clone(), id.clone());
        tokio::spawn(async move {
            hands.judge(target).await;
            hands.tell(Event::Judged(id)).await;
        });
    }

    /// Somebody has judged the last turn of an agent, or found that it goes on.
    pub(in super::super) fn was_judged(&mut self, id: &AgentId) {
        if self.judged.remove(id) == Some(true) {
            self.check_turn(id);
        }
    }
}
