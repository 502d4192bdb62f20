//! How what is learned of one agent changes it.

use super::headless::printed;
use super::on_screen;
use super::turns::Progress;
use super::world::Agent;
use crate::model::history::{History, MAX_PART_BYTES, json_line};
use crate::model::{Actor, Event, EventKind, Exchange, Reply, ReplySource, Stage, Terminal, Transcript, Turn};
use crate::tracker::{ELSEWHERE_LIMIT, NO_TURN_LIMIT};
use jiff::Timestamp;
use std::sync::Arc;

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
