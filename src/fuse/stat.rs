//! What `stat` and `lookup` say of a node, for the kernel.

use crate::model::Snapshot;
use crate::port::Port;
use crate::tree::{self, Attributes, Node, NodeKind};
use fuser::{Errno, FileAttr, FileType, INodeNo};
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How long the kernel may keep a name: until it is told otherwise, because the
/// invalidating thread tells it (fuse-and-tmux, D8).
pub(super) const NAME_TTL: Duration = Duration::from_secs(3600);
/// How long the kernel may keep what `stat` says of a file: not at all.
const FILE_TTL: Duration = Duration::ZERO;

/// Which snapshot the invalidating thread compares the next one with. Names of any other are not kept: one that was there only in between
/// is in neither, and the thread would never say that it has gone.
#[derive(Debug)]
pub(super) struct Told(AtomicU64);

impl Told {
    /// Nobody compares yet.
    pub(super) fn nothing() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// The snapshot of that version is compared with the next one. To be said before the kernel is told what differs from
    /// the last one, because what is answered from that in the meantime is not kept.
    pub(super) fn set(&self, version: u64) {
        self.0.store(version, Ordering::SeqCst);
    }
}

/// Answers about nodes, from the newest snapshot. Cheap to clone.
#[derive(Clone)]
pub(super) struct Stat {
    pub(super) port: Port,
    told: Arc<Told>,
    mounted_at: SystemTime,
    uid: u32,
    gid: u32,
}

impl Stat {
    pub(super) fn new(port: Port, told: Arc<Told>, mounted_at: SystemTime) -> Self {
        Self { port, told, mounted_at, uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() }
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

    /// How long the kernel may keep what was found in the snapshot of that version and may be kept for `ttl`.
    pub(super) fn kept(&self, version: u64, ttl: Duration) -> Duration {
        if self.told.0.load(Ordering::SeqCst) == version { ttl } else { Duration::ZERO }
    }

    pub(super) fn child(
        &self,
        snapshot: &Snapshot,
        parent: INodeNo,
        name: &OsStr,
    ) -> std::result::Result<(Node, FileAttr), Errno> {
        let parent = Node::from_ino(parent.0).ok_or(Errno::ENOENT)?;
        let node = name.to_str().and_then(|name| tree::lookup(snapshot, parent, name)).ok_or(Errno::ENOENT)?;
        let attributes = tree::attributes(snapshot, node).ok_or(Errno::ENOENT)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_thread_compares_with_is_kept() {
        let (port, _hub) = crate::port::pair();
        let told = Arc::new(Told::nothing());
        let stat = Stat::new(port, told.clone(), SystemTime::UNIX_EPOCH);
        assert_eq!(stat.kept(0, NAME_TTL), Duration::ZERO);
        told.set(7);
        assert_eq!([6, 7, 8].map(|version| stat.kept(version, NAME_TTL) == NAME_TTL), [false, true, false]);
    }
}
