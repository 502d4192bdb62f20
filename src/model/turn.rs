//! One turn of an agent: from the prompt that was accepted, or the first sign of
//! work, to its answer.

use super::live::{TurnResult, TurnSource};
use jiff::Timestamp;
use std::sync::Arc;

/// One turn. Numbers count from 1 in each session and never repeat there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Which.
    pub number: u64,
    /// The prompt's id in receipts; none when the turn was not begun through troop.
    pub prompt_id: Option<Arc<str>>,
    /// How it is known that it began.
    pub source: TurnSource,
    /// When its prompt was accepted, or the first sign of work was seen.
    pub accepted_at: Timestamp,
    /// When the first sign of work was seen.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How it ended; none while it has not.
    pub outcome: Option<TurnOutcome>,
    /// What was asked, where it is known.
    pub prompt: Arc<str>,
    /// What was answered, where it is known.
    pub reply: Option<Reply>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The program finished.
    Success,
    /// Somebody interrupted it.
    Interrupted,
    /// The program showed an error.
    KnownFailure,
    /// Nothing proves that the program took the prompt.
    Unconfirmed,
    /// The prompt was accepted and could not be delivered: nothing was typed.
    Refused,
    /// The program or its session ended, or was not watched to the end.
    Lost,
}

impl TurnOutcome {
    /// Its word in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Interrupted => "interrupted",
            Self::KnownFailure => "known_failure",
            Self::Unconfirmed => "unconfirmed",
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}

impl From<TurnResult> for TurnOutcome {
    fn from(result: TurnResult) -> Self {
        match result {
            TurnResult::Success => Self::Success,
            TurnResult::Interrupted => Self::Interrupted,
            TurnResult::KnownFailure => Self::KnownFailure,
            TurnResult::None => Self::Lost,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its text.
    pub text: Arc<str>,
    /// Where it was read.
    pub source: ReplySource,
}

/// Where an answer was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplySource {
    /// In the tool's own transcript.
    Transcript,
    /// On the screen, as far as it was still there.
    Screen,
    /// In what the process of the turn printed.
    Output,
}

impl Turn {
    /// One of which no more is known than that it is there: its number, how that is known, and since when.
    pub fn new(number: u64, source: TurnSource, at: Timestamp) -> Self {
        Self {
            number,
            prompt_id: None,
            source,
            accepted_at: at,
            started_at: None,
            ended_at: None,
            outcome: None,
            prompt: Arc::default(),
            reply: None,
        }
    }

    /// Whether its prompt is one that programs take for a command: then what they show below it need not be an answer.
    pub fn is_command(&self) -> bool {
        self.prompt.trim_start().starts_with(['/', '!'])
    }

    /// When it last changed.
    pub fn changed_at(&self) -> Timestamp {
        self.ended_at.or(self.started_at).unwrap_or(self.accepted_at)
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }
}
