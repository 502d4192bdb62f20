//! What `stat` and `lookup` say of a node, for the kernel.

use crate::model::Snapshot;
use crate::port::Port;
use crate::tree::{self, Attributes, Node, NodeKind};
use fuser::{Errno, FileAttr, FileType, INodeNo};
use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

/// How long the kernel may keep a name: until it is told otherwise, because the
/// invalidating thread tells it (fuse-and-tmux, D8).
pub(super) const NAME_TTL: Duration = Duration::from_secs(3600);
/// How long the kernel may keep what `stat` says of a file: not at all.
const FILE_TTL: Duration = Duration::ZERO;

/// Answers about nodes, from the newest snapshot. Cheap to clone.
#[derive(Clone)]
pub(super) struct Stat {
    pub(super) port: Port,
    mounted_at: SystemTime,
    uid: u32,
    gid: u32,
}

impl Stat {
    pub(super) fn new(port: Port, mounted_at: SystemTime) -> Self {
        Self { port, mounted_at, uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() }
    }

    pub(super) fn attr(&self, node: Node, attributes: &Attributes) -> FileAttr {
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

    pub(super) fn find(&self, snapshot: &Snapshot, ino: INodeNo) -> std::result::Result<(Node, FileAttr), Errno> {
        let node = Node::from_ino(ino.0).ok_or(Errno::ENOENT)?;
        let attributes = tree::attributes(snapshot, node).ok_or(Errno::ENOENT)?;
        Ok((node, self.attr(node, &attributes)))
    }

    pub(super) fn child(&self, parent: INodeNo, name: &OsStr) -> std::result::Result<(Node, FileAttr), Errno> {
        let snapshot = self.port.snapshot();
        let parent = Node::from_ino(parent.0).ok_or(Errno::ENOENT)?;
        let node = name.to_str().and_then(|name| tree::lookup(&snapshot, parent, name)).ok_or(Errno::ENOENT)?;
        let attributes = tree::attributes(&snapshot, node).ok_or(Errno::ENOENT)?;
        Ok((node, self.attr(node, &attributes)))
    }
}

/// The kernel's word for a kind.
pub(super) fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::Dir => FileType::Directory,
        NodeKind::File => FileType::RegularFile,
        NodeKind::Link => FileType::Symlink,
    }
}

/// How long the kernel may keep a name: what comes and goes inside an agent's directory is not announced.
pub(super) fn name_ttl(node: Node) -> Duration {
    match node {
        Node::Turn(..) | Node::LastTurn(_) | Node::Queued(..) | Node::Log(..) | Node::Home(_) | Node::HomeLink(_) => {
            FILE_TTL
        }
        _ => NAME_TTL,
    }
}

/// How long the kernel may keep what `stat` says of a node: directories and the
/// links beside them change only in ways the invalidating thread announces.
pub(super) fn attr_ttl(node: Node) -> Duration {
    match node {
        Node::AgentFile(..)
        | Node::RootFile(_)
        | Node::Log(..)
        | Node::Turn(..)
        | Node::TurnFile(..)
        | Node::LastTurn(_)
        | Node::Queued(..)
        | Node::Home(_)
        | Node::HomeFile(..)
        | Node::HomeLink(_) => FILE_TTL,
        _ => NAME_TTL,
    }
}
