//! A directory held open, so that nobody can put a symlink under our feet
//! between a check and the use of a name.

use crate::error::{Error, Kind, Result};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// An open directory and the path it was opened by. Names given to it are
/// single path components.
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens `path`, symlinks followed: the caller has resolved it or means it so.
    /// `None` when there is nothing.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path);
        match opened {
            Ok(file) => Ok(Some(Self { fd: file.into(), path: path.to_owned() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format_args!("cannot open the directory {}", path.display()), &error)),
        }
    }

    /// Opens `path`, making it and its missing parents with mode 0700.
    pub(crate) fn open_or_make(path: &Path) -> Result<Self> {
        make_private(path)?;
        Self::open(path)?
            .ok_or_else(|| Error::new(Kind::Io, format!("the directory {} vanished again; try again", path.display())))
    }

    /// Where it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in this one; `None` when there is nothing. A symlink is refused.
    pub(crate) fn child(&self, name: &str) -> Result<Option<Self>> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.refusal("open", name, errno)),
        }
    }

    /// A directory in this one, made with mode 0700 when there is none.
    pub(crate) fn child_or_make(&self, name: &str) -> Result<Self> {
        match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            Ok(()) => fsync(&self.fd).map_err(|errno| self.refusal("save", name, errno))?,
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(self.refusal("make", name, errno)),
        }
        self.child(name)?.ok_or_else(|| self.refusal("open", name, Errno::ENOENT))
    }

    /// The whole of a regular file of at most `limit` bytes; `None` when there is
    /// nothing. Never blocks on a pipe and never follows a symlink.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => read_regular(File::from(fd), limit).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.refusal("read", name, errno)),
        }
    }

    /// The same of the file `name` in the real directory `child`. `None` when there is no such directory or file.
    pub(crate) fn read_in(&self, child: &str, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH);
        match openat2(&self.fd, [child, name].join("/").as_str(), how) {
            Ok(fd) => read_regular(File::from(fd), limit).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            // Step by step it is known at which one it fails; and a container may refuse the call itself.
            Err(_) => self.child(child)?.map_or(Ok(None), |dir| dir.read(name, limit)),
        }
    }

    /// Replaces or creates a file whole: temporary file beside it, fsync, rename,
    /// fsync of the directory. A symlink of that name is refused and left alone.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        if self.is_symlink(name) {
            return Err(self.refusal("replace", name, Errno::ELOOP));
        }
        let temporary = format!("{name}.{}.tmp", uuid::Uuid::new_v4().simple());
        let written = self.write_new(&temporary, bytes, mode).and_then(|()| {
            renameat(&self.fd, temporary.as_str(), &self.fd, name)?;
            fsync(&self.fd)?;
            Ok(())
        });
        if let Err(error) = written {
            // Fails when the rename has already happened, which is as it should be.
            let _ = unlinkat(&self.fd, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
            return Err(Error::io(format_args!("cannot write {}", self.path.join(name).display()), &error));
        }
        Ok(())
    }

    /// Removes a real directory in this one with everything below it; symlinks are removed, not followed.
    pub(crate) fn remove_tree(&self, name: &str) -> Result<()> {
        if self.child(name)?.is_none() {
            return Ok(());
        }
        let path = self.path.join(name);
        std::fs::remove_dir_all(&path)
            .map_err(|error| Error::io(format_args!("cannot remove {}", path.display()), &error))?;
        // What is removed is removed also after a crash of the machine.
        fsync(&self.fd).map_err(|errno| self.refusal("remove", name, errno))
    }

    /// Removes a directory in this one when nothing is in it.
    pub(crate) fn remove_if_empty(&self, name: &str) {
        let _ = unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir);
    }

    fn write_new(&self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn is_symlink(&self, name: &str) -> bool {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK)
    }

    fn refusal(&self, verb: &str, name: &str, errno: Errno) -> Error {
        let path = self.path.join(name);
        if self.is_symlink(name) {
            return Error::new(
                Kind::NotPermitted,
                format!(
                    "{} is a symlink, and symlinks in a registry are not followed; remove it or put what it points to in its place",
                    path.display()
                ),
            );
        }
        Error::io(format_args!("cannot {verb} {}", path.display()), &errno.into())
    }
}

/// Makes `path` and its missing parents, each with mode 0700.
pub fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Error::io(format_args!("cannot make the directory {}", path.display()), &error))
}

/// The whole of an already opened file, when it is a regular one of at most
/// `limit` bytes.
pub(crate) fn read_regular(file: File, limit: u64) -> Result<Vec<u8>> {
    let about = file.metadata().map_err(|error| Error::io("cannot read it", &error))?;
    if !about.is_file() {
        return Err(Error::new(Kind::Malformed, "it is not a regular file; remove it"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(limit)).unwrap_or(0) + 1);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Error::io("cannot read it", &error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            Kind::Malformed,
            format!(
                "it is larger than the {limit} bytes that such a file may have; it was not written by an agent's runtime"
            ),
        ));
    }
    Ok(bytes)
}
