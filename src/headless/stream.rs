//! The lines that a program prints while it runs a turn, one JSON object each, read by the rules of its definition.

use crate::model::transcript::bounded;
use crate::tool::Headless;
use crate::tool::headless::{EventRule, Failed};
use serde_json::Value;
use std::sync::Arc;

/// The most bytes kept of a word such as a session's id or a tool's name.
const MAX_WORD_BYTES: usize = 256;
/// The most bytes kept of an error.
const MAX_ERROR_BYTES: usize = 4096;

/// What a program has said so far.
#[derive(Debug, Clone)]
pub struct Stream {
    definition: Arc<Headless>,
    session: Option<String>,
    /// The message that is being said, or the last one.
    message: String,
    /// The message is whole: more of one is another.
    is_whole: bool,
    answer: Option<String>,
    tool: Option<String>,
    error: Option<String>,
    /// Whether the turn ended well, once a line says that it is over.
    ended: Option<bool>,
    is_understood: bool,
}

/// What one line said, for people and in Houmao's words (`canonical-events.jsonl`, the reference, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// `progress`, `assistant`, `tool_use`, `error` or `completion`.
    pub kind: &'static str,
    /// The words.
    pub message: String,
    /// More of the message before.
    pub continues: bool,
    /// The line's own words for what it is: `result`, `system.init`.
    pub event_type: String,
    /// The line.
    pub raw: Value,
}

impl Stream {
    /// Before the first line.
    pub fn new(definition: Arc<Headless>) -> Self {
        Self {
            definition,
            session: None,
            message: String::new(),
            is_whole: true,
            answer: None,
            tool: None,
            error: None,
            ended: None,
            is_understood: false,
        }
    }

    /// Takes in the next line; nothing when it is no JSON object. Programs print other lines as well, and none stops this.
    pub fn line(&mut self, line: &[u8]) -> Option<Heard> {
        let raw: Value = serde_json::from_slice(line).ok().filter(Value::is_object)?;
        let definition = self.definition.clone();
        let (mut kind, mut message, mut continues) = ("progress", String::new(), false);
        for rule in definition.event.iter().filter(|rule| is(rule, &raw)) {
            self.is_understood = true;
            if let Some(session) = at(rule.session.as_ref(), &raw).and_then(words) {
                self.session = Some(cut(&session, MAX_WORD_BYTES));
            }
            if let Some(delta) = at(rule.delta.as_ref(), &raw).and_then(Value::as_str) {
                (kind, message, continues) = ("assistant", delta.to_owned(), !self.is_whole);
                self.say(delta);
            }
            if let Some(text) = at(rule.text.as_ref(), &raw).and_then(words) {
                (kind, message, continues) = ("assistant", text.clone(), false);
                (self.message, self.is_whole, self.tool) = (bounded(&text).to_owned(), true, None);
            }
            if let Some(tool) = at(rule.tool.as_ref(), &raw).and_then(name) {
                let tool = cut(&tool, MAX_WORD_BYTES);
                (kind, message) = ("tool_use", tool.clone());
                (self.tool, self.is_whole) = (Some(tool), true);
            }
            if let Some(error) = at(rule.error.as_ref(), &raw).and_then(words) {
                (kind, message) = ("error", error.clone());
                self.error = Some(cut(&error, MAX_ERROR_BYTES));
            }
            if let Some(answer) = at(rule.answer.as_ref(), &raw).and_then(words) {
                message.clone_from(&answer);
                self.answer = Some(bounded(&answer).to_owned());
            }
            if rule.ends {
                let failed = match &rule.failed {
                    None => false,
                    Some(Failed::Always(failed)) => *failed,
                    Some(Failed::At(pointer)) => raw.pointer(pointer).and_then(Value::as_bool).unwrap_or(false),
                };
                (kind, self.is_whole, self.tool) = ("completion", true, None);
                self.ended = Some(!failed);
                if failed && self.error.is_none() {
                    self.error = self.answer.as_deref().map(|answer| cut(answer, MAX_ERROR_BYTES));
                }
            }
        }
        let word = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let event_type =
            [word("type"), word("subtype")].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
        Some(Heard { kind, message, continues, event_type: event_type.join("."), raw })
    }

    fn say(&mut self, delta: &str) {
        if std::mem::take(&mut self.is_whole) {
            self.message.clear();
        }
        if self.message.len() + delta.len() <= crate::model::transcript::MAX_TEXT_BYTES {
            self.message.push_str(delta);
        }
        self.tool = None;
    }

    /// The program's own name for the session.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The answer, or the last message as long as there is none.
    pub fn answer(&self) -> &str {
        self.answer.as_deref().unwrap_or(&self.message)
    }

    /// The last error it told of.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Whether the turn ended well; none while no line says that it is over.
    pub fn ended(&self) -> Option<bool> {
        self.ended
    }

    /// Whether any line was one that the definition knows.
    pub fn is_understood(&self) -> bool {
        self.is_understood
    }

    /// What the program is doing, in a few words.
    pub fn doing(&self) -> Option<String> {
        match &self.tool {
            _ if self.ended.is_some() => None,
            Some(tool) => Some(format!("uses {tool}")),
            None if self.message.is_empty() => None,
            None => Some("writes".to_owned()),
        }
    }
}

fn is(rule: &EventRule, line: &Value) -> bool {
    let excluded = at(rule.unless.as_ref(), line).is_some_and(|there| !there.is_null());
    !excluded
        && rule.when.iter().all(|(pointer, word)| match line.pointer(pointer) {
            Some(Value::String(there)) => there == word,
            Some(Value::Bool(there)) => there.to_string() == *word,
            _ => false,
        })
}

fn at<'a>(pointer: Option<&String>, line: &'a Value) -> Option<&'a Value> {
    line.pointer(pointer?)
}

/// Words, or the text of the parts that are text.
fn words(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |part: &Value| match part {
                Value::String(text) => Some(text.clone()),
                part if part.get("type").and_then(Value::as_str) == Some("text") => {
                    part.get("text")?.as_str().map(str::to_owned)
                }
                _ => None,
            };
            parts.iter().filter_map(text).collect::<Vec<_>>().join("\n\n")
        }
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// A word, or the name of the last part that has one.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Array(parts) => parts.iter().rev().find_map(|part| {
            let name = part.get("name").or_else(|| part.pointer("/function/name"))?;
            name.as_str().map(str::to_owned)
        }),
        _ => None,
    }
}

fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].chars().filter(|c| !c.is_control() || *c == '\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tools;

    fn definition(tool: &str) -> Arc<Headless> {
        let (tools, _) = Tools::with_overrides(&[]);
        tools.get(tool).unwrap().headless.clone().unwrap().into()
    }

    fn read(tool: &str, lines: &[&str]) -> (Stream, Vec<Heard>) {
        let mut stream = Stream::new(definition(tool));
        let heard = lines.iter().filter_map(|line| stream.line(line.as_bytes())).collect();
        (stream, heard)
    }

    #[test]
    fn codex_as_it_prints() {
        let lines = [
            r#"{"type":"thread.started","thread_id":"01a1"}"#,
            r#"{"type":"item.completed","item":{"id":"item_0","type":"error","message":"Model metadata not found."}}"#,
            r#"{"type":"turn.started"}"#,
            r#"{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"echo hi"}}"#,
            r#"{"type":"item.completed","item":{"id":"item_1","type":"command_execution","exit_code":0}}"#,
            r#"{"type":"item.completed","item":{"id":"item_2","type":"agent_message","text":"hello there\n"}}"#,
            r#"{"type":"turn.completed","usage":{"input_tokens":20144}}"#,
        ];
        let (working, _) = read("codex", &lines[..4]);
        assert_eq!((working.session(), working.doing().as_deref()), (Some("01a1"), Some("uses command_execution")));
        let (stream, heard) = read("codex", &lines);
        assert_eq!((stream.answer(), stream.ended(), stream.error()), ("hello there\n", Some(true), None));
        let kinds: Vec<_> = heard.iter().map(|heard| heard.kind).collect();
        assert_eq!(kinds, ["progress", "progress", "progress", "tool_use", "progress", "assistant", "completion"]);
        let (failed, _) = read("codex", &[r#"{"type":"turn.failed","error":{"message":"high demand"}}"#]);
        assert_eq!((failed.ended(), failed.error()), (Some(false), Some("high demand")));
    }

    #[test]
    fn gemini_as_it_prints() {
        let lines = [
            r#"{"type":"init","session_id":"ad02","model":"auto"}"#,
            r#"{"type":"message","role":"user","content":"go"}"#,
            r#"{"type":"message","role":"assistant","content":"I will ","delta":true}"#,
            r#"{"type":"message","role":"assistant","content":"look","delta":true}"#,
            r#"{"type":"tool_use","tool_name":"glob","tool_id":"1"}"#,
            r#"{"type":"message","role":"assistant","content":"found","delta":true}"#,
            r#"{"type":"result","status":"success","stats":{}}"#,
        ];
        assert_eq!(read("gemini", &lines[..4]).0.answer(), "I will look");
        let (stream, heard) = read("gemini", &lines);
        assert_eq!((stream.session(), stream.answer(), stream.ended()), (Some("ad02"), "found", Some(true)));
        assert!(!heard[2].continues && heard[3].continues && !heard[5].continues);
    }

    #[test]
    fn claude_as_it_prints() {
        let lines = [
            r#"{"type":"system","subtype":"init","session_id":"edfb"}"#,
            r#"{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"he"}}}"#,
            r#"{"type":"assistant","parent_tool_use_id":null,"message":{"content":[{"type":"text","text":"hello"},{"type":"tool_use","name":"Bash"}]}}"#,
            r#"{"type":"assistant","parent_tool_use_id":"t1","message":{"content":[{"type":"text","text":"a subagent"}]}}"#,
            r#"{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"edfb"}"#,
        ];
        assert_eq!(read("claude", &lines[..2]).0.answer(), "he");
        let (working, heard) = read("claude", &lines[..4]);
        assert_eq!((working.answer(), working.doing().as_deref()), ("hello", Some("uses Bash")));
        assert_eq!(heard[0].event_type, "system.init");
        let (stream, _) = read("claude", &lines);
        assert_eq!((stream.session(), stream.answer(), stream.ended()), (Some("edfb"), "done", Some(true)));
    }

    #[test]
    fn kimi_as_it_prints() {
        let (stream, _) = read(
            "kimi",
            &[
                r#"{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"Bash"}}]}"#,
                r#"{"role":"tool","content":"hi\n"}"#,
                r#"{"role":"assistant","content":"done"}"#,
                r#"{"role":"meta","type":"session.resume_hint","session_id":"session_85"}"#,
            ],
        );
        assert_eq!((stream.session(), stream.answer(), stream.ended()), (Some("session_85"), "done", Some(true)));
    }

    proptest::proptest! {
        #[test]
        fn no_line_stops_it(bytes: Vec<u8>, text: String) {
            for tool in ["claude", "codex", "gemini", "kimi"] {
                let mut stream = Stream::new(definition(tool));
                stream.line(&bytes);
                let line = serde_json::json!({"type": "assistant", "role": "assistant", "message": {"content": text},
                    "content": text, "session_id": text, "item": {"type": text}});
                stream.line(line.to_string().as_bytes());
                proptest::prop_assert!(stream.session().is_none_or(|id| id.len() <= MAX_WORD_BYTES));
            }
        }
    }
}
