//! The tracker's state in the groups of `state.json`.

use super::{Liveness, STABLE_AFTER, Tracker};
use crate::model::live::{
    Attention, Availability, BusinessState, Diagnostics, InputMode, LastTurn, ParseStatus, ParsedSurface,
    ProbeSnapshot, ProcessState, Source, Stability, Status, Surface, Transition, TransportState, Tristate, Turn,
    TurnPhase, UiContext,
};
use crate::tool::Shows;
use jiff::Timestamp;
use std::sync::Arc;

/// What the tracker knows, in the groups of `state.json` that are its own.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// The status.
    pub status: Status,
    /// When it was entered.
    pub status_since: Timestamp,
    /// What needs a person.
    pub attention: Attention,
    /// Whether it can be observed.
    pub diagnostics: Diagnostics,
    /// The last look.
    pub probe_snapshot: Option<ProbeSnapshot>,
    /// What the screen shows.
    pub parsed_surface: Option<ParsedSurface>,
    /// What may be typed.
    pub surface: Surface,
    /// The turn now.
    pub turn: Turn,
    /// The last turn.
    pub last_turn: LastTurn,
    /// For how long nothing has changed.
    pub stability: Stability,
    /// The newest changes.
    pub recent_transitions: Vec<Arc<Transition>>,
    /// Where the verdicts come from.
    pub sources: Vec<Source>,
}

/// The fields whose change is a transition (the reference, section 4.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Public {
    status: Option<Status>,
    diagnostics: Diagnostics,
    surface: Surface,
    turn: Turn,
    last_turn: LastTurn,
    parsed: Option<ParsedSurface>,
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
            status_since: self.status_since,
            attention: match self.status {
                Status::Blocked => Attention::Answer,
                Status::Unknown | Status::Down | Status::Gone => Attention::Look,
                _ => Attention::None,
            },
            diagnostics: public.diagnostics,
            probe_snapshot: self.reading.probe.as_ref().zip(self.read_at).map(|(probe, at)| ProbeSnapshot {
                observed_at_utc: at,
                pane_id: Some(probe.pane_id.clone()),
                pane_pid: Some(probe.pane_pid),
                captured_text_hash: Some(probe.hash.clone()),
                captured_text_length: probe.length,
                matched_process_names: self.reading.names.clone(),
                title: Some(probe.title.clone()).filter(|title| !title.is_empty()),
            }),
            parsed_surface: public.parsed,
            surface: public.surface,
            turn: public.turn,
            last_turn: public.last_turn,
            stability: Stability { stable, stable_since_utc: stable.then_some(self.public_since) },
            recent_transitions: self.transitions.iter().cloned().collect(),
            sources: vec![Source {
                source: self.source_name().to_owned(),
                rule: self.reading.matched.as_ref().map(|(_, rule)| rule.clone()).unwrap_or_default(),
                says: self.why.clone(),
            }],
        }
    }

    fn source_name(&self) -> &'static str {
        match self.reading.liveness {
            Liveness::Unseen => "record",
            Liveness::Failed(_) | Liveness::NoSession | Liveness::Dead(_) => "tmux",
            Liveness::Ended(_) | Liveness::Behind(_) => "process",
            Liveness::Alive if self.submission.is_some() => "delivery",
            Liveness::Alive => "screen",
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
        let Some((shows, _)) = &self.reading.matched else { return Surface::default() };
        let yes_no = |yes: bool| if yes { Tristate::Yes } else { Tristate::No };
        Surface {
            accepting_input: match shows {
                Shows::Ready | Shows::Draft => Tristate::Yes,
                Shows::Blocked | Shows::Starting => Tristate::No,
                Shows::Active => Tristate::Unknown,
            },
            editing_input: match shows {
                Shows::Active => Tristate::Unknown,
                other => yes_no(*other == Shows::Draft),
            },
            ready_posture: yes_no(phase == TurnPhase::Ready && *shows == Shows::Ready),
            pending_input: Tristate::Unknown,
        }
    }

    fn parsed(&self) -> Option<ParsedSurface> {
        let (shows, _) = self.reading.matched.as_ref()?;
        let (business_state, input_mode, ui_context) = match shows {
            Shows::Active => (BusinessState::Working, InputMode::Unknown, UiContext::NormalPrompt),
            Shows::Ready | Shows::Draft => (BusinessState::Idle, InputMode::Freeform, UiContext::NormalPrompt),
            Shows::Blocked => (BusinessState::AwaitingOperator, InputMode::Modal, UiContext::ApprovalPrompt),
            Shows::Starting => (BusinessState::Unknown, InputMode::Closed, UiContext::Unknown),
        };
        Some(ParsedSurface {
            parser_family: String::new(),
            business_state,
            input_mode,
            ui_context,
            operator_blocked_excerpt: None,
        })
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

/// The difference of two public states, as the reference words it.
pub(super) fn transition(before: &Public, after: &Public, now: Timestamp) -> Transition {
    let word = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => format!("'{text}'"),
        serde_json::Value::Null => "None".to_owned(),
        other => other.to_string(),
    };
    let rows = |public: &Public| -> Vec<(&'static str, serde_json::Value)> {
        use serde_json::json;
        let (d, s, p) = (&public.diagnostics, &public.surface, public.parsed.as_ref());
        vec![
            ("status", json!(public.status)),
            ("diagnostics_availability", json!(d.availability)),
            ("transport_state", json!(d.transport_state)),
            ("process_state", json!(d.process_state)),
            ("parse_status", json!(d.parse_status)),
            ("surface_accepting_input", json!(s.accepting_input)),
            ("surface_editing_input", json!(s.editing_input)),
            ("surface_ready_posture", json!(s.ready_posture)),
            ("surface_pending_input", json!(s.pending_input)),
            ("turn_phase", json!(public.turn.phase)),
            ("last_turn_result", json!(public.last_turn.result)),
            ("last_turn_source", json!(public.last_turn.source)),
            ("probe_error", json!(d.probe_error)),
            ("parse_error", json!(d.parse_error)),
            ("surface_business_state", json!(p.map(|p| p.business_state))),
            ("surface_input_mode", json!(p.map(|p| p.input_mode))),
            ("surface_ui_context", json!(p.map(|p| p.ui_context))),
        ]
    };
    let (mut changed_fields, mut summary) = (Vec::new(), Vec::new());
    for ((name, was), (_, is)) in rows(before).into_iter().zip(rows(after)) {
        if was != is {
            changed_fields.push(name.into());
            summary.push(format!("{name}: {} -> {}", word(was), word(is)));
        }
    }
    Transition {
        recorded_at_utc: now,
        summary: summary.join("; "),
        changed_fields,
        status: after.status.unwrap_or(Status::Unknown),
    }
}
