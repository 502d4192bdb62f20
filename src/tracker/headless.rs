//! The state of an agent whose turns are processes of their own: what its files say of the last one takes the place of
//! what a screen shows.

use super::{Facts, Liveness, Tracker, read};
use crate::model::headless::TurnStanding;
use crate::model::{HeadlessTurns, Screen, Terminal};
use crate::tool::{Found, Shows, Tool};
use jiff::{SignedDuration, Timestamp};

/// What the evidence calls it.
const NAME: &str = "process";

impl Tracker {
    /// Takes in a look at its pane and what is known of its turns; nothing before they have been read. In the pane there
    /// is a program while a turn runs, and none between two.
    pub fn observe_turns(
        &mut self,
        tool: &Tool,
        terminal: &Terminal,
        before: &Screen,
        turns: Option<&HeadlessTurns>,
        now: Timestamp,
    ) {
        let mut reading = read(tool, None, terminal);
        if matches!(terminal, Terminal::Seen(_)) {
            reading.liveness = Liveness::Alive;
        }
        (reading.has_rules, reading.has_composer, reading.question) = (true, false, None);
        reading.found = match (&reading.liveness, turns) {
            (Liveness::Alive, Some(turns)) => found(turns),
            _ => Vec::new(),
        };
        // Files do not flicker.
        let facts = Facts {
            ready_settle: SignedDuration::ZERO,
            start_settle: SignedDuration::ZERO,
            stale_after: SignedDuration::MAX,
            titles_ready: false,
            untuned: false,
        };
        self.take_in(reading, facts, terminal, before, now);
    }
}

fn found(turns: &HeadlessTurns) -> Vec<Found> {
    let rule = match turns.last.turn_index {
        0 => "no turn yet".to_owned(),
        index => format!("turn-{index:04}"),
    };
    let one = |shows| Found { rule: rule.clone(), shows, source: NAME, priority: 0, moving: false, lines: Vec::new() };
    match turns.last.standing {
        Some(TurnStanding::Active) if turns.has_begun() => vec![one(Shows::Active)],
        // Admitted, and its program is not there yet.
        Some(TurnStanding::Active) => Vec::new(),
        Some(TurnStanding::Failed) => vec![one(Shows::Ready), one(Shows::Failed)],
        Some(TurnStanding::Interrupted) => vec![one(Shows::Ready), one(Shows::Interrupted)],
        Some(TurnStanding::Completed) | None => vec![one(Shows::Ready)],
    }
}
