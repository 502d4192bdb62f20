//! Files in which agent programs say how they are: a status file that is replaced or rewritten, and a file of lines that
//! their hooks append to. Anybody may have written anything there, so what is read is bounded and an error is an absence.

use super::atomic::{PRIVATE_FILE, write_replace};
use super::dir::{make_private, read_regular};
use super::lock::our_directory;
use crate::error::{Error, Result};
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The largest status file that is read, in bytes; a real one has 600.
pub const MAX_STATUS_BYTES: u64 = 64 * 1024;
/// The most that is read of new lines at once, in bytes; of more, only the newest count. A real line has 30.
pub const MAX_LINES_BYTES: u64 = 64 * 1024;
/// The hooks' file in our directory of a session root.
const HOOKS_FILE: &str = "hooks.jsonl";
/// The file of settings by which hooks are given to a program, beside it.
const SETTINGS_FILE: &str = "hook-settings.json";

/// The hooks' file of the session with that root.
pub fn hooks_path(session_root: &Path) -> PathBuf {
    our_directory(session_root).join(HOOKS_FILE)
}

/// The file of settings of the session with that root.
pub fn settings_path(session_root: &Path) -> PathBuf {
    our_directory(session_root).join(SETTINGS_FILE)
}

/// Makes the hooks' file and that of the settings (0600) in our directory (0700) for a new session.
pub fn make_hooks(session_root: &Path, settings: Option<&str>) -> Result<()> {
    make_private(&our_directory(session_root))?;
    let path = hooks_path(session_root);
    let made = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PRIVATE_FILE)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path);
    made.map_err(|error| Error::io(format_args!("cannot make {}", path.display()), &error))?;
    settings.map_or(Ok(()), |text| write_replace(&settings_path(session_root), text.as_bytes(), PRIVATE_FILE))
}

/// A status file as it is now; `None` when there is none that could be meant.
pub fn read_status(path: &Path) -> Option<Vec<u8>> {
    read_regular(open(path)?, MAX_STATUS_BYTES).ok()
}

/// Reads the lines that are appended to a file.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// Everything before it has been given.
    offset: u64,
}

/// Whole lines, and when the last of them was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// Each ends with a newline.
    pub bytes: Vec<u8>,
    /// The file's modification time.
    pub written: SystemTime,
}

impl Tail {
    /// A file of lines, there or not yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lines since the last call, the newest [`MAX_LINES_BYTES`] of them at most. A last line without its newline
    /// waits, a file that became shorter begins anew.
    pub fn read_new(&mut self) -> Option<Lines> {
        let file = open(&self.path)?;
        let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let end = about.len();
        if end < self.offset {
            self.offset = 0;
        }
        let from = self.offset.max(end.saturating_sub(MAX_LINES_BYTES));
        let mut bytes = vec![0; usize::try_from(end - from).ok()?];
        let filled = file.read_at(&mut bytes, from).ok()?;
        bytes.truncate(filled);
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        bytes.truncate(whole);
        if from > self.offset
            && let Some(newline) = bytes.iter().position(|byte| *byte == b'\n')
        {
            // It begins somewhere in a line.
            bytes.drain(..=newline);
        }
        self.offset = from + whole as u64;
        (!bytes.is_empty()).then_some(Lines { bytes, written: about.modified().ok()? })
    }
}

/// Never blocks on a pipe.
fn open(path: &Path) -> Option<File> {
    OpenOptions::new().read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits()).open(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn text(tail: &mut Tail) -> Option<String> {
        tail.read_new().map(|lines| String::from_utf8(lines.bytes).unwrap())
    }

    fn append(path: &Path, text: &str) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn each_line_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut tail = Tail::new(path.clone());
        assert_eq!(text(&mut tail), None);
        append(&path, "one\ntwo\nthr");
        assert_eq!(text(&mut tail).as_deref(), Some("one\ntwo\n"));
        assert_eq!(text(&mut tail), None);
        append(&path, "ee\n");
        assert_eq!(text(&mut tail).as_deref(), Some("three\n"));
        std::fs::write(&path, "anew\n").unwrap();
        assert_eq!(text(&mut tail).as_deref(), Some("anew\n"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text(&mut tail), None);
    }

    #[test]
    fn a_huge_line_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut tail = Tail::new(path.clone());
        let huge = "x".repeat(3 * usize::try_from(MAX_LINES_BYTES).unwrap());
        append(&path, &huge);
        assert_eq!(text(&mut tail), None);
        append(&path, "\nafter\n");
        assert_eq!(text(&mut tail).as_deref(), Some("after\n"));
        append(&path, &format!("before\n{huge}\nlast\n"));
        assert_eq!(text(&mut tail).as_deref(), Some("last\n"));
    }

    #[test]
    fn what_is_no_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(dir.path().join("file"), "{}\n").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        std::fs::write(dir.path().join("large"), vec![b' '; 1 << 20]).unwrap();
        for name in ["pipe", "link", "large", "", "none"] {
            assert_eq!(read_status(&dir.path().join(name)), None, "{name}");
        }
        assert_eq!(Tail::new(pipe).read_new(), None);
        assert_eq!(Tail::new(dir.path().to_owned()).read_new(), None);
        assert_eq!(read_status(&dir.path().join("file")).as_deref(), Some(&b"{}\n"[..]));
    }
}
