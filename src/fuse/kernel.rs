//! Kernel requests to `TreeFs`, and nothing more.

use super::errno::errno;
use super::handle::Handle;
use super::stat::{Stat, attr_ttl, file_type, name_ttl};
use super::tree_fs::TreeFs;
use super::waits::Read;
use crate::command::{Command, Launch, QueueChange};
use crate::error::{Error, Kind, Result};
use crate::model::{Actor, AgentName};
use crate::port::Until;
use crate::process;
use crate::tree::table::{AgentFile, RootFile};
use crate::tree::{self, Entry, Node};
use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyPoll, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Where cookies of a listing begin: `.` and `..` take the two before.
const FIRST_COOKIE: u64 = 2;

impl Filesystem for TreeFs {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each is a speed-up or a fix the kernel may not have; none is needed.
        for wanted in [
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
        ] {
            let _ = config.add_capabilities(wanted);
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        tracing::trace!(op = "lookup");
        tell_entry(&self.stat, parent, name, reply);
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        tracing::trace!(op = "getattr");
        let snapshot = self.stat.port.snapshot();
        match self.stat.find(&snapshot, ino) {
            Ok((node, attr)) => reply.attr(&self.stat.kept(snapshot.version, attr_ttl(node)), &attr),
            Err(error) => match self.open_attr(ino) {
                Some(attr) => reply.attr(&Duration::ZERO, &attr),
                None => reply.error(error),
            },
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        tracing::trace!(op = "setattr");
        let snapshot = self.stat.port.snapshot();
        let (node, attr) = match self.stat.find(&snapshot, ino) {
            Ok(found) => found,
            Err(error) => return reply.error(error),
        };
        let writable = attr.perm & 0o200 != 0 && attr.kind == FileType::RegularFile;
        let is_queued = matches!(node, Node::Queued(..));
        let same_mode = mode.is_none_or(|mode| is_queued || mode & 0o7777 == u32::from(attr.perm));
        let same_owner = uid.is_none_or(|uid| uid == attr.uid) && gid.is_none_or(|gid| gid == attr.gid);
        // Editors truncate, then set the mode and times they found, and what copies into a queue sets those of its
        // original; nothing else can be set.
        if !writable || !same_mode || !same_owner {
            return reply.error(Errno::EPERM);
        }
        match size {
            Some(0) => {
                if let Some(writer) =
                    fh.and_then(|fh| self.handles.get(fh)).as_ref().and_then(|handle| handle.writer.as_ref())
                {
                    writer.lock().discard();
                }
            }
            Some(_) => return reply.error(Errno::EINVAL),
            None => {}
        }
        reply.attr(&self.stat.kept(snapshot.version, attr_ttl(node)), &attr);
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        tracing::trace!(op = "readlink");
        match Node::from_ino(ino.0).and_then(|node| tree::target(&self.stat.port.snapshot(), node)) {
            Some(target) => reply.data(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str())),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// access(2), for `test -w` and the like. Nobody but the owner gets this far: other
    /// users are kept out by the mount, which is without allow_other.
    fn access(&self, _request: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        tracing::trace!(op = "access");
        match self.stat.find(&self.stat.port.snapshot(), ino) {
            Ok((_, attr)) if mask.bits() & !i32::from(attr.perm >> 6) & 0o7 == 0 => reply.ok(),
            Ok(_) => reply.error(Errno::EACCES),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        tracing::trace!(op = "mkdir");
        if Node::from_ino(parent.0) != Some(Node::Agents) {
            return reply.error(Errno::EPERM);
        }
        let name = match AgentName::new(&name.to_string_lossy()) {
            Ok(name) => name,
            Err(error) => {
                let control = Node::RootFile(RootFile::Control);
                return self.refuse(control, error, actor(request), move |number| reply.error(number));
            }
        };
        let launch = Launch::new(name.clone());
        let stat = self.stat.clone();
        let answer = Box::new(move |result: Result<()>| match result {
            Ok(()) => tell_entry(&stat, INodeNo(Node::Agents.ino()), OsStr::new(name.as_str()), reply),
            Err(error) => reply.error(errno(error.kind())),
        });
        self.stat.port.submit(Command::launch(launch), actor(request), Until::Done, answer);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        tracing::trace!(op = "unlink");
        let Some(name) = name.to_str() else { return reply.error(Errno::ENOENT) };
        self.change_queue(request, parent, QueueChange::Remove { name: name.to_owned() }, reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        tracing::trace!(op = "rmdir");
        let snapshot = self.stat.port.snapshot();
        let slot = match self.stat.child(&snapshot, parent, name) {
            Ok((Node::Agent(slot), _)) => slot,
            Ok(_) => return reply.error(Errno::EPERM),
            Err(error) => return reply.error(error),
        };
        let Some(agent) = snapshot.by_slot(slot).map(|(_, agent)| agent.id.clone()) else {
            return reply.error(Errno::ENOENT);
        };
        let answer = Box::new(move |result: Result<()>| match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error.kind())),
        });
        self.stat.port.submit(Command::Retire { agent }, actor(request), Until::Done, answer);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        tracing::trace!(op = "rename");
        if parent != new_parent {
            let is_queue = |ino: INodeNo| matches!(Node::from_ino(ino.0), Some(Node::AgentFile(_, AgentFile::Queue)));
            // From one queue to another, mv copies and removes.
            return reply.error(if is_queue(parent) && is_queue(new_parent) { Errno::EXDEV } else { Errno::EPERM });
        }
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let (Some(from), Some(to)) = (name.to_str(), new_name.to_str()) else { return reply.error(Errno::EINVAL) };
        self.change_queue(request, parent, QueueChange::Rename { from: from.to_owned(), to: to.to_owned() }, reply);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn create(&self, request: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        tracing::trace!(op = "create");
        let snapshot = self.stat.port.snapshot();
        let (Some(dir), Some(name)) = (Node::from_ino(parent.0), name.to_str()) else {
            return reply.error(Errno::EINVAL);
        };
        let created = self.try_create(&snapshot, dir, name, request.pid()).and_then(|handle| {
            let node = handle.node;
            let attributes =
                tree::attributes(&snapshot, node).ok_or_else(|| Error::new(Kind::Gone, "the agent is gone"))?;
            Ok((handle, node, self.stat.attr(node, &attributes)))
        });
        match created {
            Ok((handle, node, attr)) => match self.new_handle(handle) {
                Ok(fh) => reply.created(
                    &self.stat.kept(snapshot.version, name_ttl(node)),
                    &attr,
                    Generation(0),
                    fh,
                    FopenFlags::FOPEN_DIRECT_IO,
                ),
                Err(error) => reply.error(error),
            },
            Err(error) => self.refuse(dir, error, actor(request), move |number| reply.error(number)),
        }
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        tracing::trace!(op = "open");
        let snapshot = self.stat.port.snapshot();
        let Some(node) = Node::from_ino(ino.0) else { return reply.error(Errno::ENOENT) };
        match self.try_open(&snapshot, node, flags, request.pid()) {
            Ok((handle, fopen)) => match self.new_handle(handle) {
                Ok(fh) => reply.opened(fh, fopen),
                Err(error) => reply.error(error),
            },
            Err(error) => self.refuse(node, error, actor(request), move |number| reply.error(number)),
        }
    }

    fn read(
        &self,
        request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        tracing::trace!(op = "read");
        let Some(handle) = self.handles.get(fh) else { return reply.error(Errno::EBADF) };
        if handle.awaits.is_some() {
            if let Some(writer) = &handle.writer {
                let mut writer = writer.lock();
                // Whoever reads has finished writing, also where a program of the shell's wrote and the shell does not flush.
                if writer.is_pending() {
                    self.send(&handle, &mut writer, actor(request), |_| {});
                }
            }
            let read = Read { handle, size, uid: request.uid(), thread: request.pid(), reply };
            return self.waits.read(read, flags.0 & libc::O_NONBLOCK == 0);
        }
        match self.try_read(&handle, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        tracing::trace!(op = "write");
        let Some(handle) = self.handles.get(fh) else { return reply.error(Errno::EBADF) };
        let (actor, size) = (actor(request), u32::try_from(data.len()).unwrap_or(u32::MAX));
        match self.take_bytes(&handle, data, owner) {
            Ok(command) => self.submit(command, actor, move |result| match result {
                Ok(()) => reply.written(size),
                Err(error) => reply.error(errno(error.kind())),
            }),
            Err(error) => self.refuse(handle.node, error, actor, move |number| reply.error(number)),
        }
    }

    fn flush(&self, request: &Request, _ino: INodeNo, fh: FileHandle, owner: LockOwner, reply: ReplyEmpty) {
        tracing::trace!(op = "flush");
        let Some(handle) = self.handles.get(fh) else { return reply.error(Errno::EBADF) };
        let Some(writer) = &handle.writer else { return reply.ok() };
        let mut writer = writer.lock();
        // Ctrl-C in the middle of `cat > prompt` closes the file like its end does.
        if writer.is_pending() && writer.wrote_last(owner) && process::was_signalled(request.pid()) {
            writer.cut();
        }
        if !writer.is_due(request.pid(), owner) {
            return reply.ok();
        }
        self.send(&handle, &mut writer, actor(request), move |result| match result {
            Ok(()) => reply.ok(),
            Err(number) => reply.error(number),
        });
    }

    fn release(
        &self,
        request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        tracing::trace!(op = "release");
        reply.ok();
        let Some(handle) = self.handles.remove(fh) else { return };
        self.waits.forget(fh);
        let Some(writer) = &handle.writer else { return };
        let mut writer = writer.lock();
        // The net under flush: a file that was passed on and closed by another process.
        if !writer.is_pending() || process::was_signalled(request.pid()) {
            return;
        }
        self.send(&handle, &mut writer, actor(request), |_| {});
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        tracing::trace!(op = "opendir");
        let Some(node) = Node::from_ino(ino.0) else { return reply.error(Errno::ENOENT) };
        // The kernel may list by itself what does not change.
        let flags = if tree::is_constant(&self.stat.port.snapshot(), node) {
            FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE
        } else {
            FopenFlags::empty()
        };
        match self.new_handle(Handle::dir(node)) {
            Ok(fh) => reply.opened(fh, flags),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _request: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        tracing::trace!(op = "readdir");
        let Some(handle) = self.handles.get(fh) else { return reply.error(Errno::EBADF) };
        let entries = self.list(&handle, offset);
        for (cookie, node, name) in rows(&entries, handle.node, offset) {
            if reply.add(INodeNo(node.ino()), cookie, file_type(tree::kind(node)), name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        tracing::trace!(op = "readdirplus");
        let Some(handle) = self.handles.get(fh) else { return reply.error(Errno::EBADF) };
        let entries = self.list(&handle, offset);
        let snapshot = self.stat.port.snapshot();
        for (cookie, node, name) in rows(&entries, handle.node, offset) {
            let Some(attributes) = tree::attributes(&snapshot, node) else { continue };
            // One time to live serves both the name and what stat says of it here.
            if reply.add(
                INodeNo(node.ino()),
                cookie,
                name,
                &self.stat.kept(snapshot.version, attr_ttl(node)),
                &self.stat.attr(node, &attributes),
                Generation(0),
            ) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _request: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        tracing::trace!(op = "releasedir");
        self.handles.remove(fh);
        reply.ok();
    }

    fn poll(
        &self,
        _request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        notifier: PollNotifier,
        events: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        let ready = match self.handles.get(fh) {
            Some(handle) if handle.awaits.is_some() => {
                let notifier = flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY).then_some(notifier);
                self.waits.poll(fh, &handle, notifier)
            }
            // Nothing that is listed ever blocks; ENOSYS here would make every poll busy.
            _ => PollEvents::POLLIN | PollEvents::POLLOUT,
        };
        reply.poll(events & ready);
    }
}

impl TreeFs {
    fn change_queue(&self, request: &Request, dir: INodeNo, change: QueueChange, reply: ReplyEmpty) {
        let Some(node) = Node::from_ino(dir.0) else { return reply.error(Errno::ENOENT) };
        match tree::change_queue(&self.stat.port.snapshot(), node, change) {
            Ok(command) => self.submit(Some(command), actor(request), move |result| match result {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error.kind())),
            }),
            Err(error) => reply.error(errno(error.kind())),
        }
    }
}

/// Answers what `name` in `parent` is now.
fn tell_entry(stat: &Stat, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
    let snapshot = stat.port.snapshot();
    match stat.child(&snapshot, parent, name) {
        Ok((node, attr)) => {
            let kept = |ttl| stat.kept(snapshot.version, ttl);
            reply.entry_with_ttls(&kept(attr_ttl(node)), &kept(name_ttl(node)), &attr, Generation(0));
        }
        Err(error) => reply.error(error),
    }
}

fn actor(request: &Request) -> Actor {
    let pid = process::thread_group(request.pid()).unwrap_or(0);
    Actor::Mount { uid: request.uid(), pid, program: process::name(pid) }
}

/// The rows of a listing after `offset`: cookie, inode, name.
fn rows(entries: &[Entry], dir: Node, offset: u64) -> impl Iterator<Item = (u64, Node, &str)> {
    let dots = [(1, dir, "."), (2, Node::Root, "..")];
    dots.into_iter()
        .chain(entries.iter().map(|entry| (entry.node.ino() + FIRST_COOKIE, entry.node, entry.name.as_ref())))
        .filter(move |(cookie, ..)| *cookie > offset)
}
