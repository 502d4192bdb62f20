//! Qwen Code's `chats/SESSION.jsonl` (0.24): a line a message in Gemini's parts, in Claude's frame. A message is written when it is whole;
//! one that calls no tool is the last of its turn, and one that was cut short has no usage.

use super::Entry;
use super::json::{is, text, time, word};
use crate::model::TurnOutcome;
use serde_json::Value;

pub(super) fn read(line: &Value, entries: &mut Vec<Entry>) {
    if is(line, "isSidechain") || line.get("agentId").is_some_and(Value::is_string) {
        return;
    }
    let parts = line.get("message").and_then(|message| message.get("parts"));
    match word(line, "type") {
        "user" => match (word(line, "provenance"), text(parts, &[])) {
            ("real_user" | "", Some(text)) => entries.push(Entry::Prompt { text, at: time(line, "timestamp") }),
            (_, Some(_)) => entries.push(Entry::Unprompted),
            _ => {}
        },
        "assistant" => {
            // Thoughts are parts of their own.
            let spoken: Vec<Value> = parts
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter(|part| !is(part, "thought"))
                .cloned()
                .collect();
            let calls = spoken.iter().any(|part| part.get("functionCall").is_some());
            let Some(text) = text(Some(&Value::Array(spoken)), &[]) else { return };
            entries.push(Entry::Said { text, continues: false });
            let is_whole = line.get("usageMetadata").is_some();
            match (calls, is_whole) {
                (true, _) => {}
                (false, true) => entries.push(Entry::ended(TurnOutcome::Success)),
                (false, false) => entries.push(Entry::ended(TurnOutcome::Interrupted)),
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

    fn said(text: &str) -> Entry {
        Entry::Said { text: text.to_owned(), continues: false }
    }

    #[test]
    fn a_turn_with_a_tool() {
        let entries = read_all(&[
            r#"{"type":"user","provenance":"real_user","timestamp":"2026-11-21T02:42:07.236Z","message":{"role":"user","parts":[{"text":"run it"}]}}"#,
            r#"{"type":"system","provenance":"system","subtype":"ui_telemetry","systemPayload":{"uiEvent":{"response_text":"x"}}}"#,
            r#"{"type":"assistant","message":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"I will"},{"functionCall":{"name":"run_shell_command"}}]},"usageMetadata":{}}"#,
            r#"{"type":"tool_result","message":{"role":"user","parts":[{"functionResponse":{"name":"run_shell_command","response":{"output":"y"}}}]}}"#,
            r#"{"type":"assistant","message":{"role":"model","parts":[{"text":"it ran"}]},"usageMetadata":{"totalTokenCount":1}}"#,
        ]);
        let at = Some("2026-11-21T02:42:07.236Z".parse().unwrap());
        let prompt = Entry::Prompt { text: "run it".to_owned(), at };
        assert_eq!(entries, [prompt, said("I will"), said("it ran"), Entry::ended(TurnOutcome::Success)]);
    }

    #[test]
    fn a_message_that_was_cut_short() {
        let line = r#"{"type":"assistant","message":{"role":"model","parts":[{"text":"the quick"}]}}"#;
        assert_eq!(read_all(&[line]), [said("the quick"), Entry::ended(TurnOutcome::Interrupted)]);
    }
}
