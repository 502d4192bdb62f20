//! Which of its conversations a program starts with (seed `session-lifecycle`, "Relaunching a session").

use crate::error::{Error, Kind, Result};
use std::fmt;

/// The longest id of a conversation that is handed to a program, in bytes. Those seen are UUIDs.
const MAX_ID_BYTES: usize = 128;

/// The conversation that a program goes on with when it is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ChatSession {
    /// A new one.
    #[default]
    New,
    /// The last one of its directory; what happens when there is none is the program's own way.
    Last,
    /// The one with that id, which is the program's own.
    Exact(String),
}

impl ChatSession {
    /// From the words after `relaunch`: none, `new`, `last`, or `exact ID`; nothing when they are none of these.
    /// [`Kind::Invalid`] for an id that could be taken for an option or for more than one argument.
    pub fn parse(words: &[&str]) -> Result<Option<Self>> {
        match words {
            [] | ["new"] => Ok(Some(Self::New)),
            ["last"] => Ok(Some(Self::Last)),
            ["exact", id] => Self::exact(id).map(Some),
            _ => Ok(None),
        }
    }

    /// From the word after `--resume`: `last`, `new`, or an id. [`Kind::Invalid`] as in [`ChatSession::exact`].
    pub fn resumed(word: &str) -> Result<Self> {
        match word {
            "new" => Ok(Self::New),
            "last" => Ok(Self::Last),
            id => Self::exact(id),
        }
    }

    /// Whether it is one that was begun before.
    pub fn is_resumed(&self) -> bool {
        *self != Self::New
    }

    /// The conversation with that id.
    pub fn exact(id: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if !id.is_empty() && id.len() <= MAX_ID_BYTES && !id.starts_with('-') && id.chars().all(plain) {
            return Ok(Self::Exact(id.to_owned()));
        }
        Err(Error::new(
            Kind::Invalid,
            format!("{id:?} cannot be a conversation's id; give the id that the program itself shows or keeps"),
        ))
    }
}

impl fmt::Display for ChatSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Last => f.write_str("last"),
            Self::Exact(id) => write!(f, "exact {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for chat in [ChatSession::New, ChatSession::Last, ChatSession::Exact("0a-1.b:c".to_owned())] {
            let text = chat.to_string();
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(ChatSession::parse(&words).unwrap(), Some(chat));
        }
        assert_eq!(ChatSession::parse(&[]).unwrap(), Some(ChatSession::New));
        assert_eq!(ChatSession::parse(&["exact"]).unwrap(), None);
        assert_eq!(ChatSession::parse(&["latest"]).unwrap(), None);
        assert_eq!(ChatSession::resumed("last").unwrap(), ChatSession::Last);
        assert_eq!(ChatSession::resumed("0a").unwrap(), ChatSession::Exact("0a".to_owned()));
        assert!(ChatSession::resumed("--last").is_err() && !ChatSession::resumed("new").unwrap().is_resumed());
    }

    #[test]
    fn an_id_cannot_be_an_option_or_two_arguments() {
        for bad in ["", "-x", "--last", "a b", "a\nb", "a;b", "../x", &"x".repeat(129)] {
            assert!(ChatSession::exact(bad).is_err(), "{bad}");
        }
    }
}
