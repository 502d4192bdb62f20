//! Kernel requests to tree and port, and nothing more: every answer comes from
//! `tree`, every effect goes through `port`. A handler never waits; an answer
//! that depends on the loop is sent from the loop's thread.

use super::errno::errno;
use super::handle::{Handle, Handles, Writer};
use crate::command::{Command, Launch};
use crate::error::{Error, Kind, Result};
use crate::model::{Actor, AgentName, Snapshot};
use crate::port::{Port, Until};
use crate::tree::{self, Attributes, Content, Entry, Node, NodeKind, Written};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenAccMode, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyPoll,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// How long the kernel may keep a name: until it is told otherwise, because the
/// invalidating thread tells it (fuse-and-tmux, D8).
const NAME_TTL: Duration = Duration::from_secs(3600);
/// How long the kernel may keep what `stat` says of a file: not at all.
const FILE_TTL: Duration = Duration::ZERO;
/// Where cookies of a listing begin: `.` and `..` take the two before.
const FIRST_COOKIE: u64 = 2;

/// The tree as a FUSE filesystem.
pub(super) struct TreeFs {
    port: Port,
    handles: Handles,
    mounted_at: SystemTime,
    uid: u32,
    gid: u32,
}

impl TreeFs {
    pub(super) fn new(port: Port, mounted_at: SystemTime) -> Self {
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        Self { port, handles: Handles::default(), mounted_at, uid, gid }
    }

    fn attr(&self, node: Node, attributes: &Attributes) -> FileAttr {
        let mtime = attributes.mtime.map_or(self.mounted_at, SystemTime::from);
        FileAttr {
            ino: INodeNo(node.ino()),
            size: attributes.size,
            blocks: attributes.size.div_ceil(512),
            atime: mtime,
            mtime,
            ctime: mtime,
            crtime: mtime,
            kind: file_type(attributes.kind),
            perm: attributes.mode,
            nlink: if attributes.kind == NodeKind::Dir { 2 } else { 1 },
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn find(&self, snapshot: &Snapshot, ino: INodeNo) -> std::result::Result<(Node, FileAttr), Errno> {
        let node = Node::from_ino(ino.0).ok_or(Errno::ENOENT)?;
        let attributes = tree::attributes(snapshot, node).ok_or(Errno::ENOENT)?;
        Ok((node, self.attr(node, &attributes)))
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> std::result::Result<(Node, FileAttr), Errno> {
        let snapshot = self.port.snapshot();
        let parent = Node::from_ino(parent.0).ok_or(Errno::ENOENT)?;
        let node = name.to_str().and_then(|name| tree::lookup(&snapshot, parent, name)).ok_or(Errno::ENOENT)?;
        let attributes = tree::attributes(&snapshot, node).ok_or(Errno::ENOENT)?;
        Ok((node, self.attr(node, &attributes)))
    }

    fn new_handle(&self, handle: Handle) -> std::result::Result<FileHandle, Errno> {
        self.handles.insert(handle).ok_or(Errno::ENFILE)
    }

    fn try_open(&self, snapshot: &Snapshot, node: Node, flags: OpenFlags) -> Result<(Handle, FopenFlags)> {
        if tree::kind(node) != NodeKind::File {
            return Err(Error::new(Kind::NotPermitted, "only files can be opened"));
        }
        let mode = flags.acc_mode();
        let writer = match mode {
            OpenAccMode::O_RDONLY => None,
            _ => Some(Mutex::new(Writer::new(tree::may_write(snapshot, node)?))),
        };
        let content = match mode {
            OpenAccMode::O_WRONLY => None,
            _ => Some(
                tree::content(snapshot, node).ok_or_else(|| Error::new(Kind::NotFound, "it is not there any more"))?,
            ),
        };
        let mut fopen = FopenFlags::FOPEN_DIRECT_IO;
        if writer.is_none() {
            fopen |= FopenFlags::FOPEN_NOFLUSH;
        }
        let handle =
            Handle { node, content, was_read: AtomicBool::new(false), writer, listing: Mutex::new(Arc::new([])) };
        Ok((handle, fopen))
    }

    fn try_read(&self, handle: &Handle, offset: u64, size: u32) -> std::result::Result<Vec<u8>, Errno> {
        let content = handle.content.as_ref().ok_or(Errno::EBADF)?;
        let (offset, size) = (usize::try_from(offset).map_err(|_| Errno::EINVAL)?, size as usize);
        let again = handle.was_read.swap(true, Ordering::Relaxed);
        if let Node::AgentFile(slot, _) = handle.node {
            let snapshot = self.port.snapshot();
            match (snapshot.by_slot(slot), content) {
                (None, _) if again && offset == 0 => return Err(Errno::ESRCH),
                (Some((_, agent)), Content::Growing(_, format)) => {
                    return Ok(agent.history.read(*format, offset, size));
                }
                _ => {}
            }
        }
        Ok(match content {
            Content::Growing(history, format) => history.read(*format, offset, size),
            Content::Fixed(bytes) => {
                let start = offset.min(bytes.len());
                bytes[start..start.saturating_add(size).min(bytes.len())].to_vec()
            }
        })
    }

    /// Adds written bytes, and gives the command they complete.
    fn take_bytes(&self, handle: &Handle, data: &[u8], owner: Option<LockOwner>) -> Result<Option<Command>> {
        let mut writer =
            handle.writer.as_ref().ok_or_else(|| Error::new(Kind::NotPermitted, "it is open for reading only"))?.lock();
        if writer.committed {
            return Err(Error::new(
                Kind::Invalid,
                "the prompt of this open file has been delivered already; open it again for another",
            ));
        }
        writer.owner = owner;
        match writer.form {
            Written::Prompt => writer.prompt.push(data).map(|()| None),
            Written::Lines => {
                writer.lines.extend_from_slice(data);
                if writer.lines.len() <= crate::command::MAX_CONTROL_BYTES && writer.lines.last() != Some(&b'\n') {
                    return Ok(None);
                }
                let lines = std::mem::take(&mut writer.lines);
                tree::written(&self.port.snapshot(), handle.node, &lines).map(Some)
            }
        }
    }

    /// What a flush or a release commits.
    fn commit(&self, handle: &Handle, writer: &mut Writer) -> Result<Command> {
        let bytes = match writer.form {
            Written::Prompt => {
                writer.committed = true;
                writer.prompt.finish()?.into_bytes()
            }
            Written::Lines => std::mem::take(&mut writer.lines),
        };
        tree::written(&self.port.snapshot(), handle.node, &bytes)
    }

    /// Submits what was understood, if anything was; `answer` comes when it was accepted or refused.
    fn submit(&self, command: Option<Command>, actor: Actor, answer: impl FnOnce(Result<()>) + Send + 'static) {
        match command {
            Some(command) => self.port.submit(command, actor, Until::Accepted, Box::new(answer)),
            None => answer(Ok(())),
        }
    }

    /// Shows and records a refusal, then answers: the sentence is in `error`
    /// before the caller learns the errno.
    fn refuse(&self, node: Node, error: Error, actor: Actor, answer: impl FnOnce(Errno) + Send + 'static) {
        let snapshot = self.port.snapshot();
        let (agent, what) = match node {
            Node::AgentFile(slot, file) => (snapshot.by_slot(slot).map(|(_, agent)| agent.id.clone()), file.row().name),
            Node::RootFile(file) => (None, file.row().name),
            _ => (None, "write"),
        };
        let number = errno(error.kind());
        if agent.is_none() && !matches!(node, Node::RootFile(_)) {
            return answer(number);
        }
        let command = Command::Refused { agent, what: what.to_owned(), error };
        self.port.submit(command, actor, Until::Accepted, Box::new(move |_| answer(number)));
    }

    fn list(&self, handle: &Handle, offset: u64) -> Arc<[Entry]> {
        let mut listing = handle.listing.lock();
        if offset == 0 {
            let mut entries = tree::entries(&self.port.snapshot(), handle.node).unwrap_or_default();
            entries.sort_unstable_by_key(|entry| entry.node.ino());
            *listing = entries.into();
        }
        listing.clone()
    }
}

fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::Dir => FileType::Directory,
        NodeKind::File => FileType::RegularFile,
        NodeKind::Link => FileType::Symlink,
    }
}

/// How long the kernel may keep what `stat` says of a node: directories and the
/// links beside them change only in ways the invalidating thread announces.
fn attr_ttl(node: Node) -> Duration {
    match node {
        Node::AgentFile(..) | Node::RootFile(_) => FILE_TTL,
        _ => NAME_TTL,
    }
}

fn actor(request: &Request) -> Actor {
    Actor::Mount { uid: request.uid(), pid: request.pid() }
}

/// The rows of a listing after `offset`: cookie, inode, name.
fn rows(entries: &[Entry], dir: Node, offset: u64) -> impl Iterator<Item = (u64, Node, &str)> {
    let dots = [(1, dir, "."), (2, Node::Root, "..")];
    dots.into_iter()
        .chain(entries.iter().map(|entry| (entry.node.ino() + FIRST_COOKIE, entry.node, entry.name.as_ref())))
        .filter(move |(cookie, ..)| *cookie > offset)
}

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
        match self.child(parent, name) {
            Ok((node, attr)) => reply.entry_with_ttls(&attr_ttl(node), &NAME_TTL, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        tracing::trace!(op = "getattr");
        match self.find(&self.port.snapshot(), ino) {
            Ok((node, attr)) => reply.attr(&attr_ttl(node), &attr),
            Err(error) => reply.error(error),
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
        let (node, attr) = match self.find(&self.port.snapshot(), ino) {
            Ok(found) => found,
            Err(error) => return reply.error(error),
        };
        let writable = attr.perm & 0o200 != 0 && attr.kind == FileType::RegularFile;
        let same_mode = mode.is_none_or(|mode| mode & 0o7777 == u32::from(attr.perm));
        // Editors truncate, then set the mode and times they found; nothing else can be set.
        if !writable || !same_mode || uid.is_some() || gid.is_some() {
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
        reply.attr(&attr_ttl(node), &attr);
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        tracing::trace!(op = "readlink");
        match Node::from_ino(ino.0).and_then(|node| tree::target(&self.port.snapshot(), node)) {
            Some(target) => reply.data(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str())),
            None => reply.error(Errno::ENOENT),
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
            Err(error) => return reply.error(errno(error.kind())),
        };
        let launch = Launch { name: name.clone(), tool: None, cwd: None, argv: Vec::new() };
        let (port, attributes) = (self.port.clone(), (self.uid, self.gid, self.mounted_at));
        let answer = Box::new(move |result: Result<()>| {
            let view = Self {
                port,
                handles: Handles::default(),
                mounted_at: attributes.2,
                uid: attributes.0,
                gid: attributes.1,
            };
            match result {
                Ok(()) => match view.child(INodeNo(Node::Agents.ino()), OsStr::new(name.as_str())) {
                    Ok((node, attr)) => reply.entry_with_ttls(&attr_ttl(node), &NAME_TTL, &attr, Generation(0)),
                    Err(error) => reply.error(error),
                },
                Err(error) => reply.error(errno(error.kind())),
            }
        });
        self.port.submit(Command::launch(launch), actor(request), Until::Done, answer);
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        tracing::trace!(op = "rmdir");
        let slot = match self.child(parent, name) {
            Ok((Node::Agent(slot), _)) => slot,
            Ok(_) => return reply.error(Errno::EPERM),
            Err(error) => return reply.error(error),
        };
        let Some(agent) = self.port.snapshot().by_slot(slot).map(|(_, agent)| agent.id.clone()) else {
            return reply.error(Errno::ENOENT);
        };
        let answer = Box::new(move |result: Result<()>| match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error.kind())),
        });
        self.port.submit(Command::Retire { agent }, actor(request), Until::Done, answer);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn rename(&self, _: &Request, _: INodeNo, _: &OsStr, _: INodeNo, _: &OsStr, _: RenameFlags, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        reply.error(Errno::EPERM);
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        tracing::trace!(op = "open");
        let snapshot = self.port.snapshot();
        let Some(node) = Node::from_ino(ino.0) else { return reply.error(Errno::ENOENT) };
        match self.try_open(&snapshot, node, flags) {
            Ok((handle, fopen)) => match self.new_handle(handle) {
                Ok(fh) => reply.opened(fh, fopen),
                Err(error) => reply.error(error),
            },
            Err(error) => self.refuse(node, error, actor(request), move |number| reply.error(number)),
        }
    }

    fn read(
        &self,
        _request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        tracing::trace!(op = "read");
        match self.handles.get(fh).ok_or(Errno::EBADF).and_then(|handle| self.try_read(&handle, offset, size)) {
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
        if !writer.is_due(owner) {
            return reply.ok();
        }
        // Ctrl-C in the middle of `cat > prompt` closes the file like its end does.
        if crate::process::was_signalled(request.pid()) {
            writer.discard();
            return reply.ok();
        }
        let committed = self.commit(&handle, &mut writer);
        drop(writer);
        let actor = actor(request);
        match committed {
            Ok(command) => self.submit(Some(command), actor, move |result| match result {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error.kind())),
            }),
            Err(error) => self.refuse(handle.node, error, actor, move |number| reply.error(number)),
        }
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
        let Some(writer) = &handle.writer else { return };
        let mut writer = writer.lock();
        // The net under flush: a file that was passed on and closed by another process.
        if !writer.is_pending() || crate::process::was_signalled(request.pid()) {
            return;
        }
        let committed = self.commit(&handle, &mut writer);
        let actor = actor(request);
        match committed {
            Ok(command) => self.submit(Some(command), actor, |_| {}),
            Err(error) => self.refuse(handle.node, error, actor, |_| {}),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        tracing::trace!(op = "opendir");
        let Some(node) = Node::from_ino(ino.0) else { return reply.error(Errno::ENOENT) };
        let handle = Handle {
            node,
            content: None,
            was_read: AtomicBool::new(false),
            writer: None,
            listing: Mutex::new(Arc::new([])),
        };
        match self.new_handle(handle) {
            Ok(fh) => reply.opened(fh, FopenFlags::empty()),
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
        let snapshot = self.port.snapshot();
        for (cookie, node, name) in rows(&entries, handle.node, offset) {
            let Some(attributes) = tree::attributes(&snapshot, node) else { continue };
            // One time to live serves both the name and what stat says of it here.
            if reply.add(
                INodeNo(node.ino()),
                cookie,
                name,
                &attr_ttl(node),
                &self.attr(node, &attributes),
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
        _fh: FileHandle,
        _notifier: PollNotifier,
        events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        // Nothing that is listed ever blocks; ENOSYS here would make every poll busy.
        reply.poll(events & (PollEvents::POLLIN | PollEvents::POLLOUT));
    }
}
