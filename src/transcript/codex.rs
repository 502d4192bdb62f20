//! Codex's `rollout-*.jsonl` (0.144 to 0.169): `{timestamp, type, payload}`, of which the events count. The items beside them hold
//! the same words and much that the program tells the model.

use super::Entry;
use super::json::{text, time, word};
use crate::model::TurnOutcome;
use serde_json::Value;

/// Remembers whose log it is, and what came since a turn began.
#[derive(Debug, Default)]
pub(super) struct Reader {
    session: String,
    /// Somebody's prompt is in the turn.
    is_asked: bool,
    /// The last prompt of the turn: some releases write it down twice.
    prompt: Option<String>,
    has_failed: bool,
}

impl Reader {
    pub(super) fn read(&mut self, line: &Value, entries: &mut Vec<Entry>) {
        let Some(payload) = line.get("payload") else { return };
        match (word(line, "type"), word(payload, "type")) {
            ("session_meta", _) if self.session.is_empty() => {
                self.session = word(payload, "id").to_owned();
                entries.push(Entry::Session(self.session.clone()));
            }
            ("event_msg", _) if self.is_foreign(word(payload, "thread_id")) => {}
            ("event_msg", "task_started" | "turn_started") => {
                (self.is_asked, self.prompt, self.has_failed) = (false, None, false);
            }
            ("event_msg", "item_completed") => self.read_item(line, payload, entries),
            ("event_msg", "user_message") => self.asked(line, word(payload, "message").to_owned(), entries),
            ("event_msg", "agent_message") => self.said(word(payload, "message").to_owned(), entries),
            ("event_msg", "error") => self.has_failed = true,
            ("event_msg", "task_complete" | "turn_complete") => {
                let answer = payload.get("last_agent_message").and_then(Value::as_str).map(str::to_owned);
                let has_failed =
                    payload.get("error").is_some_and(|error| !error.is_null()) || (self.has_failed && answer.is_none());
                let outcome = if has_failed { TurnOutcome::KnownFailure } else { TurnOutcome::Success };
                self.ended(Entry::Ended { outcome, answer }, entries);
            }
            ("event_msg", "turn_aborted") => self.ended(Entry::ended(TurnOutcome::Interrupted), entries),
            _ => {}
        }
    }

    /// Whether a line is a subagent's, in the log of its parent. The beginning of a long log is not read.
    fn is_foreign(&self, thread: &str) -> bool {
        !thread.is_empty() && !self.session.is_empty() && thread != self.session
    }

    fn read_item(&mut self, line: &Value, payload: &Value, entries: &mut Vec<Entry>) {
        let Some(item) = payload.get("item") else { return };
        let Some(text) = text(item.get("content"), &["text", "Text"]) else { return };
        match word(item, "type") {
            "UserMessage" => self.asked(line, text, entries),
            "AgentMessage" => self.said(text, entries),
            _ => {}
        }
    }

    fn asked(&mut self, line: &Value, text: String, entries: &mut Vec<Entry>) {
        if text.is_empty() || self.prompt.as_ref() == Some(&text) {
            return;
        }
        (self.is_asked, self.prompt) = (true, Some(text.clone()));
        entries.push(Entry::Prompt { text, at: time(line, "timestamp") });
    }

    fn said(&mut self, text: String, entries: &mut Vec<Entry>) {
        if text.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.is_asked, true) {
            entries.push(Entry::Unprompted);
        }
        entries.push(Entry::Said { text, continues: false });
    }

    /// The end of a turn that nobody asked for and that said nothing is not the end of the one before.
    fn ended(&mut self, end: Entry, entries: &mut Vec<Entry>) {
        if std::mem::take(&mut self.is_asked) {
            entries.push(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::entries_of;

    fn read(lines: &[&str]) -> Vec<Entry> {
        let mut reader = Reader::default();
        entries_of(lines, |line, entries| reader.read(line, entries))
    }

    const META: &str = r#"{"type":"session_meta","payload":{"session_id":"01a1","id":"01a1","source":"cli"}}"#;
    const STARTED: &str = r#"{"type":"event_msg","payload":{"type":"task_started","turn_id":"t1"}}"#;
    const ASKED: &str = r#"{"timestamp":"2026-11-21T02:10:29.129Z","type":"event_msg","payload":{"type":"item_completed","thread_id":"01a1","turn_id":"t1","item":{"type":"UserMessage","content":[{"type":"text","text":"go","text_elements":[]}]}}}"#;

    fn prompt() -> Entry {
        Entry::Prompt { text: "go".to_owned(), at: Some("2026-11-21T02:10:29.129Z".parse().unwrap()) }
    }

    #[test]
    fn a_turn_is_events() {
        let entries = read(&[
            META,
            STARTED,
            r#"{"type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>x"}]}}"#,
            r#"{"type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]}}"#,
            ASKED,
            r#"{"type":"event_msg","payload":{"type":"user_message","message":"go"}}"#,
            r#"{"type":"event_msg","payload":{"type":"item_completed","thread_id":"other","item":{"type":"AgentMessage","content":[{"type":"Text","text":"of a subagent"}]}}}"#,
            r#"{"type":"event_msg","payload":{"type":"item_completed","thread_id":"01a1","item":{"type":"AgentMessage","content":[{"type":"Text","text":"done"}]}}}"#,
            r#"{"type":"event_msg","payload":{"type":"task_complete","turn_id":"t1","last_agent_message":"done"}}"#,
        ]);
        let said = Entry::Said { text: "done".to_owned(), continues: false };
        let ended = Entry::Ended { outcome: TurnOutcome::Success, answer: Some("done".to_owned()) };
        assert_eq!(entries, [Entry::Session("01a1".to_owned()), prompt(), said, ended]);
    }

    #[test]
    fn interrupts_and_errors() {
        let aborted = r#"{"type":"event_msg","payload":{"type":"turn_aborted","reason":"interrupted"}}"#;
        let failed = r#"{"type":"event_msg","payload":{"type":"task_complete","last_agent_message":null,"error":{"message":"401"}}}"#;
        let entries = read(&[META, STARTED, ASKED, aborted, STARTED, ASKED, failed]);
        assert_eq!(
            entries[1..],
            [prompt(), Entry::ended(TurnOutcome::Interrupted), prompt(), Entry::ended(TurnOutcome::KnownFailure)]
        );
    }

    #[test]
    fn a_turn_of_its_own_is_not_the_last_ones_answer() {
        let said = r#"{"type":"event_msg","payload":{"type":"agent_message","message":"compacted"}}"#;
        let complete = r#"{"type":"event_msg","payload":{"type":"task_complete","last_agent_message":null}}"#;
        let entries = read(&[META, STARTED, said, complete, STARTED, complete]);
        let words = Entry::Said { text: "compacted".to_owned(), continues: false };
        assert_eq!(entries[1..], [Entry::Unprompted, words, Entry::ended(TurnOutcome::Success)]);
    }
}
