//! Claude Code's `projects/*/SESSION.jsonl` (2.1): a line a block of a message, attachments, and notes of the program.

use super::Entry;
use super::json::{is, text, time, word};
use crate::model::TurnOutcome;
use serde_json::Value;

/// How a line begins that says that the person pressed Escape; it stands where a prompt would.
const INTERRUPTED: &str = "[Request interrupted by user";
/// How a command of the program itself is written down.
const COMMAND: &str = "<command-name>";
/// What begins with one of these stands where a prompt would and is none.
const NOT_ASKED: [&str; 8] = [
    "<local-command-",
    "<bash-stdout>",
    "<bash-stderr>",
    "<bash-input>",
    "<system-reminder>",
    "<task-notification>",
    "<command-message>",
    "Caveat: The messages below",
];
/// Why a message stopped when it is the last of its turn.
const LAST: [&str; 4] = ["end_turn", "stop_sequence", "max_tokens", "refusal"];

/// Remembers which message was said last: one that has several paragraphs has a line for each.
#[derive(Debug, Default)]
pub(super) struct Reader {
    message: Option<String>,
}

impl Reader {
    pub(super) fn read(&mut self, line: &Value, entries: &mut Vec<Entry>) {
        if is(line, "isSidechain") {
            return;
        }
        match word(line, "type") {
            "user" => read_user(line, entries),
            "assistant" => self.read_assistant(line, entries),
            "attachment" => read_attachment(line, entries),
            "system" => match word(line, "subtype") {
                "turn_duration" | "local_command" => entries.push(Entry::ended(TurnOutcome::Success)),
                _ => {}
            },
            "mode" => entries.extend(session(line)),
            _ => {}
        }
    }

    fn read_assistant(&mut self, line: &Value, entries: &mut Vec<Entry>) {
        if is(line, "isApiErrorMessage") {
            return entries.push(Entry::ended(TurnOutcome::KnownFailure));
        }
        let Some(message) = line.get("message") else { return };
        let Some(text) = text(message.get("content"), &["text"]) else { return };
        let id = Some(word(message, "id").to_owned()).filter(|id| !id.is_empty());
        let continues = id.is_some() && self.message == id;
        self.message = id;
        entries.push(Entry::Said { text, continues });
        if LAST.contains(&word(message, "stop_reason")) {
            entries.push(Entry::ended(TurnOutcome::Success));
        }
    }
}

/// A prompt, or something that is written down as if a person had said it: output of tools, notes to the model.
fn read_user(line: &Value, entries: &mut Vec<Entry>) {
    if is(line, "isMeta") || is(line, "isCompactSummary") || line.get("toolUseResult").is_some() {
        return;
    }
    let content = line.get("message").and_then(|message| message.get("content"));
    let Some(text) = text(content, &["text"]) else { return };
    if text.starts_with(INTERRUPTED) {
        entries.push(Entry::ended(TurnOutcome::Interrupted));
    } else if let Some(command) = command(&text) {
        entries.push(Entry::Prompt { text: command, at: time(line, "timestamp") });
    } else if line.get("origin").is_some_and(|origin| !matches!(word(origin, "kind"), "human" | "")) {
        entries.push(Entry::Unprompted);
    } else if !NOT_ASKED.iter().any(|start| text.starts_with(start)) {
        entries.push(Entry::Prompt { text, at: time(line, "timestamp") });
    }
}

/// A prompt that was given while the program worked, and that it took into the turn.
fn read_attachment(line: &Value, entries: &mut Vec<Entry>) {
    let Some(attachment) = line.get("attachment").filter(|it| word(it, "type") == "queued_command") else { return };
    let is_asked = matches!(word(attachment, "commandMode"), "" | "prompt")
        && attachment.get("origin").is_none_or(|origin| matches!(word(origin, "kind"), "human" | ""));
    if let Some(text) = text(attachment.get("prompt"), &["text"]).filter(|_| is_asked) {
        entries.push(Entry::Prompt { text, at: time(line, "timestamp") });
    }
}

/// `/name args`, from the frame that it is kept in.
fn command(text: &str) -> Option<String> {
    let inside = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.trim())
    };
    let is_command = text.starts_with(COMMAND) || text.starts_with("<command-message>");
    let name = inside("command-name").filter(|_| is_command)?;
    Some(format!("{name} {}", inside("command-args").unwrap_or_default()).trim_end().to_owned())
}

fn session(line: &Value) -> Option<Entry> {
    let id = word(line, "sessionId");
    (!id.is_empty()).then(|| Entry::Session(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::entries_of;

    fn read(lines: &[&str]) -> Vec<Entry> {
        let mut reader = Reader::default();
        entries_of(lines, |line, entries| reader.read(line, entries))
    }

    fn said(text: &str, continues: bool) -> Entry {
        Entry::Said { text: text.to_owned(), continues }
    }

    #[test]
    fn a_turn_with_a_tool() {
        let entries = read(&[
            r#"{"type":"mode","mode":"normal","sessionId":"669d289d"}"#,
            r#"{"parentUuid":null,"isSidechain":false,"type":"user","message":{"role":"user","content":"touch it"},"timestamp":"2026-11-21T02:05:01.783Z","origin":{"kind":"human"},"promptSource":"typed","sessionId":"669d289d"}"#,
            r#"{"isSidechain":false,"type":"attachment","attachment":{"type":"date","date":"2026-11-21"},"rendered":[{"content":"<system-reminder>x</system-reminder>"}]}"#,
            r#"{"type":"api-request-blob","message":{"role":"user","content":[{"type":"text","text":"not a line of the conversation"}]}}"#,
            r#"{"isSidechain":false,"message":{"id":"m1","role":"assistant","content":[{"type":"text","text":"I will run it"}],"stop_reason":"tool_use"},"type":"assistant"}"#,
            r#"{"isSidechain":false,"message":{"id":"m1","role":"assistant","content":[{"type":"tool_use","name":"Bash","input":{}}],"stop_reason":"tool_use"},"type":"assistant"}"#,
            r#"{"isSidechain":false,"type":"user","message":{"role":"user","content":[{"tool_use_id":"t","type":"tool_result","content":"output"}]},"toolUseResult":{"stdout":""}}"#,
            r#"{"isSidechain":true,"message":{"id":"s1","role":"assistant","content":[{"type":"text","text":"of a subagent"}],"stop_reason":"end_turn"},"type":"assistant"}"#,
            r#"{"isSidechain":false,"message":{"id":"m2","role":"assistant","content":[{"type":"text","text":"done"}],"stop_reason":"end_turn"},"type":"assistant"}"#,
            r#"{"isSidechain":false,"message":{"id":"m2","role":"assistant","content":[{"type":"text","text":"all of it"}],"stop_reason":"end_turn"},"type":"assistant"}"#,
            r#"{"isSidechain":false,"type":"system","subtype":"turn_duration","durationMs":5244}"#,
        ]);
        let at = Some("2026-11-21T02:05:01.783Z".parse().unwrap());
        let end = || Entry::ended(TurnOutcome::Success);
        assert_eq!(
            entries,
            [
                Entry::Session("669d289d".to_owned()),
                Entry::Prompt { text: "touch it".to_owned(), at },
                said("I will run it", false),
                said("done", false),
                end(),
                said("all of it", true),
                end(),
                end(),
            ]
        );
    }

    #[test]
    fn an_interrupt_and_an_error() {
        let entries = read(&[
            r#"{"isSidechain":false,"message":{"id":"m1","content":[{"type":"text","text":"the quick"}],"stop_reason":null},"type":"assistant","isAbortedMidStream":true}"#,
            r#"{"isSidechain":false,"type":"user","message":{"role":"user","content":[{"type":"text","text":"[Request interrupted by user]"}]},"interruptedMessageId":"m1"}"#,
            r#"{"type":"assistant","isApiErrorMessage":true,"message":{"model":"<synthetic>","content":[{"type":"text","text":"API Error: 401"}],"stop_reason":"stop_sequence"}}"#,
        ]);
        let (interrupted, failed) = (TurnOutcome::Interrupted, TurnOutcome::KnownFailure);
        assert_eq!(entries, [said("the quick", false), Entry::ended(interrupted), Entry::ended(failed)]);
    }

    #[test]
    fn what_nobody_asked_is_no_prompt() {
        let entries = read(&[
            r#"{"type":"user","message":{"content":"<local-command-caveat>The command below</local-command-caveat>"},"isMeta":true}"#,
            r#"{"type":"user","message":{"content":"<local-command-stdout>x</local-command-stdout>"}}"#,
            r#"{"type":"user","message":{"content":"A summary"},"isCompactSummary":true}"#,
            r#"{"type":"user","message":{"content":"<task-notification>done</task-notification>"},"origin":{"kind":"task-notification"}}"#,
            r#"{"type":"user","message":{"content":"<command-name>/review</command-name>\n  <command-message>review</command-message>\n  <command-args>the code</command-args>"}}"#,
            r#"{"type":"system","subtype":"local_command","content":"<local-command-stdout></local-command-stdout>"}"#,
            r#"{"type":"attachment","attachment":{"type":"queued_command","prompt":"and this","commandMode":"prompt"}}"#,
            r#"{"type":"attachment","attachment":{"type":"queued_command","prompt":"x","commandMode":"task-notification"}}"#,
        ]);
        let prompt = |text: &str| Entry::Prompt { text: text.to_owned(), at: None };
        let end = Entry::ended(TurnOutcome::Success);
        assert_eq!(entries, [Entry::Unprompted, prompt("/review the code"), end, prompt("and this")]);
    }
}
