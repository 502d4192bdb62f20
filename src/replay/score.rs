//! How often the tracker was right about a recording whose truth is known.
//!
//! The truth is a list of spans; no program can show a state at the very instant it begins, so frames
//! within [`GRACE`] seconds of a true change are not counted and the delay of each change is reported beside.

use super::Verdict;
use crate::error::{Error, Kind, Result};
use crate::model::Status;
use serde::{Deserialize, Serialize};

/// How long after a true change, and before the next, frames are not counted, in seconds.
const GRACE: f64 = 0.8;

/// What a recorded program really did.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Deserialize)]
struct Span {
    t0: f64,
    t1: f64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Starting,
    Idle,
    Draft,
    Busy,
    Approval,
    Dead,
}

impl State {
    fn is(self, status: Status) -> bool {
        match self {
            Self::Starting => status == Status::Starting,
            Self::Idle | Self::Draft => status == Status::Ready,
            Self::Busy => status == Status::Active,
            Self::Approval => status == Status::Blocked,
            Self::Dead => matches!(status, Status::Down | Status::Gone),
        }
    }

    fn same(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Idle | Self::Draft, Self::Idle | Self::Draft))
    }
}

/// One true change and when the tracker followed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edge {
    to: State,
    /// Seconds from the change to the first frame that says so; null when none did before the next change.
    pub delay: Option<f64>,
}

/// How one recording, or several together, came out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Score {
    /// Frames that count.
    pub frames: usize,
    /// Of those, right ones.
    pub right: usize,
    /// Frames that say ready while the program works or asks.
    pub wrong_ready: usize,
    /// Frames that say active while it does not work.
    pub wrong_active: usize,
    /// True changes.
    pub edges: Vec<Edge>,
    /// The first frames of each stretch that was wrong: number, truth and verdict.
    pub wrong: Vec<String>,
}

impl Truth {
    /// Reads a truth file.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::new(Kind::Malformed, format!("this is not the truth of a recording: {error}")))
    }

    /// Compares what the tracker said with what was true.
    pub fn score(&self, verdicts: &[Verdict]) -> Score {
        let mut score = Score::default();
        let changes: Vec<f64> = self.changes().map(|(_, span)| span.t0).collect();
        let mut was_wrong = None;
        for verdict in verdicts {
            let Some(span) = self.spans.iter().find(|span| span.t0 <= verdict.t && verdict.t < span.t1) else {
                continue;
            };
            let begun = self.spans.first().map_or(0.0, |first| first.t0);
            if verdict.t < begun + GRACE || changes.iter().any(|at| (verdict.t - at).abs() <= GRACE) {
                continue;
            }
            score.frames += 1;
            let right = span.state.is(verdict.status);
            score.right += usize::from(right);
            let works = matches!(span.state, State::Busy | State::Approval);
            score.wrong_ready += usize::from(works && verdict.status == Status::Ready);
            score.wrong_active += usize::from(!right && verdict.status == Status::Active);
            let wrong = (!right).then_some((span.state, verdict.status));
            if let Some((state, status)) = wrong
                && was_wrong != wrong
            {
                let rule = verdict.rule.as_deref().unwrap_or("-");
                score.wrong.push(format!("frame {}: {state:?} but {status} ({rule})", verdict.i));
            }
            was_wrong = wrong;
        }
        score.edges = self
            .changes()
            .map(|(index, span)| {
                let end = self.spans[index..]
                    .iter()
                    .find(|next| !next.state.same(span.state))
                    .map_or(f64::MAX, |next| next.t0);
                let followed = verdicts.iter().find(|v| v.t >= span.t0 && v.t < end && span.state.is(v.status));
                Edge { to: span.state, delay: followed.map(|verdict| verdict.t - span.t0) }
            })
            .collect();
        score
    }

    /// The spans that begin with a change, and their places.
    fn changes(&self) -> impl Iterator<Item = (usize, &Span)> {
        self.spans.windows(2).enumerate().filter_map(|(at, pair)| {
            let [before, after] = pair else { return None };
            (!before.state.same(after.state)).then_some((at + 1, after))
        })
    }
}

impl Score {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.right += other.right;
        self.wrong_ready += other.wrong_ready;
        self.wrong_active += other.wrong_active;
        self.edges.extend(other.edges);
        self.wrong.extend(other.wrong);
    }

    /// Right frames of those that count, in per cent; 100 when none does.
    pub fn accuracy(&self) -> f64 {
        if self.frames == 0 { 100.0 } else { 100.0 * self.right as f64 / self.frames as f64 }
    }

    /// The delay that `part` (0 to 1) of the changes that were followed do not exceed, in seconds.
    pub fn delay(&self, part: f64) -> Option<f64> {
        let mut delays: Vec<f64> = self.edges.iter().filter_map(|edge| edge.delay).collect();
        delays.sort_by(f64::total_cmp);
        let last = delays.len().checked_sub(1)?;
        delays.get(((last as f64) * part).round() as usize).copied()
    }

    /// True changes that no frame followed.
    pub fn missed(&self) -> usize {
        self.edges.iter().filter(|edge| edge.delay.is_none()).count()
    }
}
