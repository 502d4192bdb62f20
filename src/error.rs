//! What can go wrong, in the words of the person who asked for it.
//!
//! An [`Error`] is one sentence (what was refused, why, and what to do instead)
//! and a [`Kind`] for programs. The kind becomes an errno in `fuse::errno` and
//! an exit code in `cli::exit`, and nowhere else.

use std::fmt;

/// The result of everything here that can be refused.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something was refused, as far as a program needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The agent is active, blocked, pending, or a person's draft is in its composer.
    Busy,
    /// The agent's program or session has ended.
    Gone,
    /// The bytes or arguments are wrong: unknown verb, not UTF-8, control bytes.
    Invalid,
    /// More bytes than the named limit allows.
    TooLarge,
    /// Not something one writes, makes or removes here.
    NotPermitted,
    /// A queue is full; the same request may succeed later.
    Full,
    /// This kind of agent cannot do that.
    Unsupported,
    /// No such agent, tool or file.
    NotFound,
    /// The name is taken.
    Exists,
    /// Several agents answer to that name.
    Ambiguous,
    /// A named deadline passed.
    TimedOut,
    /// Something this machine lacks: tmux, `/dev/fuse`, a program, a permission.
    Unavailable,
    /// A file that others write could not be understood.
    Malformed,
    /// Reading or writing failed.
    Io,
}

/// One refusal or failure: a kind for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    sentence: String,
}

impl Error {
    /// `sentence` says what was refused, why, and what to do instead, without a
    /// leading capital or a final full stop.
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into() }
    }

    /// An I/O error with what was being done when it happened.
    pub fn io(doing: impl fmt::Display, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            std::io::ErrorKind::TimedOut => Kind::TimedOut,
            _ => Kind::Io,
        };
        let said = error.to_string();
        // The number behind the words tells a person nothing.
        let words = said.split_once(" (os error ").map_or(said.as_str(), |(words, _)| words);
        let advice = if error.kind() == std::io::ErrorKind::StorageFull { "; make room on that disk" } else { "" };
        Self::new(kind, format!("{doing}: {words}{advice}"))
    }

    /// The kind, for choosing an errno or an exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence, for people.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The same error with what was being attempted put before the sentence.
    #[must_use]
    pub fn while_doing(self, doing: impl fmt::Display) -> Self {
        Self { kind: self.kind, sentence: format!("{doing}: {}", self.sentence) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {}
