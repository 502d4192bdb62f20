//! How a program runs one turn as one process: its arguments, how the prompt goes in, and what the lines say that it
//! prints. `[headless]` in its definition.

use crate::model::ChatSession;
use crate::model::record::Backend;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What stands in an argument for the file with the prompt.
const FILE: &str = "{prompt_file}";
/// What stands in an argument for the id of the program's own session.
const ID: &str = "{id}";

/// How turns are run. It goes into the file that tells the runner what to do, so that the runner needs no definitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headless {
    /// What records and manifests call it; the word is Houmao's.
    pub backend: Backend,
    /// The word of our own where Houmao has none for this program; it stands in `launch_plan.metadata`.
    #[serde(default)]
    pub own_backend: Option<String>,
    /// The arguments of the first turn, behind those of the launch.
    pub args: Vec<String>,
    /// Those that go on with the last session of the directory.
    #[serde(default)]
    pub last: Vec<String>,
    /// Those that go on with the session `{id}`.
    pub exact: Vec<String>,
    /// How the prompt goes in. Never as an argument, which everybody could read.
    pub prompt: PromptWay,
    /// The signal that ends a turn.
    pub interrupt: Interrupting,
    /// What its lines say.
    pub event: Vec<EventRule>,
}

/// How the prompt goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptWay {
    /// On standard input.
    Stdin,
    /// In a file that `{prompt_file}` in an argument names.
    File,
}

/// The signal that a program takes for an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interrupting {
    /// What Ctrl-C sends.
    #[serde(rename = "SIGINT")]
    Int,
    /// A request to end.
    #[serde(rename = "SIGTERM")]
    Term,
}

/// What one kind of line says. Where something stands in it is a JSON pointer (RFC 6901).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventRule {
    /// The line is of this kind when at each pointer stands that word.
    pub when: BTreeMap<String, String>,
    /// The line is not of this kind when anything but null stands there.
    pub unless: Option<String>,
    /// Where the program's name for its session stands.
    pub session: Option<String>,
    /// Where more of the message that is being said stands.
    pub delta: Option<String>,
    /// Where a whole message stands: words, or a list of parts of which those of type `text` count.
    pub text: Option<String>,
    /// Where the answer stands that is the last word of the turn.
    pub answer: Option<String>,
    /// Where the name of a tool stands that is used: a word, or a list of parts of which the last with a `name` counts.
    pub tool: Option<String>,
    /// Where the sentence of an error stands. A line with one does not end the turn by itself.
    pub error: Option<String>,
    /// The line is the last of the turn.
    pub ends: bool,
    /// The turn that it ends has failed: always, or when `true` stands at the pointer.
    pub failed: Option<Failed>,
}

/// When a turn has failed that a line ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Failed {
    /// Always, or never.
    Always(bool),
    /// When `true` stands there.
    At(String),
}

impl Headless {
    /// What is wrong with it, if anything is.
    pub(super) fn check(&self) -> Result<(), String> {
        if !matches!(self.backend, Backend::ClaudeHeadless | Backend::CodexHeadless | Backend::KimiHeadless) {
            return Err(format!("has a [headless] whose backend is {}, which is not headless", self.backend.as_str()));
        }
        let named = |args: &[String]| args.iter().any(|arg| arg.contains(FILE));
        let wants = self.prompt == PromptWay::File;
        if [&self.args, &self.exact].iter().any(|args| named(args) != wants) {
            return Err(format!("has a [headless] whose args do not fit its prompt; {FILE} stands for its file"));
        }
        if !self.exact.iter().any(|arg| arg.contains(ID)) {
            return Err(format!("has a [headless] that goes on with no session; {ID} stands for it in exact"));
        }
        let mut pointers = self.event.iter().flat_map(EventRule::pointers);
        if let Some(bad) = pointers.find(|pointer| !pointer.starts_with('/')) {
            return Err(format!("has a [[headless.event]] with {bad:?}, which is no JSON pointer; begin it with '/'"));
        }
        if !self.event.iter().any(|rule| rule.ends) {
            return Err("has a [headless] of which no event ends a turn".to_owned());
        }
        Ok(())
    }

    /// The arguments of a turn that goes on with `chat`, its prompt in `prompt_file`. Where the program
    /// cannot go on with the last session of a directory it begins a new one.
    pub fn arguments(&self, chat: &ChatSession, prompt_file: &str) -> Vec<String> {
        let (args, id) = match chat {
            ChatSession::Exact(id) => (&self.exact, id.as_str()),
            ChatSession::Last if !self.last.is_empty() => (&self.last, ""),
            ChatSession::Last | ChatSession::New => (&self.args, ""),
        };
        args.iter().map(|arg| arg.replace(ID, id).replace(FILE, prompt_file)).collect()
    }
}

impl EventRule {
    fn pointers(&self) -> impl Iterator<Item = &String> {
        let failed = match &self.failed {
            Some(Failed::At(pointer)) => Some(pointer),
            _ => None,
        };
        let fields = [&self.unless, &self.session, &self.delta, &self.text, &self.answer, &self.tool, &self.error];
        fields.into_iter().flatten().chain(self.when.keys()).chain(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tools;

    #[test]
    fn a_conversation_is_gone_on_with() {
        let (tools, _) = Tools::with_overrides(&[]);
        let codex = tools.get("codex").unwrap().headless.as_ref().unwrap();
        let exact = codex.arguments(&ChatSession::Exact("7-a".to_owned()), "/p");
        assert!(exact.contains(&"7-a".to_owned()) && exact.contains(&"--json".to_owned()), "{exact:?}");
        assert!(!codex.arguments(&ChatSession::New, "/p").contains(&"resume".to_owned()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let base = r#"
            backend = "claude_headless"
            args = ["-p"]
            exact = ["--resume", "{id}"]
            prompt = "stdin"
            interrupt = "SIGINT"
            event = [{ when = { "/type" = "result" }, ends = true }]"#;
        let read = |text: &str| toml::from_str::<Headless>(text).map_err(|e| e.to_string()).and_then(|h| h.check());
        read(base).unwrap();
        for (what, instead) in [
            ("claude_headless", "local_interactive"),
            ("\"{id}\"", "\"x\""),
            ("\"stdin\"", "\"file\""),
            ("\"/type\"", "\"type\""),
            ("ends = true", "ends = false"),
        ] {
            assert!(read(&base.replace(what, instead)).is_err(), "{instead}");
        }
    }
}
