//! What became of one prompt: a line of `delivery.jsonl`, and an event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One receipt. It is written when the prompt's fate is known, and once more if an
/// unconfirmed prompt turns out to have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Receipt {
    /// The prompt.
    pub prompt_id: String,
    /// Its turn.
    pub turn: u64,
    /// What became of it.
    pub stage: Stage,
    /// Its length in UTF-8.
    pub bytes: usize,
    /// SHA-256 of those bytes, in hexadecimal.
    pub sha256: String,
    /// When it was accepted.
    #[schemars(with = "String")]
    pub accepted_at: Timestamp,
    /// When its text had been pasted into the composer.
    #[schemars(with = "Option<String>")]
    pub pasted_at: Option<Timestamp>,
    /// When the submit key was pressed first.
    #[schemars(with = "Option<String>")]
    pub submitted_at: Option<Timestamp>,
    /// When its fate was known.
    #[schemars(with = "Option<String>")]
    pub settled_at: Option<Timestamp>,
    /// How often the submit key was pressed; more than once while the text still stood in the composer.
    pub presses: u32,
    /// What proves that its turn began: `screen` or `transcript`.
    pub proof: Option<String>,
    /// Why it was refused or is unconfirmed.
    pub reason: Option<String>,
}

/// What became of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Accepted, and on its way.
    Accepted,
    /// Its turn is known to have begun.
    Confirmed,
    /// It was typed, and nothing proves that a turn began. It is never typed again.
    Unconfirmed,
    /// Nothing was typed.
    Refused,
}

impl Stage {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
            Self::Refused => "refused",
        }
    }
}

/// What became of keys that troop chose by itself: an interrupt or an answer. The
/// same fields as a prompt's receipt where they mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pressed {
    /// What was asked for: `interrupt`, `approve`, `deny` or `answer N`.
    pub verb: String,
    /// What became of it: confirmed when the screen showed its effect.
    pub stage: Stage,
    /// The question that was answered, in one line.
    pub question: Option<String>,
    /// The words of the choice.
    pub choice: Option<String>,
    /// The keys.
    pub keys: Vec<String>,
    /// How often they were pressed.
    pub presses: u32,
    /// When they were pressed first.
    #[schemars(with = "String")]
    pub pressed_at: Timestamp,
    /// When their effect was seen, or no longer waited for.
    #[schemars(with = "String")]
    pub settled_at: Timestamp,
    /// Why it is unconfirmed.
    pub reason: Option<String>,
}
