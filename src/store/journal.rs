//! The history of one agent: `history.jsonl` in our directory of its session
//! root, one event a line, appended by every troop process that does something.
//!
//! Each event is one write under flock, numbered there. A last line that a
//! killed process left torn is closed with a newline by the next writer, and
//! skipped by readers like any other line that is no event.

use super::dir::make_private;
use super::lock;
use crate::error::{Error, Kind, Result};
use crate::model::Event;
use nix::fcntl::OFlag;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The journal's name in our directory.
pub const HISTORY_FILE: &str = "history.jsonl";

/// The most bytes one event may have on disk: a prompt of 1 MiB (the contract,
/// section 4.2) of which JSON escapes every byte.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// How long an append waits for another process's append.
pub const JOURNAL_LOCK_LIMIT: Duration = Duration::from_secs(1);

/// The most events of others kept for [`Journal::read_new`]; the oldest give way,
/// and are still in the file.
pub const MAX_PENDING: usize = 1024;

/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Everything before it has been read or written here; always a line border.
    offset: u64,
    /// The highest number seen.
    last_seq: u64,
    /// Events of others, read on the way to a number and not yet asked for.
    pending: VecDeque<Event>,
}

impl Journal {
    /// Opens the journal in `dir`, making the directory (0700) and the file (0600)
    /// when they are missing. What is in it already is not new to this journal.
    pub fn open(dir: &Path) -> Result<Self> {
        make_private(dir)?;
        let path = dir.join(HISTORY_FILE);
        let mut journal = Self { file: open_file(&path)?, path, offset: 0, last_seq: 0, pending: VecDeque::new() };
        journal.skip_to_end()?;
        Ok(journal)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the event the next number and appends it. Nothing is left of it in
    /// the file when this fails.
    pub fn append(&mut self, event: &mut Event) -> Result<()> {
        if self.file.metadata().map_err(|error| self.failed("look at", &error))?.nlink() == 0 {
            // Somebody removed the file: what is appended to it nobody would ever read.
            self.file = open_file(&self.path)?;
            self.offset = 0;
        }
        let handle = self.file.try_clone().map_err(|error| self.failed("lock", &error))?;
        let _lock = lock::lock(handle, &self.path, JOURNAL_LOCK_LIMIT)?;
        if let Some(torn) = self.catch_up()? {
            // Only its newline is missing, and this append supplies it.
            self.remember(torn);
        }
        let end = self.len()?;
        event.seq = self.last_seq.checked_add(1).ok_or_else(|| {
            Error::new(
                Kind::Malformed,
                format!("{} has no number left for an event; move it away", self.path.display()),
            )
        })?;
        let line = self.line(event, end > self.offset)?;
        if let Err(error) = (&self.file).write_all(&line) {
            // A disk that is full takes a part of the line; we still hold the lock.
            let _ = self.file.set_len(end);
            return Err(self.failed("append to", &error));
        }
        self.offset = end + line.len() as u64;
        self.last_seq = event.seq;
        Ok(())
    }

    /// The events that others appended since the last call, in order.
    pub fn read_new(&mut self) -> Result<Vec<Event>> {
        let _unfinished = self.catch_up()?;
        Ok(self.pending.drain(..).collect())
    }

    /// The events in the last `max_bytes` before what [`Journal::read_new`] will
    /// give, from the first whole line on.
    pub fn load_tail(&self, max_bytes: u64) -> Result<Vec<Event>> {
        let start = self.offset.saturating_sub(max_bytes);
        // One byte earlier, to see whether `start` is a line border.
        let bytes = self.read_range(start.saturating_sub(1), self.offset)?;
        let from = if start == 0 { 0 } else { line_border(&bytes) };
        Ok(events(&bytes[from..]).collect())
    }

    fn line(&self, event: &Event, closes_torn_line: bool) -> Result<Vec<u8>> {
        let mut line = Vec::with_capacity(256);
        if closes_torn_line {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, event)
            .map_err(|error| Error::new(Kind::Invalid, format!("an event cannot be written as JSON: {error}")))?;
        line.push(b'\n');
        if line.len() > MAX_EVENT_BYTES {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "an event of {} bytes is too large for a journal, whose limit is {MAX_EVENT_BYTES}",
                    line.len()
                ),
            ));
        }
        Ok(line)
    }

    /// Reads on from `offset` to the last newline there is. An event after that
    /// lacks nothing but its newline.
    fn catch_up(&mut self) -> Result<Option<Event>> {
        let end = self.len()?;
        if end < self.offset {
            // Somebody emptied the file; the numbers go on from where they were.
            self.offset = 0;
        }
        let mut rest = Vec::new();
        let mut at = self.offset;
        while at < end {
            let until = end.min(at + CHUNK_BYTES as u64);
            let chunk = self.read_range(at, until)?;
            if chunk.is_empty() {
                break;
            }
            at += chunk.len() as u64;
            rest.extend_from_slice(&chunk);
            if let Some(newline) = rest.iter().rposition(|byte| *byte == b'\n') {
                self.take(&rest[..=newline]);
                self.offset += newline as u64 + 1;
                rest.drain(..=newline);
            }
            // No event is that long: it is rubbish, and not worth the memory.
            if rest.len() > MAX_EVENT_BYTES {
                self.offset += rest.len() as u64;
                rest.clear();
            }
        }
        Ok(events(&rest).next())
    }

    fn take(&mut self, lines: &[u8]) {
        events(lines).for_each(|event| self.remember(event));
    }

    fn remember(&mut self, event: Event) {
        // A number seen before comes from a file that was put back or emptied.
        if event.seq <= self.last_seq {
            return;
        }
        self.last_seq = event.seq;
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(event);
    }

    /// Finds the last number and the last line border, from the end.
    fn skip_to_end(&mut self) -> Result<()> {
        let end = self.len()?;
        let mut window = CHUNK_BYTES as u64;
        loop {
            let start = end.saturating_sub(window);
            let bytes = self.read_range(start, end)?;
            let border = bytes.iter().rposition(|byte| *byte == b'\n').map(|newline| newline + 1);
            let last = events(&bytes[..border.unwrap_or(0)]).last();
            if let (Some(border), Some(last)) = (border, &last) {
                self.offset = start + border as u64;
                self.last_seq = last.seq;
                return Ok(());
            }
            if start == 0 || window > 2 * MAX_EVENT_BYTES as u64 {
                self.offset = border.map_or(start, |border| start + border as u64);
                return Ok(());
            }
            window *= 2;
        }
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|about| about.len()).map_err(|error| self.failed("look at", &error))
    }

    fn read_range(&self, start: u64, end: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read", &error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn failed(&self, verb: &str, error: &std::io::Error) -> Error {
        Error::io(format_args!("cannot {verb} {}", self.path.display()), error)
    }
}

fn open_file(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(|error| Error::io(format_args!("cannot open {}", path.display()), &error))?;
    if file.metadata().is_ok_and(|about| about.is_file()) {
        return Ok(file);
    }
    Err(Error::new(Kind::Malformed, format!("{} is not a regular file; move it away", path.display())))
}

/// The events among the lines of `bytes`; a line that is none is skipped.
fn events(bytes: &[u8]) -> impl DoubleEndedIterator<Item = Event> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Where the first line that begins in `bytes` does.
fn line_border(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| newline + 1)
}
