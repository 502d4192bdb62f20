//! The command line that a program is started with: its own words, then the conversation it goes on with, then its role.

use super::{Hooks, Tool};
use crate::error::{Error, Kind, Result};
use crate::model::{ChatSession, Role, RoleMethod};
use serde::Deserialize;

/// The longest role that is handed over as an argument, in bytes: the kernel takes 128 KiB for one argument.
pub const MAX_ROLE_BYTES: usize = 96 << 10;

/// The longest argument that a program can be started with, in bytes: Linux takes 32 pages, the final NUL included.
const MAX_ARGUMENT_BYTES: usize = (128 << 10) - 1;

/// How a program is told its role: `[role]` in its definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleWay {
    /// In what way.
    pub method: RoleMethod,
    /// For the ways by argument: the arguments, `{role}` for the text, `{json}` for the text as a JSON string.
    #[serde(default)]
    pub args: Vec<String>,
}

impl RoleWay {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let by_argument =
            matches!(self.method, RoleMethod::NativeAppendSystemPrompt | RoleMethod::NativeDeveloperInstructions);
        let names_text = self.args.iter().any(|arg| arg.contains("{role}") || arg.contains("{json}"));
        if by_argument != names_text {
            return Err(
                "has a [role] whose args do not fit its method; {role} or {json} stands for its text".to_owned()
            );
        }
        // Such a file would stand in the person's own home, for every program that is started there.
        if self.method == RoleMethod::NativeHomeSystemPrompt {
            return Err("has a [role] by a file in the program's home; use bootstrap_message".to_owned());
        }
        Ok(())
    }
}

impl Tool {
    /// The command line of a start: `base` is the program and its own words, then come the hooks if it has them for this
    /// start, the conversation, and the role where that is told by arguments. [`Kind::Unsupported`] when the program
    /// cannot go on with a conversation, or has no way to be told a role.
    pub fn argv(
        &self,
        base: &[String],
        has_hooks: bool,
        role: Option<&Role>,
        chat: &ChatSession,
    ) -> Result<Vec<String>> {
        let mut argv = base.to_vec();
        argv.extend(self.hooks.iter().filter(|_| has_hooks).flat_map(Hooks::args));
        argv.extend(self.chat_args(chat)?);
        if let Some(role) = role {
            argv.extend(self.role_args(role)?);
        }
        Ok(argv)
    }

    /// How it is told a role. [`Kind::Unsupported`] when it has no way.
    pub fn role_way(&self) -> Result<RoleMethod> {
        self.role.as_ref().map(|way| way.method).ok_or_else(|| {
            Error::new(Kind::Unsupported, format!("{} has no way to be told a role; leave it out", self.name))
        })
    }

    /// The arguments for that conversation. [`Kind::Unsupported`] when the program cannot go on with it.
    pub fn chat_args(&self, chat: &ChatSession) -> Result<Vec<String>> {
        let (args, id) = match chat {
            ChatSession::New => return Ok(Vec::new()),
            ChatSession::Last => (&self.resume_last, ""),
            ChatSession::Exact(id) => (&self.resume_exact, id.as_str()),
        };
        if args.is_empty() {
            let which = if id.is_empty() { "its last conversation" } else { "a conversation by its id" };
            return Err(Error::new(
                Kind::Unsupported,
                format!("{} cannot go on with {which}; start it with a new one", self.name),
            ));
        }
        Ok(args.iter().map(|arg| arg.replace("{id}", id)).collect())
    }

    /// The arguments that tell a role; none where it is told as the first prompt. As [`Tool::argv`] otherwise.
    pub fn role_args(&self, role: &Role) -> Result<Vec<String>> {
        self.role_way()?;
        if role.text.len() > MAX_ROLE_BYTES {
            return Err(Error::new(
                Kind::TooLarge,
                format!("the role {} is longer than {MAX_ROLE_BYTES} bytes; make it shorter", role.name),
            ));
        }
        let json = serde_json::Value::from(role.text.as_str()).to_string();
        // One after the other would fill in what the text itself says.
        let filled = |arg: &String| match arg.split_once("{json}") {
            Some((before, after)) => format!("{before}{json}{after}"),
            None => arg.replace("{role}", &role.text),
        };
        let args: Vec<String> = self.role.iter().flat_map(|way| way.args.iter().map(filled)).collect();
        // What has to be escaped grows.
        if args.iter().any(|arg| arg.len() > MAX_ARGUMENT_BYTES) {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "the role {} is longer than {} takes on its command line; make it shorter",
                    role.name, self.name
                ),
            ));
        }
        Ok(args)
    }

    /// The arguments that choose a model. [`Kind::Unsupported`] when the program has none.
    pub fn model_args(&self, model: &str) -> Result<Vec<String>> {
        if self.model_args.is_empty() {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{} takes no model on its command line; leave it out", self.name),
            ));
        }
        Ok(self.model_args.iter().map(|arg| arg.replace("{model}", model)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tools;

    fn argv(tool: &str, role: Option<&str>, chat: &ChatSession) -> Result<Vec<String>> {
        let (tools, _) = Tools::with_overrides(&[]);
        let role = role.map(|text| Role { name: "r".to_owned(), text: text.to_owned() });
        tools.get(tool).unwrap().argv(&[tool.to_owned(), "-x".to_owned()], false, role.as_ref(), chat)
    }

    #[test]
    fn each_program_is_told_in_its_own_way() {
        let exact = ChatSession::Exact("7".to_owned());
        assert_eq!(
            argv("claude", Some("Be {role} \"brief\""), &ChatSession::New).unwrap(),
            ["claude", "-x", "--append-system-prompt", "Be {role} \"brief\""]
        );
        assert_eq!(
            argv("codex", Some("two\nlines"), &exact).unwrap(),
            ["codex", "-x", "resume", "7", "-c", "developer_instructions=\"two\\nlines\""]
        );
        assert_eq!(
            argv("codex", Some("{role} {json}"), &ChatSession::New).unwrap()[2..],
            ["-c", "developer_instructions=\"{role} {json}\""]
        );
        for typed in ["kimi", "gemini", "qwen", "opencode", "aider"] {
            assert_eq!(argv(typed, Some("x"), &ChatSession::New).unwrap(), [typed, "-x"]);
        }
        assert_eq!(argv("claude", None, &ChatSession::Last).unwrap(), ["claude", "-x", "--continue"]);
    }

    #[test]
    fn what_a_program_cannot_do_is_refused() {
        assert_eq!(argv("aider", None, &ChatSession::Exact("7".to_owned())).unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(argv("generic", Some("x"), &ChatSession::New).unwrap_err().kind(), Kind::Unsupported);
        let long = "x".repeat(MAX_ROLE_BYTES + 1);
        assert_eq!(argv("claude", Some(&long), &ChatSession::New).unwrap_err().kind(), Kind::TooLarge);
        let escaped = "\n".repeat(MAX_ROLE_BYTES - 1);
        assert!(argv("claude", Some(&escaped), &ChatSession::New).is_ok());
        assert_eq!(argv("codex", Some(&escaped), &ChatSession::New).unwrap_err().kind(), Kind::TooLarge);
        let (tools, _) = Tools::with_overrides(&[]);
        assert_eq!(tools.get("codex").unwrap().model_args("m").unwrap(), ["--model", "m"]);
        assert_eq!(tools.get("generic").unwrap().model_args("m").unwrap_err().kind(), Kind::Unsupported);
    }
}
