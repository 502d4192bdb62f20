//! A journal's files: the one that is written, and a few older ones it was moved
//! aside to. `history.jsonl.1` is the youngest of those.
//!
//! Whoever appends or moves holds the flock of the file that the journal's name
//! leads to, and looks again whether it still does. So a file that was moved aside
//! never changes any more, and while that lock is held nothing is moved.

use super::Limits;
use crate::error::{Error, Kind, Result};
use crate::store::atomic::PRIVATE_FILE;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The files of one journal.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    old: u32,
}

impl Files {
    pub(super) fn new(path: PathBuf, limits: Limits) -> Self {
        Self { path, old: limits.old_files }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file that is written, making it (0600) when it is missing; whether it
    /// can only be read is said beside it.
    pub(super) fn open_current(&self) -> Result<(File, bool)> {
        match regular(&self.path, OpenOptions::new().read(true).append(true).create(true).mode(PRIVATE_FILE)) {
            Err(error) if matches!(errno(&error), Errno::EROFS | Errno::EACCES) => {
                Ok((self.opened(regular(&self.path, OpenOptions::new().read(true)))?, true))
            }
            opened => Ok((self.opened(opened)?, false)),
        }
    }

    /// Whether the journal's name still leads to `file`.
    pub(super) fn is_current(&self, file: &File) -> Result<bool> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) => Ok(identity(&there) == identity(&self.about(file)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("look at", &self.path, &error)),
        }
    }

    pub(super) fn is_same(&self, one: &File, other: &File) -> Result<bool> {
        Ok(identity(&self.about(one)?) == identity(&self.about(other)?))
    }

    /// Moves the file that is written aside, and the older ones on. The oldest goes when
    /// there are too many. A process killed in between leaves a number free, which the
    /// next move fills: every file keeps its place in the order.
    pub(super) fn rotate(&self) -> Result<()> {
        let free = (1..self.old).find(|number| std::fs::symlink_metadata(self.old_path(*number)).is_err());
        for number in (0..free.unwrap_or(self.old)).rev() {
            let (from, to) = (self.old_path(number), self.old_path(number + 1));
            std::fs::rename(&from, &to).map_err(|error| failed("move aside", &from, &error))?;
        }
        Ok(())
    }

    /// The file that came after `file`, which was moved aside: an old one, or none when
    /// it is the one that is written now. Of a file that is none of these any more the
    /// oldest there is comes next. Right only while nothing is moved.
    pub(super) fn after(&self, file: &File) -> Result<Option<File>> {
        let own = identity(&self.about(file)?);
        let place = (1..=self.old).find(|number| {
            std::fs::symlink_metadata(self.old_path(*number)).is_ok_and(|there| identity(&there) == own)
        });
        Ok((1..place.unwrap_or(self.old + 1)).rev().find_map(|number| self.open_old(number)))
    }

    /// The old files that are there, the youngest first, without `file`. Files that are
    /// moved meanwhile may come twice and are not left out.
    pub(super) fn older_than<'f>(&'f self, file: &'f File) -> impl Iterator<Item = File> + 'f {
        let own = file.metadata().ok().map(|about| identity(&about));
        let is_other = move |old: &File| old.metadata().is_ok_and(|about| Some(identity(&about)) != own);
        (1..=self.old).filter_map(|number| self.open_old(number)).filter(is_other)
    }

    pub(super) fn len(&self, file: &File) -> Result<u64> {
        Ok(self.about(file)?.len())
    }

    /// What is in `file` from `start` to `end`, or less when it is shorter.
    pub(super) fn read(&self, file: &File, start: u64, end: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", &self.path, &error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn open_old(&self, number: u32) -> Option<File> {
        regular(&self.old_path(number), OpenOptions::new().read(true)).ok()
    }

    /// Number 0 is the file that is written.
    fn old_path(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        if number > 0 {
            path.push(format!(".{number}"));
        }
        path.into()
    }

    fn about(&self, file: &File) -> Result<std::fs::Metadata> {
        file.metadata().map_err(|error| failed("look at", &self.path, &error))
    }

    fn opened(&self, opened: io::Result<File>) -> Result<File> {
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                Error::new(Kind::Malformed, format!("{} is not a regular file; move it away", self.path.display()))
            }
            _ => failed("open", &self.path, &error),
        })
    }
}

/// Opens a regular file, and waits for nothing that is another thing.
fn regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn identity(about: &std::fs::Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

pub(super) fn failed(verb: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(format_args!("cannot {verb} {}", path.display()), error)
}
