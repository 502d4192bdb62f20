//! One log, read as far as it goes.

use super::tail::{News, Tail};
use super::{Conversation, Reader};
use crate::model::Transcript;
use crate::model::transcript::Format;
use std::path::{Path, PathBuf};

/// How much of a log is read to see whether a prompt that was just given is in it, in bytes.
pub const MAX_RECENT_BYTES: u64 = 4 << 20;

/// A file, how it is written, and what has been read of it.
#[derive(Debug)]
pub struct Log {
    format: Format,
    tail: Tail,
    reader: Reader,
    conversation: Conversation,
}

impl Log {
    /// The log at `path`, there or not yet.
    pub fn new(path: PathBuf, format: Format) -> Self {
        Self::with(Tail::new(path), format)
    }

    /// The same, of which only what was written lately is read, [`MAX_RECENT_BYTES`] of it.
    pub fn recent(path: PathBuf, format: Format) -> Self {
        Self::with(Tail::with_back(path, MAX_RECENT_BYTES), format)
    }

    fn with(tail: Tail, format: Format) -> Self {
        Self { format, tail, reader: Reader::new(format), conversation: Conversation::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.tail.path()
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Reads on; whether anything of account was new.
    pub fn refresh(&mut self) -> bool {
        let Self { format, tail, reader, conversation } = self;
        let mut is_new = false;
        tail.read(|news| match news {
            News::Anew => {
                (*reader, *conversation) = (Reader::new(*format), Conversation::default());
                is_new = true;
            }
            News::Line(line) => {
                for entry in reader.read(line) {
                    conversation.take(entry);
                    is_new = true;
                }
            }
        });
        is_new
    }

    /// What has been read.
    pub fn transcript(&self) -> Transcript {
        Transcript {
            has_ends: self.format.has_ends(),
            path: self.path().into(),
            session: self.conversation.session(),
            exchanges: self.conversation.exchanges(),
        }
    }
}
