//! Recordings in the format of the Houmao project, and the labels its authors gave them.
//!
//! A label is a range of samples and what seven public fields should say there. Neighbouring samples are copies of
//! each other, so a range counts once: by its last sample, when whatever had to settle has settled. The labels are
//! what the authors wanted their own tracker to say, not what was true: a disagreement is a difference, not a fault.

use super::{moment, recorded_pane, recorded_programs};
use crate::error::{Error, Kind, Result};
use crate::model::{Look, Pane, Screen, Terminal};
use crate::tool::Tool;
use crate::tracker::{Tracked, Tracker};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The four files of a recording, as text.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `recording/pane_snapshots.ndjson`.
    pub snapshots: String,
    /// `recording/input_events.ndjson`.
    pub inputs: String,
    /// `runtime_observations.ndjson`.
    pub runtime: String,
    /// `recording/labels.json`.
    pub labels: String,
}

/// How one label compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The label's name.
    pub label: String,
    /// Its last sample.
    pub sample: String,
    /// The fields that differ: name, label and verdict.
    pub differs: Vec<(String, String, String)>,
    /// How many fields were compared.
    pub fields: usize,
}

#[derive(Deserialize)]
struct Snapshot {
    elapsed_seconds: f64,
    output_text: String,
    sample_id: String,
}

#[derive(Deserialize)]
struct Input {
    elapsed_seconds: f64,
    sequence: String,
    source: String,
}

#[derive(Deserialize)]
struct Runtime {
    elapsed_seconds: f64,
    pane_dead: bool,
    session_exists: bool,
    supported_process_alive: bool,
}

#[derive(Deserialize)]
struct Labels {
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    label_id: String,
    sample_id: String,
    sample_end_id: Option<String>,
    expectations: BTreeMap<String, serde_json::Value>,
}

/// Plays a recording with a tool's rules and compares what each label says.
pub fn compare(tool: &Tool, files: &Files) -> Result<Vec<Segment>> {
    let snapshots: Vec<Snapshot> = lines(&files.snapshots)?;
    let inputs: Vec<Input> = lines(&files.inputs)?;
    let runtime: Vec<Runtime> = lines(&files.runtime)?;
    let labels: Labels = serde_json::from_str(&files.labels).map_err(|error| wrong("labels", &error))?;
    let states = play(tool, &snapshots, &inputs, &runtime);
    let segments = labels.labels.iter().filter_map(|label| {
        let last = label.sample_end_id.as_ref().unwrap_or(&label.sample_id);
        let state = states.get(last)?;
        let compared =
            label.expectations.iter().filter_map(|(field, expected)| Some((field, expected, value(state, field)?)));
        let compared: Vec<_> = compared.collect();
        let differs = compared
            .iter()
            .filter(|(_, expected, is)| *expected != is)
            .map(|(field, expected, is)| ((*field).clone(), plain(expected), plain(is)))
            .collect();
        Some(Segment { label: label.label_id.clone(), sample: last.clone(), differs, fields: compared.len() })
    });
    Ok(segments.collect())
}

fn play(tool: &Tool, snapshots: &[Snapshot], inputs: &[Input], runtime: &[Runtime]) -> BTreeMap<String, Tracked> {
    let start = snapshots.first().map_or(0.0, |first| first.elapsed_seconds);
    let mut tracker = Tracker::new(moment(start), moment(start));
    let (mut before, mut typed) = (Screen::default(), inputs.iter().peekable());
    let mut states = BTreeMap::new();
    for snapshot in snapshots {
        let now = moment(snapshot.elapsed_seconds);
        while let Some(input) = typed.next_if(|input| input.elapsed_seconds <= snapshot.elapsed_seconds) {
            let at = moment(input.elapsed_seconds);
            tracker.tick_until(at);
            match (input.source.as_str(), input.sequence.as_str()) {
                ("managed_send_keys", keys) if keys.ends_with("<[Enter]>") => {
                    tracker.accepted(1, at);
                    tracker.submitted(at, at);
                }
                (_, "<[Escape]>") => tracker.interrupted(at),
                _ => {}
            }
        }
        tracker.tick_until(now);
        let known = runtime.iter().rev().find(|row| row.elapsed_seconds <= snapshot.elapsed_seconds);
        let terminal = match known {
            Some(row) if !row.session_exists => Terminal::NoSession,
            _ => Terminal::Seen(Box::new(look(tool, snapshot, known))),
        };
        tracker.observe(tool, None, &terminal, &before, now);
        if let Terminal::Seen(look) = terminal {
            before = look.screen;
        }
        states.insert(snapshot.sample_id.clone(), tracker.tracked(&tool.name, now));
    }
    states
}

fn look(tool: &Tool, snapshot: &Snapshot, known: Option<&Runtime>) -> Look {
    let name = match known {
        Some(row) if !row.supported_process_alive => "sh".to_owned(),
        _ => tool.process_names.first().cloned().unwrap_or_default(),
    };
    let dead = known.is_some_and(|row| row.pane_dead);
    let screen = Screen::parse(snapshot.output_text.as_bytes());
    let rows = u16::try_from(screen.text.lines().count()).unwrap_or(u16::MAX);
    let pane = Pane { dead, cursor: (0, rows.saturating_sub(1)), ..recorded_pane(1) };
    let programs = recorded_programs(name, &pane);
    Look { pane, screen, programs }
}

/// The value of a field by the name that labels give it.
fn value(state: &Tracked, field: &str) -> Option<serde_json::Value> {
    let value = match field {
        "diagnostics_availability" => serde_json::to_value(state.diagnostics.availability),
        "surface_accepting_input" => serde_json::to_value(state.surface.accepting_input),
        "surface_editing_input" => serde_json::to_value(state.surface.editing_input),
        "surface_ready_posture" => serde_json::to_value(state.surface.ready_posture),
        "turn_phase" => serde_json::to_value(state.turn.phase),
        "last_turn_result" => serde_json::to_value(state.last_turn.result),
        "last_turn_source" => serde_json::to_value(state.last_turn.source),
        _ => return None,
    };
    value.ok()
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> Result<Vec<T>> {
    let rows = text.lines().filter(|line| !line.trim().is_empty());
    rows.map(|line| serde_json::from_str(line).map_err(|error| wrong("recording", &error))).collect()
}

fn wrong(what: &str, error: &serde_json::Error) -> Error {
    Error::new(Kind::Malformed, format!("this is not a {what} in Houmao's format: {error}"))
}
