//! The programs of one pane, walked for in `/proc` as often as there may be others.

use crate::model::{Pane, Programs};
use crate::process;
use std::time::Duration;
use tokio::time::Instant;

/// How long what was found counts for a pane that keeps changing, while tmux names the same program in front.
const WALK_AGAIN: Duration = Duration::from_secs(1);

/// What was found last.
#[derive(Default)]
pub(super) struct Walk {
    last: Option<Found>,
}

struct Found {
    at: Instant,
    pid: i32,
    command: String,
    programs: Programs,
}

impl Walk {
    /// The programs of a pane as it was seen at `now`. `changing` says that it will be looked at again in any case: then
    /// those found a moment ago will do, unless tmux says that another program is in front or has ended.
    pub(super) fn programs(&mut self, pane: &Pane, changing: bool, now: Instant) -> Programs {
        if pane.dead {
            self.last = None;
            return Programs::default();
        }
        let same =
            |found: &&Found| found.pid == pane.pid && found.command == pane.command && now < found.at + WALK_AGAIN;
        if let Some(found) = self.last.as_ref().filter(|_| changing).filter(same) {
            return found.programs.clone();
        }
        let programs = process::programs(pane.pid).unwrap_or_default();
        self.last = Some(Found { at: now, pid: pane.pid, command: pane.command.clone(), programs: programs.clone() });
        programs
    }
}
