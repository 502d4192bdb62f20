//! From written bytes to a typed command. Nothing here knows whether the agent
//! exists or how the command is carried out; a write is understood whole or
//! refused whole.

mod adopt;
mod draft;
mod gc;
mod launch;
mod verb;

pub use adopt::Adopt;
pub use draft::{Draft, MAX_PROMPT_BYTES};
pub use gc::{DEFAULT_AGE, Gc, age};
pub use launch::Launch;
pub use verb::{AGENT_VERBS, TROOP_VERBS, TroopVerb, Verb, VerbDoc, agent_verbs, troop_verbs};

use crate::error::{Error, Kind, Result};
use crate::model::AgentId;
pub use crate::model::name::check_queue_name;

/// The most key names in one write of `keys`.
pub const MAX_KEYS: usize = 256;
/// The most bytes in one write of `control` or `keys`.
pub const MAX_CONTROL_BYTES: usize = 16 << 10;

/// One thing somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Deliver a prompt.
    Prompt {
        /// To whom.
        agent: AgentId,
        /// The text, without its final newline.
        text: String,
    },
    /// Change the queue of an agent.
    Queue {
        /// Whose.
        agent: AgentId,
        /// How.
        change: QueueChange,
    },
    /// Run verbs on one agent, in order.
    Control {
        /// On whom.
        agent: AgentId,
        /// What.
        verbs: Vec<Verb>,
    },
    /// Press keys, in order.
    Keys {
        /// On whose terminal.
        agent: AgentId,
        /// Names of keys, checked by the terminal's driver.
        keys: Vec<String>,
    },
    /// Run verbs for the whole troop, in order.
    Troop {
        /// What.
        verbs: Vec<TroopVerb>,
    },
    /// Retire the record of an agent that is gone or stopped.
    Retire {
        /// Whose.
        agent: AgentId,
    },
    /// Record that something was refused before it could become a command.
    Refused {
        /// On whom; none for the whole troop.
        agent: Option<AgentId>,
        /// What was attempted: the file's name.
        what: String,
        /// Why not.
        error: Error,
    },
}

/// A change of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueChange {
    /// A prompt is to wait under that name, in place of one that has it.
    Put {
        /// The name.
        name: String,
        /// The text.
        text: String,
    },
    /// A prompt is not to be delivered.
    Remove {
        /// Its name.
        name: String,
    },
    /// A prompt gets another name, and with it another place.
    Rename {
        /// What it was.
        from: String,
        /// What it is to be.
        to: String,
    },
}

impl Command {
    /// Start one agent.
    pub fn launch(launch: Launch) -> Self {
        Self::Troop { verbs: vec![TroopVerb::Launch(Box::new(launch))] }
    }

    /// Register one agent that runs already.
    pub fn adopt(adopt: Adopt) -> Self {
        Self::Troop { verbs: vec![TroopVerb::Adopt(adopt)] }
    }

    /// The agent it concerns.
    pub fn agent(&self) -> Option<&AgentId> {
        match self {
            Self::Prompt { agent, .. }
            | Self::Queue { agent, .. }
            | Self::Control { agent, .. }
            | Self::Keys { agent, .. }
            | Self::Retire { agent } => Some(agent),
            Self::Refused { agent, .. } => agent.as_ref(),
            Self::Troop { .. } => None,
        }
    }

    /// The word for it in refusals.
    pub fn what(&self) -> &str {
        match self {
            Self::Prompt { .. } => "prompt",
            Self::Queue { .. } => "queue",
            Self::Control { .. } => "control",
            Self::Keys { .. } => "keys",
            Self::Troop { .. } => "control",
            Self::Retire { .. } => "retire",
            Self::Refused { what, .. } => what,
        }
    }
}

/// Key names, one a line.
pub fn keys(bytes: &[u8]) -> Result<Vec<String>> {
    let keys: Vec<String> =
        control_text(bytes)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if keys.is_empty() {
        return Err(Error::new(Kind::Invalid, "no key was named; write one a line, such as Enter, Escape, Up or C-c"));
    }
    if keys.len() > MAX_KEYS {
        return Err(Error::new(Kind::TooLarge, format!("{} keys at once; {MAX_KEYS} is the limit", keys.len())));
    }
    Ok(keys)
}

/// `bytes` as the text of a control file.
pub(crate) fn control_text(bytes: &[u8]) -> Result<&str> {
    if bytes.len() > MAX_CONTROL_BYTES {
        return Err(Error::new(
            Kind::TooLarge,
            format!("{} bytes of control; {MAX_CONTROL_BYTES} is the limit", bytes.len()),
        ));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::new(Kind::Invalid, "that is not UTF-8; write verbs as text, one a line"))?;
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        return Err(Error::new(
            Kind::Invalid,
            "control characters are not allowed here; write verbs as text, one a line",
        ));
    }
    Ok(text)
}
