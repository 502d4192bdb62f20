//! A program's own log, read forward: from its lines to what was asked and what was answered.
//!
//! [`Tail`] reads whole lines, [`Reader`] knows how each program writes them, [`Conversation`] folds them into
//! exchanges; [`Log`] is the three together for one file. `find` says which files a pattern names. Whose a log is,
//! is decided elsewhere (`daemon`): never by which file is the newest.
//!
//! Readers are permissive: what they do not know says nothing, and no bytes stop them.

mod claude;
mod codex;
mod conversation;
mod find;
mod gemini;
mod json;
mod kimi;
mod kimi_code;
mod log;
mod qwen;
mod stand_in;
mod tail;

pub use conversation::Conversation;
pub use find::{MAX_FOUND, find, matches};
pub use log::{Log, MAX_RECENT_BYTES};
pub use tail::{MAX_BACK_BYTES, MAX_LINE_BYTES, News, Tail};

use crate::model::TurnOutcome;
use crate::model::transcript::Format;
use jiff::Timestamp;

/// What one line of a log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The program's name for the session that the log is of.
    Session(String),
    /// A person asked something.
    Prompt {
        /// The words.
        text: String,
        /// When, where the line says it.
        at: Option<Timestamp>,
    },
    /// The program began to work without being asked by a person.
    Unprompted,
    /// The program said something to the person.
    Said {
        /// The words.
        text: String,
        /// More of the message before; else a message of its own.
        continues: bool,
    },
    /// The program stopped working on what it was asked last.
    Ended {
        /// How.
        outcome: TurnOutcome,
        /// The whole answer, where the line has it.
        answer: Option<String>,
    },
}

impl Entry {
    fn ended(outcome: TurnOutcome) -> Self {
        Self::Ended { outcome, answer: None }
    }
}

/// Reads the lines of one log, in order: what some lines mean depends on those before.
#[derive(Debug)]
pub struct Reader(Kind);

#[derive(Debug)]
enum Kind {
    Claude(claude::Reader),
    Codex(codex::Reader),
    Gemini,
    Qwen,
    Kimi(kimi::Reader),
    KimiCode,
    StandIn,
}

impl Reader {
    /// For a log that is written like that.
    pub fn new(format: Format) -> Self {
        Self(match format {
            Format::Claude => Kind::Claude(claude::Reader::default()),
            Format::Codex => Kind::Codex(codex::Reader::default()),
            Format::Gemini => Kind::Gemini,
            Format::Qwen => Kind::Qwen,
            Format::Kimi => Kind::Kimi(kimi::Reader::default()),
            Format::KimiCode => Kind::KimiCode,
            Format::StandIn => Kind::StandIn,
        })
    }

    /// What the next line says; nothing when it is of no account or cannot be understood.
    pub fn read(&mut self, line: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let Ok(line) = serde_json::from_slice(line) else { return entries };
        match &mut self.0 {
            Kind::Claude(reader) => reader.read(&line, &mut entries),
            Kind::Codex(reader) => reader.read(&line, &mut entries),
            Kind::Gemini => gemini::read(&line, &mut entries),
            Kind::Qwen => qwen::read(&line, &mut entries),
            Kind::Kimi(reader) => reader.read(&line, &mut entries),
            Kind::KimiCode => kimi_code::read(&line, &mut entries),
            Kind::StandIn => stand_in::read(&line, &mut entries),
        }
        entries
    }
}

/// What the reader of one format makes of lines.
#[cfg(test)]
fn entries_of(lines: &[&str], mut read: impl FnMut(&serde_json::Value, &mut Vec<Entry>)) -> Vec<Entry> {
    let mut entries = Vec::new();
    lines.iter().for_each(|line| read(&serde_json::from_str(line).unwrap(), &mut entries));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 7] =
        [Format::Claude, Format::Codex, Format::Gemini, Format::Qwen, Format::Kimi, Format::KimiCode, Format::StandIn];

    /// Keys and values that some reader looks at, anywhere and of any type.
    fn value() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
        use proptest::prelude::*;
        let words = proptest::sample::select(
            "type user assistant message content text role origin kind payload item thread_id session_id timestamp \
             TurnBegin TurnEnd ContentPart StepBegin StatusUpdate event_msg item_completed UserMessage AgentMessage \
             task_started task_complete turn_aborted error gemini info parts functionCall usageMetadata turn.prompt \
             input agentId main time turn.ended reason agent.message.appended id stop_reason end_turn isSidechain \
             attachment queued_command prompt system subtype turn_duration session_meta sessionId user_input human \
             end success session <command-name> [Request"
                .split_whitespace()
                .collect::<Vec<_>>(),
        );
        let leaf = prop_oneof![
            words.clone().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<bool>().prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(5, 40, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::vec((words.clone(), inner), 0..6).prop_map(|pairs| {
                    pairs
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                }),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_a_reader(bytes: Vec<u8>, values in proptest::collection::vec(value(), 0..20)) {
            for format in FORMATS {
                let (mut reader, mut conversation) = (Reader::new(format), Conversation::default());
                reader.read(&bytes);
                for value in &values {
                    for entry in reader.read(value.to_string().as_bytes()) {
                        conversation.take(entry);
                    }
                }
            }
        }
    }
}
