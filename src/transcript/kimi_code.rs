//! kimi-code's `agents/main/wire.jsonl` (protocol 1.5): everything that happens to an agent, the same words several times.

use super::Entry;
use super::json::{text, time, word};
use crate::model::TurnOutcome;
use serde_json::Value;

/// The agent that the person talks to; others are its subagents.
const MAIN: &str = "main";

pub(super) fn read(line: &Value, entries: &mut Vec<Entry>) {
    if !matches!(word(line, "agentId"), MAIN | "") {
        return;
    }
    match word(line, "type") {
        "turn.prompt" => {
            let is_asked = line.get("origin").is_none_or(|origin| word(origin, "kind") == "user");
            match text(line.get("input"), &["text"]).filter(|_| is_asked) {
                Some(text) => entries.push(Entry::Prompt { text, at: time(line, "time") }),
                None => entries.push(Entry::Unprompted),
            }
        }
        "agent.message.appended" => {
            let Some(message) = line.get("message").and_then(|message| message.get("message")) else { return };
            if word(message, "role") == "assistant"
                && let Some(text) = text(message.get("content"), &["text"])
            {
                entries.push(Entry::Said { text, continues: false });
            }
        }
        "turn.ended" => entries.push(Entry::ended(match word(line, "reason") {
            "completed" => TurnOutcome::Success,
            "cancelled" => TurnOutcome::Interrupted,
            _ => TurnOutcome::KnownFailure,
        })),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::entries_of;

    #[test]
    fn each_word_once() {
        let lines = [
            r#"{"type":"turn.prompt","agentId":"main","input":[{"type":"text","text":"go"}],"origin":{"kind":"user"},"turnId":0,"time":1795229054199}"#,
            r#"{"type":"context.append_message","agentId":"main","message":{"role":"user","content":[{"type":"text","text":"go"}],"origin":{"kind":"user"}}}"#,
            r#"{"message":{"message":{"role":"user","content":[{"type":"text","text":"go"}]}},"type":"agent.message.appended","kind":"event"}"#,
            r#"{"type":"context.append_message","agentId":"main","message":{"role":"user","content":[{"type":"text","text":"<system-reminder>x"}],"origin":{"kind":"injection"}}}"#,
            r#"{"type":"context.append_loop_event","agentId":"main","event":{"type":"content.part","part":{"type":"text","text":"done"}}}"#,
            r#"{"message":{"message":{"role":"assistant","content":[],"toolCalls":[{}]}},"type":"agent.message.appended","kind":"event"}"#,
            r#"{"message":{"message":{"role":"assistant","content":[{"type":"text","text":"done"}]}},"type":"agent.message.appended","kind":"event"}"#,
            r#"{"type":"turn.ended","agentId":"agent-1","reason":"completed"}"#,
            r#"{"type":"turn.ended","agentId":"main","turnId":0,"reason":"completed"}"#,
            r#"{"type":"turn.ended","agentId":"main","turnId":1,"reason":"cancelled"}"#,
            r#"{"type":"turn.ended","agentId":"main","turnId":2,"reason":"failed"}"#,
        ];
        let entries = entries_of(&lines, read);
        let ends = [TurnOutcome::Success, TurnOutcome::Interrupted, TurnOutcome::KnownFailure].map(Entry::ended);
        let prompt = Entry::Prompt { text: "go".to_owned(), at: "2026-11-21T02:44:14.199Z".parse().ok() };
        assert_eq!(entries[..2], [prompt, Entry::Said { text: "done".to_owned(), continues: false }]);
        assert_eq!(entries[2..], ends);
    }
}
