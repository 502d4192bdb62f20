//! The history of one agent: `history.jsonl` in our directory of its session
//! root, one event a line, appended by every troop process that does something.
//!
//! Each event is one write under flock, numbered there. A last line that a
//! killed process left torn is closed with a newline by the next writer, and
//! skipped by readers like any other line that is no event. A file that is full
//! is moved aside and a new one begun; the numbers go on. Whoever has the old one
//! open reads it to its end and goes on with the next.

mod files;

use super::dir::make_private;
use super::lock;
use crate::error::{Error, Kind, Result};
use crate::model::Event;
use files::{Files, failed};
use nix::fcntl::Flock;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The journal's name in our directory. Older files are called the same with `.1`, `.2`, `.3`.
pub const HISTORY_FILE: &str = "history.jsonl";

/// The most bytes one event may have on disk: a prompt of 1 MiB (the contract,
/// section 4.2) of which JSON escapes every byte.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// How long an append waits for another process's append.
pub const JOURNAL_LOCK_LIMIT: Duration = Duration::from_secs(1);

/// From how many events of others on [`Journal::read_new`] gives what it has and leaves the
/// rest for the next call. An append that finds more lets the oldest go; they are still in the file.
pub const MAX_PENDING: usize = 1024;

/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// How often an append goes on with a file that was moved aside as well. Each move takes
/// as many appends of others as fill a file.
const MAX_MOVED: usize = 64;

/// How large a journal becomes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes of one file.
    pub file_bytes: u64,
    /// How many older files are kept, at least 1.
    pub old_files: u32,
}

impl Default for Limits {
    /// 32 MiB an agent, in four files.
    fn default() -> Self {
        Self { file_bytes: MAX_EVENT_BYTES as u64, old_files: 3 }
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    files: Files,
    /// The most bytes of one file.
    max_bytes: u64,
    file: File,
    /// The disk takes nothing: `file` was opened for reading.
    read_only: bool,
    /// The last append waited in vain: a process that is stopped may hold the lock for long,
    /// so the next one does not wait.
    is_held_up: bool,
    /// Everything in `file` before it has been read or written here; always a line border.
    offset: u64,
    /// The highest number seen.
    last_seq: u64,
    /// Events of others, read on the way to a number and not yet asked for.
    pending: VecDeque<Event>,
}

impl Journal {
    /// Opens the journal in `dir`, making the directory (0700) and the file (0600)
    /// when they are missing. What is in it already is not new to this journal.
    /// Where the disk can only be read the journal opens, and appending fails.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, Limits::default())
    }

    /// The same with other limits than those that everybody keeps to.
    pub fn open_with(dir: &Path, limits: Limits) -> Result<Self> {
        if !dir.is_dir() {
            make_private(dir)?;
        }
        let files = Files::new(dir.join(HISTORY_FILE), limits);
        let (file, read_only) = files.open_current()?;
        let (max_bytes, pending) = (limits.file_bytes, VecDeque::new());
        let mut journal =
            Self { files, max_bytes, file, read_only, is_held_up: false, offset: 0, last_seq: 0, pending };
        journal.skip_to_end()?;
        Ok(journal)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Gives the event the next number, or the one it comes with when that is higher,
    /// and appends it. Nothing is left of it in the file when this fails.
    pub fn append(&mut self, event: &mut Event) -> Result<()> {
        let at_least = event.seq;
        for _ in 0..MAX_MOVED {
            if self.read_only && !self.reopen()? {
                self.go_on()?;
            }
            let held = self.lock(&self.file);
            self.is_held_up = held.as_ref().is_err_and(|error| error.kind() == Kind::TimedOut);
            let held = held?;
            let is_current = self.files.is_current(&self.file)?;
            if let Some(torn) = self.catch_up(usize::MAX)? {
                // Only its newline is missing, and this append supplies it.
                self.remember(torn);
            }
            if !is_current {
                drop(held);
                self.go_on()?;
                continue;
            }
            let end = self.files.len(&self.file)?;
            let next = self.last_seq.checked_add(1).ok_or_else(|| {
                let path = self.path().display();
                Error::new(Kind::Malformed, format!("{path} has no number left for an event; move it away"))
            })?;
            event.seq = next.max(at_least);
            let line = line(event, end > self.offset)?;
            if end > 0 && end + line.len() as u64 > self.max_bytes {
                self.files.rotate()?;
                continue;
            }
            if let Err(error) = (&self.file).write_all(&line) {
                // A disk that is full takes a part of the line; we still hold the lock.
                let _ = self.file.set_len(end);
                return Err(failed("append to", self.path(), &error));
            }
            self.offset = end + line.len() as u64;
            self.last_seq = event.seq;
            return Ok(());
        }
        let path = self.path().display();
        Err(Error::new(Kind::TimedOut, format!("{path} is moved aside faster than an event can be appended to it")))
    }

    /// The events that others appended since the last call, in order. From [`MAX_PENDING`]
    /// on there may be more: call it until it gives none.
    pub fn read_new(&mut self) -> Result<Vec<Event>> {
        loop {
            // Asked before reading: of a file that was moved aside all is there to read.
            let is_current = self.files.is_current(&self.file)?;
            let unfinished = self.catch_up(MAX_PENDING)?;
            if is_current || self.pending.len() >= MAX_PENDING {
                break;
            }
            unfinished.into_iter().for_each(|event| self.remember(event));
            self.go_on()?;
        }
        Ok(self.pending.drain(..).collect())
    }

    /// The events in the last `max_bytes` before what [`Journal::read_new`] will
    /// give, from the first whole line on.
    pub fn load_tail(&self, max_bytes: u64) -> Result<Vec<Event>> {
        let mut tail = self.tail_of(&self.file, self.offset, max_bytes)?;
        let mut left = max_bytes.saturating_sub(self.offset);
        for old in self.files.older_than(&self.file) {
            if left == 0 {
                break;
            }
            let end = self.files.len(&old)?;
            let mut events = self.tail_of(&old, end, left)?;
            left = left.saturating_sub(end);
            // A file may be moved while they are gone through, and come twice.
            let last = tail.first().map_or(self.last_seq, |event| event.seq.saturating_sub(1));
            events.retain(|event| event.seq <= last);
            events.append(&mut tail);
            tail = events;
        }
        Ok(tail)
    }

    /// The events in the last `max_bytes` before `end`, which is a line border or the end of a file.
    fn tail_of(&self, file: &File, end: u64, max_bytes: u64) -> Result<Vec<Event>> {
        let start = end.saturating_sub(max_bytes);
        // One byte earlier, to see whether `start` is a line border.
        let bytes = self.files.read(file, start.saturating_sub(1), end)?;
        let from = if start == 0 { 0 } else { line_border(&bytes) };
        Ok(events(&bytes[from..]).collect())
    }

    /// Our file was moved aside or removed, and has been read to its end: goes on with the next.
    fn go_on(&mut self) -> Result<()> {
        let (current, read_only) = self.files.open_current()?;
        let _held = self.lock(&current)?;
        // It may have been moved before it was locked; then this is for the next round.
        if self.files.is_current(&current)? {
            (self.file, self.read_only) = match self.files.after(&self.file)? {
                Some(old) => (old, false),
                None => (current, read_only),
            };
            self.offset = 0;
        }
        Ok(())
    }

    fn lock(&self, file: &File) -> Result<Flock<File>> {
        let handle = file.try_clone().map_err(|error| failed("lock", self.path(), &error))?;
        lock::lock(handle, self.path(), if self.is_held_up { Duration::ZERO } else { JOURNAL_LOCK_LIMIT })
    }

    /// Opens the file that could only be read once more, to append to it; false when the
    /// name leads to another one by now.
    fn reopen(&mut self) -> Result<bool> {
        let (file, read_only) = self.files.open_current()?;
        if read_only {
            let sentence = format!("cannot append to {}: it can only be read", self.path().display());
            return Err(Error::new(Kind::Io, sentence));
        }
        if !self.files.is_same(&self.file, &file)? {
            return Ok(false);
        }
        (self.file, self.read_only) = (file, false);
        Ok(true)
    }

    /// Reads on from `offset` to the last newline there is, or until `enough` events are
    /// pending. An event after the last newline lacks nothing but that.
    fn catch_up(&mut self, enough: usize) -> Result<Option<Event>> {
        let end = self.files.len(&self.file)?;
        if end < self.offset {
            // Somebody emptied the file; the numbers go on from where they were.
            self.offset = 0;
        }
        let mut rest = Vec::new();
        let mut at = self.offset;
        while at < end && self.pending.len() < enough {
            let until = end.min(at + CHUNK_BYTES as u64);
            let chunk = self.files.read(&self.file, at, until)?;
            if chunk.is_empty() {
                break;
            }
            at += chunk.len() as u64;
            rest.extend_from_slice(&chunk);
            if let Some(newline) = rest.iter().rposition(|byte| *byte == b'\n') {
                for line in rest[..=newline].split(|byte| *byte == b'\n') {
                    match serde_json::from_slice(line) {
                        Ok(event) => self.remember(event),
                        Err(_) => self.last_seq = self.last_seq.max(number(line).unwrap_or(0)),
                    }
                    if enough == usize::MAX && self.pending.len() > MAX_PENDING {
                        self.pending.pop_front();
                    }
                }
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

    fn remember(&mut self, event: Event) {
        // A number seen before comes from a file that was put back or emptied.
        if event.seq > self.last_seq {
            self.last_seq = event.seq;
            self.pending.push_back(event);
        }
    }

    /// Finds the last number and the last line border.
    fn skip_to_end(&mut self) -> Result<()> {
        let (border, last) = self.last_of(&self.file, false)?;
        (self.offset, self.last_seq) = (border, last.unwrap_or(0));
        if last.is_none() {
            // Nothing yet: it goes on from the old ones. They are not to be moved meanwhile.
            let _held = self.lock(&self.file)?;
            for old in self.files.older_than(&self.file) {
                if let (_, Some(last)) = self.last_of(&old, true)? {
                    self.last_seq = last;
                    break;
                }
            }
        }
        Ok(())
    }

    /// The last line border of a file, and the number of the last event before it; from the
    /// end. Of a file that was moved aside the end is a border.
    fn last_of(&self, file: &File, was_moved: bool) -> Result<(u64, Option<u64>)> {
        let end = self.files.len(file)?;
        let mut window = CHUNK_BYTES as u64;
        loop {
            let start = end.saturating_sub(window);
            let bytes = self.files.read(file, start, end)?;
            let newline = bytes.iter().rposition(|byte| *byte == b'\n');
            let border = if was_moved { bytes.len() } else { newline.map_or(0, |newline| newline + 1) };
            let last = bytes[..border].rsplit(|byte| *byte == b'\n').find_map(number);
            if last.is_some() || start == 0 || window > 2 * MAX_EVENT_BYTES as u64 {
                return Ok((start + border as u64, last));
            }
            window *= 2;
        }
    }
}

fn line(event: &Event, closes_torn_line: bool) -> Result<Vec<u8>> {
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
            format!("an event of {} bytes is too large for a journal, whose limit is {MAX_EVENT_BYTES}", line.len()),
        ));
    }
    Ok(line)
}

/// The events among the lines of `bytes`; a line that is none is skipped.
fn events(bytes: &[u8]) -> impl Iterator<Item = Event> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// The number of a line that is an event, of a kind that we know or one that a newer program has: it is not given again.
fn number(line: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        seq: u64,
        #[serde(rename = "agent_id")]
        _agent_id: String,
        #[serde(rename = "event")]
        _event: String,
    }
    serde_json::from_slice(line).ok().map(|numbered: Numbered| numbered.seq)
}

/// Where the first line that begins in `bytes` does.
fn line_border(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| newline + 1)
}
