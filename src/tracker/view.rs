//! The tracker's state in the groups of `state.json`.

use super::{Liveness, STABLE_AFTER, Tracker};
use crate::model::live::{
    Attention, Availability, BusinessState, ChatContext, Diagnostics, InputMode, LastTurn, ParseStatus, ParsedSurface,
    ProbeSnapshot, ProcessState, Source, Stability, Status, Surface, Transition, TransportState, Tristate, Turn,
    TurnPhase, UiContext,
};
use crate::model::{Clue, Evidence, Question};
use crate::tool::{Found, Shows};
use jiff::Timestamp;
use std::sync::Arc;

/// What the tracker knows, in the groups of `state.json` that are its own.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// The status.
    pub status: Status,
    /// When it was entered, as far as anybody saw.
    pub status_since: Timestamp,
    /// What needs a person.
    pub attention: Attention,
    /// Whether it can be observed.
    pub diagnostics: Diagnostics,
    /// The last look.
    pub probe_snapshot: Option<Box<ProbeSnapshot>>,
    /// What the screen shows.
    pub parsed_surface: Option<Box<ParsedSurface>>,
    /// What may be typed.
    pub surface: Surface,
    /// The turn now.
    pub turn: Turn,
    /// The last turn.
    pub last_turn: LastTurn,
    /// Whether the conversation is whole.
    pub chat_context: ChatContext,
    /// For how long nothing has changed.
    pub stability: Stability,
    /// The newest changes.
    pub recent_transitions: Vec<Arc<Transition>>,
    /// Where the verdicts come from.
    pub sources: Box<[Source]>,
    /// What the verdicts rest on.
    pub evidence: Evidence,
}

/// The fields whose change is a transition (the reference, section 4.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Public {
    pub(super) status: Option<Status>,
    pub(super) diagnostics: Diagnostics,
    pub(super) surface: Surface,
    pub(super) turn: Turn,
    pub(super) last_turn: LastTurn,
    pub(super) chat_context: ChatContext,
    pub(super) parsed: Option<Box<ParsedSurface>>,
}

impl Tracker {
    /// The state at `now`; `tool` is the name of the tool whose rules were used.
    pub fn tracked(&self, tool: &str, now: Timestamp) -> Tracked {
        let stable = now >= self.public_since + STABLE_AFTER;
        let mut public = self.public.clone();
        if let Some(parsed) = &mut public.parsed {
            tool.clone_into(&mut parsed.parser_family);
        }
        Tracked {
            status: self.status,
            status_since: self.since(),
            attention: match self.status {
                Status::Blocked => Attention::Answer,
                Status::Unknown | Status::Down | Status::Gone => Attention::Look,
                _ => Attention::None,
            },
            diagnostics: public.diagnostics,
            probe_snapshot: self.reading.fingerprint.as_ref().zip(self.read_at).map(|(print, at)| {
                Box::new(ProbeSnapshot {
                    observed_at_utc: at,
                    pane_id: Some(print.pane_id.clone()),
                    pane_pid: Some(print.pane_pid),
                    captured_text_hash: Some(print.hash.clone()),
                    captured_text_length: print.length,
                    matched_process_names: self.reading.names.clone(),
                    title: Some(print.title.clone()).filter(|title| !title.is_empty()),
                })
            }),
            parsed_surface: public.parsed,
            surface: public.surface,
            turn: public.turn,
            last_turn: public.last_turn,
            chat_context: public.chat_context,
            stability: Stability { stable, stable_since_utc: stable.then_some(self.public_since) },
            recent_transitions: self.transitions.iter().cloned().collect(),
            sources: self.sources(now),
            evidence: self.evidence(now),
        }
    }

    /// Since when the status is what it is: since it was written down, where that was before the first look that saw it.
    fn since(&self) -> Timestamp {
        let recorded = self.recorded.filter(|(status, _)| *status == self.status);
        recorded.map_or(self.status_since, |(_, at)| at.min(self.status_since))
    }

    /// What decided, then what else the last look found.
    fn sources(&self, now: Timestamp) -> Box<[Source]> {
        let decided = self.posture(now);
        let first = Source {
            source: self.source_name().into(),
            rule: decided.map(|found| found.rule.clone()).unwrap_or_default(),
            says: self.why.clone(),
        };
        let others = self.all_found(now).filter(|found| decided != Some(*found)).map(|found| Source {
            source: found.source.into(),
            rule: found.rule.clone(),
            says: found.shows.as_str().to_owned(),
        });
        std::iter::once(first).chain(others).collect()
    }

    /// What the last look found and what the program says elsewhere.
    fn all_found(&self, now: Timestamp) -> impl Iterator<Item = &Found> {
        self.reading.found.iter().chain(self.fresh(now).map(|report| &report.found))
    }

    fn evidence(&self, now: Timestamp) -> Evidence {
        let decided = self.posture(now);
        let clues = self.all_found(now).map(|found| Clue {
            source: found.source.to_owned(),
            rule: found.rule.clone(),
            shows: found.shows.as_str(),
            priority: found.priority,
            lines: found.lines.clone(),
            decides: decided == Some(found),
        });
        Evidence {
            clues: clues.collect(),
            since: self.evidence.as_ref().map(|held| held.since),
            seen: self.evidence.as_ref().map(|held| held.last),
            question: self.reading.question.clone().filter(|_| self.status == Status::Blocked),
        }
    }

    fn source_name(&self) -> &'static str {
        match self.reading.liveness {
            Liveness::Unseen => "record",
            Liveness::Failed(_) | Liveness::NoSession | Liveness::Dead(_) => "tmux",
            Liveness::Ended(_) | Liveness::Behind(_) => "process",
            Liveness::Alive if self.submission.is_some() => "delivery",
            Liveness::Alive => self.evidence.as_ref().map_or("screen", |held| held.source),
        }
    }

    pub(super) fn public_now(&self) -> Public {
        let turn = Turn { phase: phase(self.status) };
        Public {
            status: Some(self.status),
            diagnostics: self.diagnostics(),
            surface: self.surface(turn.phase),
            turn,
            last_turn: self.last_turn,
            chat_context: self.chat_context(),
            parsed: self.parsed(),
        }
    }

    /// The seed's mapping, first match wins (the reference, section 4.2).
    fn diagnostics(&self) -> Diagnostics {
        let (transport_state, process_state, parse_status, probe_error) = match &self.reading.liveness {
            Liveness::Unseen => return Diagnostics::default(),
            Liveness::Failed(why) => {
                (TransportState::ProbeError, ProcessState::ProbeError, ParseStatus::ProbeError, Some(why.clone()))
            }
            Liveness::NoSession => {
                (TransportState::TmuxMissing, ProcessState::Unknown, ParseStatus::TransportUnavailable, None)
            }
            Liveness::Dead(_) | Liveness::Ended(_) => {
                (TransportState::TmuxUp, ProcessState::TuiDown, ParseStatus::SkippedTuiDown, None)
            }
            Liveness::Behind(_) => (TransportState::TmuxUp, ProcessState::TuiUp, ParseStatus::SkippedTuiDown, None),
            Liveness::Alive if !self.reading.has_rules => {
                (TransportState::TmuxUp, ProcessState::TuiUp, ParseStatus::UnsupportedTool, None)
            }
            Liveness::Alive => (TransportState::TmuxUp, ProcessState::TuiUp, ParseStatus::Parsed, None),
        };
        let availability = match (transport_state, process_state, parse_status) {
            (TransportState::ProbeError, ..) => Availability::Error,
            (TransportState::TmuxMissing, ..) => Availability::Unavailable,
            (_, ProcessState::TuiDown, _) => Availability::TuiDown,
            (_, _, ParseStatus::Parsed) => Availability::Available,
            _ => Availability::Unknown,
        };
        Diagnostics { availability, transport_state, process_state, parse_status, probe_error, parse_error: None }
    }

    fn surface(&self, phase: TurnPhase) -> Surface {
        let yes_no = |yes: bool| if yes { Tristate::Yes } else { Tristate::No };
        let Some(decided) = self.posture(self.ticked_at) else { return Surface::default() };
        // A composer below the working line tells of a draft too.
        let composer = self.reading.found.iter().find(|found| found.source == "screen" && found.shows.is_idle());
        let closed = decided.shows.is_blocked() || matches!(decided.shows, Shows::Starting | Shows::Covered);
        Surface {
            accepting_input: match decided.shows {
                _ if closed => Tristate::No,
                shows if shows.is_idle() => Tristate::Yes,
                _ if self.reading.has_composer => Tristate::Yes,
                _ => Tristate::Unknown,
            },
            editing_input: match composer {
                _ if closed => Tristate::No,
                Some(found) => yes_no(found.shows.is_draft()),
                None => Tristate::Unknown,
            },
            // A draft would be sent too; who wants to send something else asks `editing_input`.
            ready_posture: match decided.shows {
                Shows::Completion => Tristate::Unknown,
                shows => yes_no(phase == TurnPhase::Ready && shows.is_idle()),
            },
            pending_input: match decided.shows {
                _ if self.reading.has(Shows::Queued) => Tristate::Yes,
                shows if shows.is_idle() || closed => Tristate::No,
                _ => Tristate::Unknown,
            },
        }
    }

    fn chat_context(&self) -> ChatContext {
        match self.reading.liveness {
            Liveness::Alive if self.reading.has(Shows::Degraded) => ChatContext::Degraded,
            Liveness::Alive if self.reading.has_rules && self.evidence.is_some() => ChatContext::Current,
            _ => ChatContext::Unknown,
        }
    }

    fn parsed(&self) -> Option<Box<ParsedSurface>> {
        let shows = self.posture(self.ticked_at)?.shows;
        let typed = if self.reading.has_composer { InputMode::Freeform } else { InputMode::Unknown };
        let (business_state, input_mode) = match shows {
            Shows::Active => (BusinessState::Working, typed),
            shows if shows.is_idle() => (BusinessState::Idle, InputMode::Freeform),
            shows if shows.is_blocked() => (BusinessState::AwaitingOperator, InputMode::Modal),
            _ => (BusinessState::Unknown, InputMode::Closed),
        };
        let ui_context = match shows {
            Shows::Approval => UiContext::ApprovalPrompt,
            Shows::Trust => UiContext::TrustPrompt,
            Shows::Question | Shows::Menu | Shows::Login => UiContext::SelectionMenu,
            Shows::Completion => UiContext::SlashCommand,
            Shows::Ready | Shows::Draft if self.reading.has(Shows::Failed) => UiContext::ErrorBanner,
            Shows::Ready | Shows::Draft | Shows::Active => UiContext::NormalPrompt,
            _ => UiContext::Unknown,
        };
        Some(Box::new(ParsedSurface {
            parser_family: String::new(),
            business_state,
            input_mode,
            ui_context,
            operator_blocked_excerpt: self.reading.question.as_ref().map(Question::to_text),
        }))
    }
}

fn phase(status: Status) -> TurnPhase {
    match status {
        Status::Ready => TurnPhase::Ready,
        Status::Active | Status::Pending => TurnPhase::Active,
        Status::Blocked => TurnPhase::Blocked,
        Status::Starting | Status::Unknown | Status::Down | Status::Gone => TurnPhase::Unknown,
    }
}
