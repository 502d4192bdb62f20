//! A recording of a terminal, played through the tracker on the recording's own clock.
//!
//! A recording is a file of JSON lines, one a frame: `i`, `t` (seconds), `meta` (the pane's facts, all
//! strings), `esc` (the rows as `capture-pane -p -e` gives them), or `same` when nothing has changed.

pub mod houmao;
mod score;

pub use score::{Edge, Score, Truth};

use crate::error::{Error, Kind, Result};
use crate::model::live::{Status, TurnPhase};
use crate::model::{Look, Pane, PaneId, Process, Programs, Screen, Terminal};
use crate::tool::Tool;
use crate::tracker::Tracker;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Commands that are in front when an agent program is not.
const SHELLS: &[&str] = &["bash", "dash", "fish", "sh", "zsh"];

/// One line of a recording.
#[derive(Debug, Clone, Deserialize)]
pub struct Frame {
    /// Its number.
    pub i: u64,
    /// When it was taken, in seconds.
    pub t: f64,
    /// It shows what the frame before it showed.
    #[serde(default)]
    pub same: bool,
    #[serde(default)]
    meta: BTreeMap<String, String>,
    #[serde(default)]
    esc: String,
}

/// What the tracker says at one frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The frame's number.
    pub i: u64,
    /// Its time, in seconds.
    pub t: f64,
    /// The status.
    pub status: Status,
    /// Where the turn stands.
    pub turn_phase: TurnPhase,
    /// The rule that decided last; null before one has.
    pub rule: Option<String>,
}

/// The frames of a recording. What is wrong names the line.
pub fn frames(text: &str) -> Result<Vec<Frame>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str::<Frame>(line).map_err(|error| {
                Error::new(Kind::Malformed, format!("line {} is not a frame of a recording: {error}", number + 1))
            })
        })
        .collect()
}

/// Plays `frames` through a tracker of its own.
pub fn play(tool: &Tool, frames: &[Frame]) -> Vec<Verdict> {
    let Some(first) = frames.first() else { return Vec::new() };
    let mut tracker = Tracker::new(moment(first.t), moment(first.t));
    let mut before = Screen::default();
    let mut verdicts = Vec::with_capacity(frames.len());
    for frame in frames {
        let now = moment(frame.t);
        tracker.tick_until(now);
        if frame.same {
            tracker.tick(now);
        } else {
            let look = look(frame, tool);
            let screen = look.screen.clone();
            tracker.observe(tool, None, &Terminal::Seen(Box::new(look)), &before, now);
            before = screen;
        }
        let tracked = tracker.tracked(&tool.name, now);
        verdicts.push(Verdict {
            i: frame.i,
            t: frame.t,
            status: tracked.status,
            turn_phase: tracked.turn.phase,
            rule: tracker.rule().map(str::to_owned),
        });
    }
    verdicts
}

/// The look that a frame recorded. A recording knows the foreground command and no processes: whatever is in
/// front counts as the tool, unless it is a shell.
fn look(frame: &Frame, tool: &Tool) -> Look {
    let text = |key: &str| frame.meta.get(key).map_or("", String::as_str);
    let number = |key: &str| text(key).parse::<u16>().unwrap_or_default();
    let command = text("cmd").to_owned();
    let name = match tool.process_names.first() {
        Some(name) if !SHELLS.contains(&command.as_str()) => name.clone(),
        _ => command.clone(),
    };
    let pid = text("pid").parse().unwrap_or(1);
    let dead = text("dead") == "1";
    let pane = Pane {
        dead,
        title: text("title").chars().filter(|c| !c.is_control()).collect(),
        cursor: (number("cx"), number("cy")),
        cursor_shown: text("cursor") == "1",
        size: (number("w"), number("h")),
        alternate: text("alt") == "1",
        command,
        history: text("hist").parse().unwrap_or_default(),
        ..recorded_pane(pid)
    };
    let programs = recorded_programs(name, &pane);
    Look { pane, screen: Screen::parse(frame.esc.as_bytes()), programs }
}

/// The one pane of a recording.
fn recorded_pane(pid: i32) -> Pane {
    Pane::new(PaneId::parse("%0").unwrap_or_else(|| unreachable!("a constant")), pid)
}

/// The one program of that name in a recorded pane, unless that is dead.
fn recorded_programs(name: String, pane: &Pane) -> Programs {
    if pane.dead {
        return Programs::default();
    }
    let process = Process { pid: pane.pid, start_time: 0, comm: name.clone(), argv: vec![name] };
    Programs { all: vec![process], foreground: vec![pane.pid] }
}

/// Seconds since the epoch as a moment; what is no moment is the epoch.
fn moment(seconds: f64) -> Timestamp {
    SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|since| Timestamp::UNIX_EPOCH.checked_add(since).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
