//! A file of lines that its program appends to, read forward.

use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How much of a file is read that was there before, in bytes from its end: enough for the last few exchanges.
pub const MAX_BACK_BYTES: u64 = 16 << 20;
/// The longest line that is read, in bytes; a longer one is passed over. A prompt of a megabyte fits, a picture may not.
pub const MAX_LINE_BYTES: usize = 8 << 20;
/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Where the reading of a file is.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// The most that is read of what is there already.
    back: u64,
    /// Device and inode of the file that was read last.
    file: Option<(u64, u64)>,
    /// Everything before it has been read.
    offset: u64,
    /// The beginning of a line that is not whole yet.
    torn: Vec<u8>,
    /// Somewhere in a line that is passed over.
    passes_over: bool,
}

/// What reading gives.
#[derive(Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// It is another file, or has become shorter: what was read of it before does not count.
    Anew,
    /// The next line, without its end.
    Line(&'a [u8]),
}

impl Tail {
    /// A file, there or not yet.
    pub fn new(path: PathBuf) -> Self {
        Self::with_back(path, MAX_BACK_BYTES)
    }

    /// The same, of which at most `back` bytes are read that are there already.
    pub fn with_back(path: PathBuf, back: u64) -> Self {
        Self { path, back, file: None, offset: 0, torn: Vec::new(), passes_over: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives every whole line since the last call, of what was there before [`MAX_BACK_BYTES`] at most. A file that
    /// cannot be read gives nothing. A file that was made shorter and has grown past its old end meanwhile is taken for
    /// one that has only grown.
    pub fn read(&mut self, mut take: impl FnMut(News<'_>)) {
        let Some((mut file, id, end)) = open(&self.path) else { return };
        if self.file != Some(id) || end < self.offset {
            if self.file.replace(id).is_some() {
                take(News::Anew);
            }
            (self.offset, self.passes_over) = (0, false);
            self.torn.clear();
        }
        if end - self.offset > self.back {
            (self.offset, self.passes_over) = (end - self.back, true);
            self.torn.clear();
        }
        if file.seek(SeekFrom::Start(self.offset)).is_err() {
            return;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        // What is appended while this reads is another change.
        let mut rest = file.take(end - self.offset);
        while let Ok(filled @ 1..) = rest.read(&mut chunk) {
            self.offset += filled as u64;
            self.sort_out(&chunk[..filled], &mut take);
        }
    }

    /// Gives what has been read of a line that has no end yet, to be taken for a whole one: nothing comes any more.
    pub fn take_torn(&mut self, into: &mut Vec<u8>) {
        if !self.passes_over {
            into.append(&mut self.torn);
        }
    }

    fn sort_out(&mut self, mut bytes: &[u8], take: &mut impl FnMut(News<'_>)) {
        while let Some(newline) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..newline]);
            if !std::mem::take(&mut self.passes_over) {
                take(News::Line(&self.torn));
            }
            self.torn.clear();
            bytes = &bytes[newline + 1..];
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.passes_over || self.torn.len() + bytes.len() > MAX_LINE_BYTES {
            self.passes_over = true;
            self.torn = Vec::new();
        } else {
            self.torn.extend_from_slice(bytes);
        }
    }
}

/// An ordinary file, its identity and its size. Never waits for a pipe.
fn open(path: &Path) -> Option<(File, (u64, u64), u64)> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some((file, (about.dev(), about.ino()), about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn news(tail: &mut Tail) -> Vec<String> {
        let mut all = Vec::new();
        tail.read(|news| {
            all.push(match news {
                News::Anew => "ANEW".to_owned(),
                News::Line(line) => String::from_utf8(line.to_vec()).unwrap(),
            });
        });
        all
    }

    fn append(path: &Path, text: &str) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn each_line_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(path.clone());
        assert_eq!(news(&mut tail), [""; 0]);
        append(&path, "one\n\ntw");
        assert_eq!(news(&mut tail), ["one", ""]);
        append(&path, "o");
        assert_eq!(news(&mut tail), [""; 0]);
        append(&path, "\nthree");
        assert_eq!(news(&mut tail), ["two"]);
        append(&path, "\n");
        assert_eq!(news(&mut tail), ["three"]);
    }

    #[test]
    fn another_file_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join("log"), dir.path().join("next"));
        append(&path, "one\ntorn");
        let mut tail = Tail::new(path.clone());
        assert_eq!(news(&mut tail), ["one"]);
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        append(&path, "1\n");
        assert_eq!(news(&mut tail), ["ANEW", "1"]);
        append(&next, "other, and longer than before\n");
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(news(&mut tail), ["ANEW", "other, and longer than before"]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(news(&mut tail), [""; 0]);
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let long = "x".repeat(MAX_LINE_BYTES);
        let mut tail = Tail::new(path.clone());
        append(&path, &format!("before\n{long}"));
        assert_eq!(news(&mut tail), ["before"]);
        append(&path, "x\nafter\n");
        assert_eq!(news(&mut tail), ["after"]);
        append(&path, &format!("{long}\n"));
        assert_eq!(news(&mut tail), [&*long], "one that just fits");
    }

    #[test]
    fn a_big_file_is_read_from_near_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let line = format!("{}\n", "x".repeat(1023));
        append(&path, &line.repeat(usize::try_from(MAX_BACK_BYTES).unwrap() / 1024));
        append(&path, "end\n");
        let mut tail = Tail::new(path);
        let lines = news(&mut tail);
        assert_eq!(lines.len(), usize::try_from(MAX_BACK_BYTES).unwrap() / 1024);
        assert_eq!(lines.last().map(String::as_str), Some("end"));
    }

    #[test]
    fn what_is_no_file_gives_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        append(&dir.path().join("file"), "{}\n");
        std::os::unix::fs::symlink("file", &link).unwrap();
        for path in [pipe, link, dir.path().to_owned(), dir.path().join("none")] {
            assert_eq!(news(&mut Tail::new(path)), [""; 0]);
        }
    }
}
