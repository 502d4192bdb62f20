//! What is open: pinned bytes for readers, collected bytes for writers, pinned
//! listings for directories.

use crate::command::Draft;
use crate::tree::{Content, Entry, Node, Written};
use fuser::{FileHandle, LockOwner};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The most files and directories open at once.
pub(super) const MAX_HANDLES: usize = 65_536;

/// One open file or directory.
pub(super) struct Handle {
    pub(super) node: Node,
    /// What it reads, rendered once, when it was opened.
    pub(super) content: Option<Content>,
    /// Whether anything has been read: a second read from 0 is a fresh one.
    pub(super) was_read: AtomicBool,
    /// What it writes.
    pub(super) writer: Option<Mutex<Writer>>,
    /// What it lists, sorted by inode.
    pub(super) listing: Mutex<Arc<[Entry]>>,
}

impl Handle {
    /// An open file.
    pub(super) fn file(node: Node, content: Option<Content>, writer: Option<Writer>) -> Self {
        Self {
            node,
            content,
            was_read: AtomicBool::new(false),
            writer: writer.map(Mutex::new),
            listing: Mutex::new(Arc::new([])),
        }
    }

    /// An open directory.
    pub(super) fn dir(node: Node) -> Self {
        Self::file(node, None, None)
    }
}

/// What has been written through one open file.
pub(super) struct Writer {
    pub(super) form: Written,
    pub(super) prompt: Draft,
    pub(super) lines: Vec<u8>,
    /// Whose write came last: a flush by somebody else, such as a child that
    /// exits, commits nothing (fuse-and-tmux, D6).
    pub(super) owner: Option<LockOwner>,
    /// The prompt of this open has been committed.
    pub(super) committed: bool,
}

impl Writer {
    pub(super) fn new(form: Written) -> Self {
        Self { form, prompt: Draft::default(), lines: Vec::new(), owner: None, committed: false }
    }

    /// Whether a flush by `owner` has something to commit.
    pub(super) fn is_due(&self, owner: LockOwner) -> bool {
        self.is_pending() && self.owner.is_none_or(|writer| writer == owner)
    }

    /// Whether anything is left that was not committed.
    pub(super) fn is_pending(&self) -> bool {
        match self.form {
            Written::Prompt => !self.committed && !self.prompt.is_empty(),
            Written::Lines => !self.lines.is_empty(),
        }
    }

    /// Forgets what was not committed.
    pub(super) fn discard(&mut self) {
        self.prompt.clear();
        self.lines.clear();
    }
}

/// Everything that is open.
#[derive(Default)]
pub(super) struct Handles {
    open: Mutex<HashMap<u64, Arc<Handle>>>,
    last: AtomicU64,
}

impl Handles {
    /// A number for `handle`, or none when too many are open.
    pub(super) fn insert(&self, handle: Handle) -> Option<FileHandle> {
        let mut open = self.open.lock();
        if open.len() >= MAX_HANDLES {
            return None;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        open.insert(number, Arc::new(handle));
        Some(FileHandle(number))
    }

    pub(super) fn get(&self, number: FileHandle) -> Option<Arc<Handle>> {
        self.open.lock().get(&number.0).cloned()
    }

    pub(super) fn remove(&self, number: FileHandle) -> Option<Arc<Handle>> {
        self.open.lock().remove(&number.0)
    }
}
