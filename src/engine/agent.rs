//! One agent as far as it is known, and how what is learned of it changes it.

use super::headless::printed;
use super::turns::{Progress, TurnLog};
use super::{compose, on_screen};
use crate::model::history::{History, MAX_PART_BYTES, json_line};
use crate::model::live::{Identity, Status};
use crate::model::{
    Actor, AgentView, Event, EventKind, Exchange, HeadlessTurns, Manifest, Probe, Queued, Record, Reply, ReplySource,
    Screen, Stage, Terminal, Transcript, Turn,
};
use crate::tool::Tool;
use crate::tracker::{ELSEWHERE_LIMIT, NO_TURN_LIMIT, Tracker};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// One agent, as far as it is known.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its record.
    pub record: Record,
    /// Where that is.
    pub record_path: Arc<Path>,
    /// Its manifest, or why it could not be read.
    pub manifest: Result<Box<Manifest>, String>,
    /// Record and manifest as `state.json` shows them: made when they are read, not at every change.
    pub(super) identity: Arc<Identity>,
    /// What the registry cannot know of it.
    pub(super) beside: Beside,
    /// Its tool.
    pub tool: Arc<Tool>,
    /// Its terminal.
    pub terminal: Terminal,
    /// What tmux says of its session, once it was asked.
    // Boxed, because most agents that do not run have none.
    pub(super) probe: Option<Box<Probe>>,
    pub(super) scrollback: Arc<str>,
    pub(super) tracker: Tracker,
    pub(super) slot: u32,
    pub(super) history: History,
    pub(super) prompt: Arc<str>,
    pub(super) turns: TurnLog,
    pub(super) queue: Arc<[Queued]>,
    pub(super) receipts: History,
    /// When the last prompt was accepted.
    pub(super) asked_at: Option<Timestamp>,
    /// The log that its program keeps, once it is known which that is.
    pub transcript: Option<Arc<Transcript>>,
    pub(super) headless: Option<Arc<HeadlessTurns>>,
    pub(super) error: Arc<str>,
    pub(super) noted_status: Option<Status>,
    pub(super) changed: bool,
    pub(super) view: Option<Arc<AgentView>>,
}

/// What `state.json` shows of an agent and no record or manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beside {
    /// It was found in somebody's pane, and no record is of it.
    pub(super) unmanaged: bool,
    /// Where a gateway answers that types into its terminal.
    pub(super) gateway: Option<String>,
}

impl Agent {
    /// Whether it is registered.
    pub fn is_managed(&self) -> bool {
        !self.beside.unmanaged
    }

    /// Whether it is listed under `agents/`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.record.claims_live(now)
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.tracker.status()
    }

    /// What waits in its queue.
    pub fn queue(&self) -> &[Queued] {
        &self.queue
    }

    /// The last prompt that was accepted.
    pub fn prompt(&self) -> &Arc<str> {
        &self.prompt
    }

    /// When that was.
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.asked_at
    }

    /// What was published of it last.
    pub fn view(&self) -> Option<&Arc<AgentView>> {
        self.view.as_ref()
    }

    /// Makes anew what is shown of record and manifest.
    pub(super) fn identify(&mut self) {
        self.identity = Arc::new(compose::identity(&self.record, self.manifest.as_deref().ok(), &self.beside));
    }

    /// The screen of the last look; empty before there was one.
    pub(super) fn screen(&self) -> Screen {
        match &self.terminal {
            Terminal::Seen(look) => look.screen.clone(),
            _ => Screen::default(),
        }
    }
}

fn answer(exchange: &Exchange) -> Reply {
    Reply { text: exchange.answer.clone(), source: ReplySource::Transcript }
}

fn show_receipt(receipts: &mut History, receipt: &impl serde::Serialize) {
    if let Some(line) = json_line(receipt) {
        receipts.push_json(&line, MAX_PART_BYTES);
    }
}

/// What another process has done with a prompt, as far as the journal says.
enum Elsewhere {
    Accepted(Timestamp),
    /// When that was seen, and the moment before its submit key.
    Confirmed(Timestamp, Timestamp),
    Over,
}

impl Agent {
    /// Takes in what its journal says, of ours or of another process.
    pub(super) fn read_journal(&mut self, events: &[Event], now: Timestamp) {
        let mut elsewhere = None;
        for event in events {
            self.turns.apply(event);
            match &event.kind {
                EventKind::Prompt { text, .. } => {
                    (self.prompt, self.asked_at) = (text.as_str().into(), Some(event.at));
                    self.tracker.nothing_recorded();
                    elsewhere = Some(Elsewhere::Accepted(event.at));
                }
                EventKind::Receipt(receipt) => {
                    show_receipt(&mut self.receipts, receipt);
                    elsewhere = Some(match receipt.stage {
                        Stage::Confirmed => {
                            Elsewhere::Confirmed(event.at, receipt.submitted_at.unwrap_or(receipt.accepted_at))
                        }
                        _ => Elsewhere::Over,
                    });
                }
                EventKind::Interrupted(pressed) | EventKind::Answered(pressed) => {
                    show_receipt(&mut self.receipts, pressed);
                }
                EventKind::TurnEnded { .. } => elsewhere = Some(Elsewhere::Over),
                EventKind::Status { from, to, .. } => self.tracker.recorded(*from, *to, event.at),
                EventKind::Launched { .. } | EventKind::Relaunched { .. } | EventKind::Stopped { .. } => {
                    self.tracker.nothing_recorded();
                }
                _ => {}
            }
        }
        // A prompt of our own is known already. An old one is over, or nobody knows any more.
        // Of one that is a process of its own the files tell that it has begun.
        let is_headless = self.record.backend.is_headless();
        let told = |elsewhere: &Elsewhere| {
            let in_files = is_headless && matches!(elsewhere, Elsewhere::Confirmed(..));
            !self.turns.is_delivering() && !in_files
        };
        match elsewhere.filter(told) {
            Some(Elsewhere::Accepted(at)) if now < at + ELSEWHERE_LIMIT => self.tracker.accepted_elsewhere(at),
            Some(Elsewhere::Confirmed(..)) if self.tracker.has_submission() => self.tracker.proven(now),
            // Whoever looks right after it has been submitted may see the composer of before.
            Some(Elsewhere::Confirmed(at, submitted))
                if self.has_not_seen_turn(submitted) && now < at + NO_TURN_LIMIT =>
            {
                self.tracker.accepted(0, now);
                self.tracker.submitted(at, now);
            }
            Some(Elsewhere::Over) => self.tracker.undelivered(now),
            Some(Elsewhere::Accepted(_) | Elsewhere::Confirmed(..)) | None => {}
        }
    }

    /// Whether no turn has been seen to go on or to end since then.
    fn has_not_seen_turn(&self, at: Timestamp) -> bool {
        let turn = self.tracker.turn_now();
        turn.active.is_none() && turn.last.updated_at_utc.is_none_or(|ended| ended < at)
    }

    /// A prompt of ours has come further.
    pub(super) fn progress(&mut self, prompt_id: &str, progress: Progress, now: Timestamp) -> Vec<(Actor, EventKind)> {
        if !self.turns.delivers(prompt_id) {
            return Vec::new();
        }
        let mut notes = self.turns.progress(prompt_id, progress.clone(), now);
        match progress {
            Progress::Pasted(_) => {}
            Progress::Submitted { at, .. } => {
                self.tracker.submitted(at, now);
                notes.extend(self.consult_transcript(now));
            }
            Progress::Failed { .. } => self.tracker.undelivered(now),
        }
        notes
    }

    /// Takes in the log that its program keeps, as far as it has been read.
    pub(super) fn read_transcript(
        &mut self,
        transcript: Option<Arc<Transcript>>,
        now: Timestamp,
    ) -> Vec<(Actor, EventKind)> {
        self.transcript = transcript;
        self.consult_transcript(now)
    }

    /// What the transcript has of the last turn.
    pub(super) fn consult_transcript(&mut self, now: Timestamp) -> Vec<(Actor, EventKind)> {
        let Some(transcript) = &self.transcript else {
            self.tracker.transcript(None, now);
            return Vec::new();
        };
        let turn = self.turns.asked().filter(|turn| turn.prompt_id.is_some() && !self.turns.is_typing());
        let exchange = turn.and_then(|turn| transcript.answer_to(&turn.prompt, turn.accepted_at));
        let is_answered = exchange.is_some_and(|exchange| transcript.is_answered(exchange));
        // Of a turn that nobody began through troop the log is not asked: whose prompt it was is not known.
        let says = turn.map(|_| (exchange.is_some(), is_answered));
        let reply = exchange.filter(|_| is_answered).map(|exchange| answer(exchange));
        let is_there = exchange.is_some();
        self.tracker.transcript(says, now);
        if is_there { self.turns.proven(reply, now) } else { Vec::new() }
    }

    /// Brings its turns up to date with what the tracker says of them.
    pub(super) fn follow_turns(&mut self, now: Timestamp) -> Vec<(Actor, EventKind)> {
        let reply = |turn: &Turn| {
            let transcript = self.transcript.as_ref().filter(|_| turn.prompt_id.is_some());
            let exchange = transcript.and_then(|transcript| {
                let exchange = transcript.answer_to(&turn.prompt, turn.accepted_at)?;
                transcript.is_answered(exchange).then_some(exchange)
            });
            if self.record.backend.is_headless() {
                return printed(self.headless.as_deref(), turn);
            }
            match (exchange, &self.terminal) {
                (Some(exchange), _) => Some(answer(exchange)),
                (None, Terminal::Seen(look)) => on_screen::reply(&self.tool, look, &self.scrollback, turn),
                _ => None,
            }
        };
        let is = self.tracker.turn_now();
        if let Some((turn, submitted)) = self.turns.given_up(is)
            && !turn.is_command()
            && self.tracker.has_moved_since(submitted)
            && let Some(reply) = reply(turn)
        {
            self.tracker.answered_unseen(now);
            return self.turns.answered_unseen(self.tracker.turn_now(), reply, now);
        }
        self.turns.follow(is, self.tracker.status(), reply, now)
    }

    /// Takes in a look at its terminal.
    pub(super) fn look(&mut self, terminal: Terminal, now: Timestamp) {
        if self.record.backend.is_headless() {
            self.keep(terminal);
            return self.look_at_turns(now);
        }
        let before = self.screen();
        let words = self.manifest.as_ref().ok().and_then(|manifest| manifest.tool_version.as_deref());
        let version = words.and_then(crate::tool::version);
        self.tracker.observe(&self.tool, version.as_ref(), &terminal, &before, now);
        if matches!(terminal, Terminal::NoSession) {
            self.probe = Some(Box::default());
        }
        self.keep(terminal);
    }

    fn keep(&mut self, terminal: Terminal) {
        // What a program showed last stays readable after its session is gone.
        if !matches!((&terminal, &self.terminal), (Terminal::NoSession | Terminal::NoPane, Terminal::Seen(_))) {
            self.terminal = terminal;
        }
    }
}
