//! An agent whose turns are processes of their own: how its last one stands.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// How a turn stands, in the words of `managed_agents/*/turns/` (the reference, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnStanding {
    /// It was admitted, and has not ended.
    Active,
    /// Its program did what it was asked.
    Completed,
    /// Its program failed, or nobody knows how it ended.
    Failed,
    /// Somebody ended it.
    Interrupted,
}

/// The last turn of such an agent, as `state.json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Headless {
    /// The number of the last turn in its session root; 0 before the first.
    pub turn_index: u64,
    /// The program's own name for the conversation that the next turn goes on with.
    pub session_id: Option<String>,
    /// The turn that goes on, by its file in `managed_agents/*/turns/`.
    pub active_turn_id: Option<String>,
    /// How the last turn stands.
    pub standing: Option<TurnStanding>,
    /// What runs it.
    pub runner_pid: Option<i32>,
    /// The program, while it runs.
    pub child_pid: Option<i32>,
    /// When that was started.
    #[schemars(with = "Option<String>")]
    pub started_at_utc: Option<Timestamp>,
    /// What the program says that it does.
    pub doing: Option<String>,
    /// What the program of the last turn exited with; 128 and the signal's number when one ended it.
    pub exit_code: Option<i32>,
    /// Why the last turn failed.
    pub error: Option<String>,
}

/// What is on disk of the turns of such an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadlessTurns {
    /// The last one, as it is shown.
    pub last: Headless,
    /// The prompt that it was begun with.
    pub prompt_id: Option<Arc<str>>,
    /// What it has answered so far; the whole answer once it has ended.
    pub answer: Arc<str>,
    /// Where each of the last turns has its files, by prompt, oldest first, [`MAX_SHOWN`] at most.
    pub artifacts: Arc<[(Arc<str>, Arc<Path>)]>,
}

/// The most turns whose files are shown.
pub const MAX_SHOWN: usize = 64;

impl HeadlessTurns {
    /// Whether the program of the last turn was started.
    pub fn has_begun(&self) -> bool {
        self.last.started_at_utc.is_some() || self.last.standing == Some(TurnStanding::Completed)
    }

    /// Whether a turn goes on.
    pub fn is_active(&self) -> bool {
        self.last.standing == Some(TurnStanding::Active)
    }

    /// Where the turn that was begun with that prompt has its files.
    pub fn artifacts_of(&self, prompt_id: &str) -> Option<&Arc<Path>> {
        self.artifacts.iter().rev().find(|(known, _)| **known == *prompt_id).map(|(_, dir)| dir)
    }
}

/// How a turn ended, as its files tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Never active.
    pub standing: TurnStanding,
    /// What its program exited with, where that is known.
    pub returncode: Option<i32>,
    /// Why it failed.
    pub error: Option<String>,
}
