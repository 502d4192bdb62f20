//! The smallest filesystem worth mounting: one file, 2 KiB, and a flush that is answered.

use std::ffi::OsStr;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, Request, Session, SessionACL,
};
use std::os::fd::OwnedFd;

/// The file's name.
pub(crate) const NAME: &str = "hello";
/// Its size in bytes.
pub(crate) const SIZE: usize = 2048;

const FILE: INodeNo = INodeNo(2);
const TTL: Duration = Duration::from_secs(1);

/// Serves [`Hello`] on `connection` until it is unmounted.
pub(crate) fn serve(connection: OwnedFd) -> std::io::Result<()> {
    troop::fuse::run(Session::from_fd(Hello, connection, SessionACL::Owner, Config::default())?)
}

/// A directory with one file.
pub(crate) struct Hello;

impl Hello {
    fn attr(ino: INodeNo) -> FileAttr {
        let (kind, perm, size) =
            if ino == FILE { (FileType::RegularFile, 0o644, SIZE as u64) } else { (FileType::Directory, 0o755, 0) };
        FileAttr {
            ino,
            size,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Hello {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&TTL, &Self::attr(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &Self::attr(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let start = usize::try_from(offset).unwrap_or(SIZE).min(SIZE);
        let end = start.saturating_add(size as usize).min(SIZE);
        reply.data(&[b'h'; SIZE][start..end]);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries =
            [(ino, FileType::Directory, "."), (ino, FileType::Directory, ".."), (FILE, FileType::RegularFile, NAME)];
        for (next, (ino, kind, name)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(3)) {
            if reply.add(ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
