//! kimi-cli's `wire.jsonl` (protocol 1.10): what its interface was told. A turn ends without a word of how: a step that
//! was whole has told what it cost, one that failed that it was interrupted, one that the person interrupted nothing.

use super::Entry;
use super::json::{text, time, word};
use crate::model::TurnOutcome;
use serde_json::Value;

/// Remembers how the step goes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    step: Step,
    /// Something was said in it.
    has_spoken: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Whole,
    Open,
    Broken,
}

impl Reader {
    pub(super) fn read(&mut self, line: &Value, entries: &mut Vec<Entry>) {
        let Some(message) = line.get("message") else { return };
        let Some(payload) = message.get("payload") else { return };
        match word(message, "type") {
            "TurnBegin" => {
                self.step = Step::Whole;
                match text(payload.get("user_input"), &["text"]) {
                    Some(text) => entries.push(Entry::Prompt { text, at: time(line, "timestamp") }),
                    None => entries.push(Entry::Unprompted),
                }
            }
            "StepBegin" => (self.step, self.has_spoken) = (Step::Open, false),
            "ContentPart" if word(payload, "type") == "text" => {
                if let Some(text) = text(payload.get("text"), &[]) {
                    let continues = std::mem::replace(&mut self.has_spoken, true);
                    entries.push(Entry::Said { text, continues });
                }
            }
            "StatusUpdate" if payload.get("token_usage").is_some_and(Value::is_object) => self.step = Step::Whole,
            "StepInterrupted" => self.step = Step::Broken,
            "TurnEnd" => entries.push(Entry::ended(match self.step {
                Step::Whole => TurnOutcome::Success,
                Step::Open => TurnOutcome::Interrupted,
                Step::Broken => TurnOutcome::KnownFailure,
            })),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::entries_of;

    const ASKED: &str = r#"{"timestamp": 1795229475.979, "message": {"type": "TurnBegin", "payload": {"user_input": [{"type": "text", "text": "go"}]}}}"#;
    const STEP: &str = r#"{"message": {"type": "StepBegin", "payload": {"n": 1}}}"#;
    const SAID: &str = r#"{"message": {"type": "ContentPart", "payload": {"type": "text", "text": "the quick"}}}"#;
    const COST: &str =
        r#"{"message": {"type": "StatusUpdate", "payload": {"context_usage": 0.06, "token_usage": {"output": 80}}}}"#;
    const BROKEN: &str = r#"{"message": {"type": "StepInterrupted", "payload": {}}}"#;
    const END: &str = r#"{"message": {"type": "TurnEnd", "payload": {}}}"#;

    fn read(lines: &[&str]) -> Vec<Entry> {
        let mut reader = Reader::default();
        entries_of(lines, |line, entries| reader.read(line, entries))
    }

    #[test]
    fn how_it_ended_is_seen_in_its_last_step() {
        let thought = r#"{"message": {"type": "ContentPart", "payload": {"type": "think", "think": "hm"}}}"#;
        for (lines, outcome) in [
            (vec![ASKED, STEP, thought, SAID, COST, END], TurnOutcome::Success),
            (vec![ASKED, STEP, SAID, END], TurnOutcome::Interrupted),
            (vec![ASKED, STEP, SAID, BROKEN, END], TurnOutcome::KnownFailure),
        ] {
            let prompt = Entry::Prompt { text: "go".to_owned(), at: "2026-11-21T02:51:15.979Z".parse().ok() };
            let said = Entry::Said { text: "the quick".to_owned(), continues: false };
            assert_eq!(read(&lines), [prompt, said, Entry::ended(outcome)], "{lines:?}");
        }
    }

    #[test]
    fn a_step_is_a_message() {
        let continues: Vec<bool> = read(&[ASKED, STEP, SAID, SAID, COST, STEP, SAID])
            .iter()
            .filter_map(|entry| match entry {
                Entry::Said { continues, .. } => Some(*continues),
                _ => None,
            })
            .collect();
        assert_eq!(continues, [false, true, false]);
    }
}
