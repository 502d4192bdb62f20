//! What is open: pinned bytes for readers, what is waited for, collected bytes for writers, pinned
//! listings for directories.

use super::awaits::Awaits;
use crate::command::Draft;
use crate::error::{Error, Kind};
use crate::process;
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
    /// The name under which it waits, for a prompt in a queue.
    pub(super) name: Option<Arc<str>>,
    /// What it reads, rendered once, when it was opened.
    pub(super) content: Option<Content>,
    /// Whether anything has been read: a second read from 0 is a fresh one.
    pub(super) was_read: AtomicBool,
    /// What it writes.
    pub(super) writer: Option<Mutex<Writer>>,
    /// What reading it waits for.
    pub(super) awaits: Option<Mutex<Awaits>>,
    /// What it lists, sorted by inode.
    pub(super) listing: Mutex<Arc<[Entry]>>,
}

impl Handle {
    /// An open file.
    pub(super) fn file(node: Node, content: Option<Content>, writer: Option<Writer>) -> Self {
        Self {
            node,
            name: None,
            content,
            was_read: AtomicBool::new(false),
            writer: writer.map(Mutex::new),
            awaits: None,
            listing: Mutex::new(Arc::new([])),
        }
    }

    /// An open file whose reader waits for that.
    pub(super) fn awaiting(node: Node, awaits: Awaits, writer: Option<Writer>) -> Self {
        Self { awaits: Some(Mutex::new(awaits)), ..Self::file(node, None, writer) }
    }

    /// Its reader waits for something else from now on, if it waits at all.
    pub(super) fn await_now(&self, awaits: Awaits) {
        if let Some(old) = &self.awaits {
            *old.lock() = awaits;
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
    /// The process that opened it; none when it cannot be seen.
    opener: Option<u32>,
    /// Whose write came last.
    pub(super) owner: Option<LockOwner>,
    /// The prompt of this open has been committed, and there is no other.
    pub(super) committed: bool,
    /// Why nothing of it is sent: a write was refused, or a signal ended a program in the middle.
    pub(super) spoiled: Option<Error>,
}

impl Writer {
    /// Opened by a thread of that id.
    pub(super) fn new(form: Written, thread: u32) -> Self {
        let opener = process::thread_group(thread);
        let (prompt, lines) = (Draft::default(), Vec::new());
        Self { form, prompt, lines, opener, owner: None, committed: false, spoiled: None }
    }

    /// Whether a flush by a thread of that id commits what has been written. The
    /// programs a shell starts for `{ echo a; cat b; echo c; } > prompt` only close
    /// their copies: the process that opened the file ends the prompt. Where that
    /// one cannot be seen or has ended, whoever wrote last does (fuse-and-tmux, D6).
    pub(super) fn is_due(&self, thread: u32, owner: LockOwner) -> bool {
        let opener = self.opener.filter(|&opener| process::thread_group(opener).is_some());
        self.is_pending()
            && match opener {
                Some(opener) => process::thread_group(thread) == Some(opener),
                None => self.wrote_last(owner),
            }
    }

    /// Whether the last write was by that owner.
    pub(super) fn wrote_last(&self, owner: LockOwner) -> bool {
        self.owner.is_none_or(|writer| writer == owner)
    }

    /// Nothing of it is sent, and nobody goes on with it: half a prompt is not what was meant.
    pub(super) fn spoil(&mut self, why: Error) {
        self.discard();
        self.spoiled = Some(why);
    }

    /// A signal ends a program that wrote.
    pub(super) fn cut(&mut self) {
        self.spoil(Error::new(
            Kind::Invalid,
            "a signal ended a program that was writing this, so nothing of it is sent; open the file again",
        ));
    }

    /// Whether anything is left that was not committed.
    pub(super) fn is_pending(&self) -> bool {
        match self.form {
            Written::Prompt | Written::Ask => !self.committed && !self.prompt.is_empty(),
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

    /// Some handle on that node. Goes through all that is open: for what is seldom asked.
    pub(super) fn find(&self, node: Node) -> Option<Arc<Handle>> {
        self.open.lock().values().find(|handle| handle.node == node && handle.content.is_some()).cloned()
    }

    pub(super) fn remove(&self, number: FileHandle) -> Option<Arc<Handle>> {
        self.open.lock().remove(&number.0)
    }
}
