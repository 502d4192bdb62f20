//! The definitions in force: the shipped ones, and the user's in place of them.

use super::{GENERIC, Tool};
use crate::error::Error;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The definitions that come with the program.
pub(super) const SHIPPED: &[(&str, &str)] = &[
    ("aider", include_str!("aider.toml")),
    ("claude", include_str!("claude.toml")),
    ("codex", include_str!("codex.toml")),
    ("gemini", include_str!("gemini.toml")),
    ("generic", include_str!("generic.toml")),
    ("kimi", include_str!("kimi.toml")),
    ("opencode", include_str!("opencode.toml")),
    ("qwen", include_str!("qwen.toml")),
    ("stand-in", include_str!("stand-in.toml")),
];

/// The definitions in force, by name. A shipped one is read when it is first asked for: programs that nobody runs
/// cost nothing.
#[derive(Debug, Clone)]
pub struct Tools(BTreeMap<String, Definition>);

#[derive(Debug, Clone)]
struct Definition {
    text: Cow<'static, str>,
    tool: OnceLock<Arc<Tool>>,
}

impl Tools {
    /// The shipped definitions, each replaced by the user's file of the same
    /// name where there is one. `overrides` are (path, text); what is wrong with
    /// one is returned beside the tools and the shipped definition stays in force.
    pub fn with_overrides(overrides: &[(String, String)]) -> (Self, Vec<Error>) {
        let shipped = |(name, text): &(&str, &'static str)| {
            ((*name).to_owned(), Definition { text: (*text).into(), tool: OnceLock::new() })
        };
        let mut tools = Self(SHIPPED.iter().map(shipped).collect());
        let mut errors = Vec::new();
        for (origin, text) in overrides {
            match Tool::parse(text, origin).and_then(|tool| tool.check(origin).map(|()| tool)) {
                Ok(tool) => {
                    let name = tool.name.clone();
                    let tool = OnceLock::from(tools.complete(tool));
                    tools.0.insert(name, Definition { text: text.clone().into(), tool });
                }
                Err(error) => errors.push(error),
            }
        }
        (tools, errors)
    }

    /// The definition of `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Tool>> {
        match self.0.get(name) {
            Some(definition) => Some(self.read(definition)),
            None => self.iter().find(|tool| tool.aliases.iter().any(|alias| alias == name)),
        }
    }

    /// The definition of `name`, or the one that stands for every other program.
    pub fn get_or_generic(&self, name: &str) -> &Arc<Tool> {
        self.get(name).unwrap_or_else(|| self.read(&self.0[GENERIC]))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tool>> {
        self.0.values().map(|definition| self.read(definition))
    }

    /// Their names and texts, without reading any.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, definition)| (name.as_str(), definition.text.as_ref()))
    }

    fn read<'a>(&'a self, definition: &'a Definition) -> &'a Arc<Tool> {
        definition.tool.get_or_init(|| {
            let tool = Tool::parse(&definition.text, "that is shipped");
            self.complete(tool.unwrap_or_else(|error| unreachable!("a test reads every shipped definition: {error}")))
        })
    }

    /// A tool with what it falls back to.
    fn complete(&self, mut tool: Tool) -> Arc<Tool> {
        if tool.has_rules() && tool.name != GENERIC {
            tool.last_resort = Some(self.read(&self.0[GENERIC]).clone());
        }
        Arc::new(tool)
    }
}
