//! The log that a program keeps of its conversation: how it is written, where it lies, and how it is known which of
//! several belongs to one process.

use super::own_home::{OwnHome, below_home};
use crate::model::transcript::Format;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What stands for the session in the pattern.
const SESSION: &str = "{session}";
/// What stands for the process in the path of a session file.
const PID: &str = "{pid}";
/// The longest name of a session.
const MAX_SESSION_NAME: usize = 128;

/// One kind of log, as a definition describes it. A tool may have several: the first that is certain is taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranscriptFile {
    /// How it is written.
    pub format: Format,
    /// How it is known whose it is.
    pub by: By,
    home: Option<OwnHome>,
    /// The logs of all sessions: a pattern, in which `*` stands for any part of one name.
    files: Option<String>,
    session: Option<SessionFile>,
    argument: Option<String>,
}

/// How it is known which log belongs to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The process keeps a file that names its session.
    Session,
    /// A hook of this launch has reported the log's path.
    Hook,
    /// The process has the log open and writes to it.
    Open,
    /// The log alone holds the prompt that was given to the process last, not older than that.
    Prompt,
    /// An argument of the process is followed by the log's path.
    Argument,
}

/// The file that names a process's session: JSON, one object, one file a process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionFile {
    file: String,
    /// The key of the process's start time, in clock ticks since boot, whatever stands before its last colon.
    pid_start: String,
    id: String,
}

impl TranscriptFile {
    /// The program's own home; `variable` reads its environment, `open` says which files it has open.
    pub fn home(
        &self,
        variable: impl Fn(&str) -> Option<PathBuf>,
        open: impl FnOnce() -> Vec<PathBuf>,
    ) -> Option<PathBuf> {
        self.home.as_ref()?.find(variable, open)
    }

    /// The pattern of the logs of all sessions.
    pub fn files(&self, home: &Path) -> Option<PathBuf> {
        Some(home.join(below_home(self.files.as_ref()?)?.replace(SESSION, "*")))
    }

    /// The pattern of the logs of one session.
    pub fn files_of(&self, home: &Path, session: &str) -> Option<PathBuf> {
        Some(home.join(below_home(self.files.as_ref()?)?.replace(SESSION, session)))
    }

    /// Where the process with that id names its session.
    pub fn session_file(&self, home: &Path, pid: i32) -> Option<PathBuf> {
        Some(home.join(below_home(&self.session.as_ref()?.file)?.replace(PID, &pid.to_string())))
    }

    /// The session that these bytes name, when a process that started then (field 22 of `/proc/PID/stat`) has written
    /// them. A name that could lead elsewhere is none.
    pub fn session(&self, bytes: &[u8], start_time: u64) -> Option<String> {
        let keys = self.session.as_ref()?;
        let file: Value = serde_json::from_slice(bytes).ok()?;
        let started: u64 = match file.get(&keys.pid_start)? {
            Value::String(text) => text.rsplit(':').next()?.parse().ok()?,
            number => number.as_u64()?,
        };
        let id = file.get(&keys.id)?.as_str()?;
        let is_name = (1..=MAX_SESSION_NAME).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (is_name && started == start_time).then(|| id.to_owned())
    }

    /// The path that stands behind the argument, as it was given.
    pub fn argument<'a>(&self, argv: &'a [String]) -> Option<&'a Path> {
        let name = self.argument.as_ref()?;
        let after = argv.iter().position(|argument| argument == name).and_then(|at| argv.get(at + 1));
        let joined = || argv.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        after.map(String::as_str).or_else(joined).filter(|path| !path.is_empty()).map(Path::new)
    }

    /// What is wrong with the definition, if anything is.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.by == By::Argument {
            return match self.argument.as_deref() {
                Some(name) if name.starts_with('-') => Ok(()),
                _ => Err("binds its transcript by an argument; name one, as in argument = \"--log\"".to_owned()),
            };
        }
        let files = self.files.as_deref().unwrap_or_default();
        let of_session = files.contains(SESSION) == (self.by == By::Session);
        let is_right = self.home.as_ref().is_some_and(OwnHome::is_right);
        if !is_right || below_home(files).is_none_or(str::is_empty) || !of_session {
            let name = if self.by == By::Session { SESSION } else { "*" };
            return Err(format!(
                "keeps its transcripts at {files:?}; write files = \"{{home}}/DIRECTORY/{name}.jsonl\" and home = {{ env, default }}"
            ));
        }
        let session = self.session.as_ref().map(|session| below_home(&session.file).is_some_and(|it| it.contains(PID)));
        match (self.by, session) {
            (By::Session, Some(true)) => Ok(()),
            (By::Session, _) => Err(format!(
                "binds its transcript by a session; write session = {{ file = \"{{home}}/DIRECTORY/{PID}.json\", pid_start, id }}"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tool: &str) -> Vec<TranscriptFile> {
        let (tools, _) = crate::tool::Tools::with_overrides(&[]);
        tools.get(tool).unwrap().transcripts.clone()
    }

    fn home(file: &TranscriptFile, set: &[(&str, &str)]) -> Option<PathBuf> {
        file.home(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()), Vec::new)
    }

    #[test]
    fn claude_names_its_session() {
        let claude = &of("claude")[0];
        let root = home(claude, &[("HOME", "/h")]).unwrap();
        assert_eq!(claude.session_file(&root, 7), Some("/h/.claude/sessions/7.json".into()));
        let text = br#"{"pid":7,"sessionId":"cbcad94c-66d5","cwd":"/p","procStart":"412525"}"#;
        assert_eq!(claude.session(text, 412_525).as_deref(), Some("cbcad94c-66d5"));
        assert_eq!(claude.session(text, 1), None);
        assert_eq!(claude.files_of(&root, "cbcad94c-66d5"), Some("/h/.claude/projects/*/cbcad94c-66d5.jsonl".into()));
        for id in ["", "../x", "a/b", "*"] {
            let text = format!(r#"{{"sessionId":"{id}","procStart":"1"}}"#);
            assert_eq!(claude.session(text.as_bytes(), 1), None, "{id}");
        }
    }

    #[test]
    fn qwen_writes_where_it_booted_before_its_start() {
        let qwen = &of("qwen")[0];
        let text = br#"{"procStart":"8a5c7eee-4cf3:2331279","sessionId":"c59b05d3"}"#;
        assert_eq!(qwen.session(text, 2_331_279).as_deref(), Some("c59b05d3"));
    }

    #[test]
    fn patterns_of_the_others() {
        let pattern = |tool: &str, at: usize| {
            let file = &of(tool)[at];
            file.files(&home(file, &[("HOME", "/h")]).unwrap()).unwrap()
        };
        assert_eq!(pattern("codex", 0), Path::new("/h/.codex/sessions/*/*/*/rollout-*.jsonl"));
        assert_eq!(pattern("gemini", 0), Path::new("/h/.gemini/tmp/*/chats/session-*.jsonl"));
        assert_eq!(pattern("kimi", 0), Path::new("/h/.kimi/sessions/*/*/wire.jsonl"));
        assert_eq!(pattern("kimi", 1), Path::new("/h/.kimi-code/sessions/*/*/agents/main/wire.jsonl"));
    }

    #[test]
    fn an_argument_names_it() {
        let file = &of("stand-in")[0];
        let argv = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(file.argument(&argv("troop stand-in --transcript /a b")), Some(Path::new("/a")));
        assert_eq!(file.argument(&argv("troop stand-in --transcript=/a")), Some(Path::new("/a")));
        assert_eq!(file.argument(&argv("troop stand-in --transcript")), None);
        assert_eq!(file.argument(&argv("troop --transcripts /a")), None);
    }

    #[test]
    fn a_mistake_in_a_definition_is_said() {
        let claude = &of("claude")[0];
        for files in ["/etc/{session}", "{home}/../{session}", "{home}/x.jsonl", "{home}/"] {
            let wrong = TranscriptFile { files: Some(files.into()), ..claude.clone() };
            assert!(wrong.check().unwrap_err().contains("write files ="), "{files}");
        }
        assert!(TranscriptFile { session: None, ..claude.clone() }.check().unwrap_err().contains("session = {"));
        assert!(TranscriptFile { home: None, ..claude.clone() }.check().is_err());
        assert!(TranscriptFile { by: By::Argument, ..claude.clone() }.check().unwrap_err().contains("name one"));
    }
}
