//! The difference of two public states.

use super::view::Public;
use crate::model::live::{Status, Transition};
use jiff::Timestamp;

/// The transition from one public state to the next, with the fields in the order of the reference
/// (section 4.3) and each change in its words.
pub(super) fn transition(before: &Public, after: &Public, now: Timestamp) -> Transition {
    let word = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => format!("'{text}'"),
        serde_json::Value::Null => "None".to_owned(),
        other => other.to_string(),
    };
    let rows = |public: &Public| -> Vec<(&'static str, serde_json::Value)> {
        use serde_json::json;
        let (d, s, p) = (&public.diagnostics, &public.surface, public.parsed.as_deref());
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
            ("chat_context", json!(public.chat_context)),
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
    changed_fields.shrink_to_fit();
    Transition {
        recorded_at_utc: now,
        summary: summary.join("; "),
        changed_fields,
        status: after.status.unwrap_or(Status::Unknown),
    }
}
