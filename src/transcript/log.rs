//! One log, read as far as it goes.

use super::tail::{News, Tail};
use super::{Conversation, Reader};
use crate::model::Transcript;
use crate::model::transcript::Format;
use std::path::{Path, PathBuf};

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
        let (reader, conversation) = (Reader::new(format), Conversation::default());
        Self { format, tail: Tail::new(path), reader, conversation }
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
            path: self.path().into(),
            session: self.conversation.session(),
            exchanges: self.conversation.exchanges(),
        }
    }
}
