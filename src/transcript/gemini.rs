//! Gemini CLI's `session-*.jsonl` (0.58 to 0.61): a line a message, written anew with the same id when it grows, and `$set` lines that change
//! what the program sends to the model. Nothing says that a turn is over, unless it fails or is cancelled.

use super::Entry;
use super::json::{text, time, word};
use crate::model::TurnOutcome;
use serde_json::Value;

/// How what the program tells the model about itself begins.
const CONTEXT: &str = "<session_context>";
/// What the program writes when the person pressed Escape.
const CANCELLED: &str = "Request cancelled.";

pub(super) fn read(line: &Value, entries: &mut Vec<Entry>) {
    let content = line.get("content");
    match word(line, "type") {
        "user" => {
            let shown = text(line.get("displayContent"), &[]).or_else(|| text(content, &[]));
            if let Some(text) = shown.filter(|text| !text.starts_with(CONTEXT)) {
                entries.push(Entry::Prompt { text, at: time(line, "timestamp") });
            }
        }
        "gemini" => {
            if let Some(text) = text(content, &[]) {
                entries.push(Entry::Said { text, continues: false });
            }
        }
        "error" => entries.push(Entry::ended(TurnOutcome::KnownFailure)),
        "info" if word(line, "content") == CANCELLED => entries.push(Entry::ended(TurnOutcome::Interrupted)),
        "" => {
            let id = word(line, "sessionId");
            if !id.is_empty() {
                entries.push(Entry::Session(id.to_owned()));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::entries_of;

    fn read_all(lines: &[&str]) -> Vec<Entry> {
        entries_of(lines, read)
    }

    #[test]
    fn messages_and_what_is_none() {
        let entries = read_all(&[
            r#"{"sessionId":"9f27","projectHash":"87d2","startTime":"2026-11-21T02:15:09.301Z","kind":"main"}"#,
            r#"{"$set":{"messages":[{"id":"d0","type":"user","content":[{"text":"<session_context>\nThis is the Gemini CLI."}]}]}}"#,
            r#"{"id":"d1","timestamp":"2026-11-21T02:15:09.302Z","type":"user","content":[{"text":"<session_context>\nagain"}]}"#,
            r#"{"id":"8d","timestamp":"2026-11-21T02:15:11.193Z","type":"user","content":[{"text":"run it"}]}"#,
            r#"{"$set":{"lastUpdated":"2026-11-21T02:15:11.193Z"}}"#,
            r#"{"id":"d6","type":"gemini","content":"","thoughts":[]}"#,
            r#"{"id":"70","type":"user","content":[{"functionResponse":{"name":"run_shell_command","response":{"output":"x"}}}]}"#,
            r#"{"id":"94","type":"gemini","content":"it ran"}"#,
            r#"{"id":"ef","type":"info","content":"Request cancelled."}"#,
            r#"{"id":"eg","type":"info","content":"Update available"}"#,
            r#"{"id":"9f","type":"error","content":"[API Error: terminated]"}"#,
        ]);
        assert_eq!(
            entries,
            [
                Entry::Session("9f27".to_owned()),
                Entry::Prompt { text: "run it".to_owned(), at: Some("2026-11-21T02:15:11.193Z".parse().unwrap()) },
                Entry::Said { text: "it ran".to_owned(), continues: false },
                Entry::ended(TurnOutcome::Interrupted),
                Entry::ended(TurnOutcome::KnownFailure),
            ]
        );
    }
}
