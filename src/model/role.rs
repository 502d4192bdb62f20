//! The role of an agent: the words its program is told before anybody prompts it (the reference, section 2.4).

/// How a program is told its role. The words are Houmao's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleMethod {
    /// As an argument that adds to its own system prompt; `claude --append-system-prompt`.
    NativeAppendSystemPrompt,
    /// As an argument that gives the developer's instructions; `codex -c developer_instructions=...`.
    NativeDeveloperInstructions,
    /// As a file in its home, or one that a variable names.
    NativeHomeSystemPrompt,
    /// As the first prompt.
    BootstrapMessage,
}

impl RoleMethod {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NativeAppendSystemPrompt => "native_append_system_prompt",
            Self::NativeDeveloperInstructions => "native_developer_instructions",
            Self::NativeHomeSystemPrompt => "native_home_system_prompt",
            Self::BootstrapMessage => "bootstrap_message",
        }
    }
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name: a directory under the agent's definition.
    pub name: String,
    /// What the program is told.
    pub text: String,
}
