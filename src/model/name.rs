//! Names and ids of agents (contract, section 4.8; Houmao 2.4.0, section 1.6 of
//! the reference).

use crate::error::{Error, Kind, Result};
use std::fmt;
use std::sync::Arc;

/// The longest name that troop gives an agent, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// A name a person chose: `[A-Za-z0-9][A-Za-z0-9_-]*`, at most [`MAX_NAME_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(String);

impl AgentName {
    /// The name, or the sentence that says why it cannot be one.
    pub fn new(name: &str) -> Result<Self> {
        if name.len() > MAX_NAME_BYTES {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "the name is {} bytes long and {MAX_NAME_BYTES} is the limit; choose a shorter one",
                    name.len()
                ),
            ));
        }
        if !is_registry_token(name) {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{name:?} cannot be an agent's name; use letters, digits, '_' and '-', beginning with a letter or digit"
                ),
            ));
        }
        let reserved = name.to_ascii_lowercase();
        if reserved.strip_prefix("houmao").is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric())) {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{name:?} cannot be an agent's name, because Houmao keeps names that begin with its own for sessions; choose another"
                ),
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The registry's key of an agent: the name of its directory under `live_agents/`.
/// Its text is shared, because whatever is known of an agent is kept under it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub Arc<str>);

impl AgentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight characters, enough for people to tell two agents apart.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is what the registry accepts as a name or id:
/// `^[A-Za-z0-9][A-Za-z0-9_-]*$`, of any length.
pub fn is_registry_token(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether `name` can be the name of a tool or of a profile: it becomes a file's, a directory's or an argument's.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The longest name of a queued prompt, in bytes; a directory's limit is 255.
pub const MAX_QUEUED_NAME: usize = 200;

/// Whether a queued prompt may have that name; the sentence why not.
pub fn check_queue_name(name: &str) -> Result<()> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(|c: char| c == '/' || c.is_control());
    if plain && name.len() <= MAX_QUEUED_NAME {
        return Ok(());
    }
    Err(Error::new(
        Kind::Invalid,
        format!(
            "{name:?} cannot be a queued prompt's name; use at most {MAX_QUEUED_NAME} bytes without '/' and control characters"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract() {
        for good in ["a", "alice", "A-1_b", "0", &"x".repeat(64), "houmaobot"] {
            assert!(AgentName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "a b", "a/b", "..", ".", "ä", "a\n", "HOUMAO", "houmao-x", &"x".repeat(65)] {
            assert!(AgentName::new(bad).is_err(), "{bad}");
        }
    }
}
