//! What opening, reading and writing do: everything comes from `tree`, and every
//! effect goes through `port`. Nothing here waits; an answer that depends on the
//! loop is sent from the loop's thread.

use super::awaits::Awaits;
use super::errno::errno;
use super::handle::{Handle, Handles, Writer};
use super::refuse::refuse;
use super::stat::Stat;
use super::waits::Waits;
use crate::command::{Command, MAX_CONTROL_BYTES, TroopVerb, Verb, check_queue_name};
use crate::error::{Error, Kind, Result};
use crate::model::history::Part;
use crate::model::{Actor, Asked, Snapshot};
use crate::port::Until;
use crate::tree::table::AgentFile;
use crate::tree::{self, Content, Entry, Node, NodeKind, Written};
use fuser::{Errno, FileAttr, FileHandle, FopenFlags, INodeNo, LockOwner, OpenAccMode, OpenFlags};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The tree as a filesystem.
pub(super) struct TreeFs {
    pub(super) stat: Stat,
    pub(super) handles: Handles,
    pub(super) waits: Waits,
}

impl TreeFs {
    pub(super) fn new(stat: Stat, waits: Waits) -> Self {
        Self { stat, handles: Handles::default(), waits }
    }

    pub(super) fn new_handle(&self, handle: Handle) -> std::result::Result<FileHandle, Errno> {
        self.handles.insert(handle).ok_or(Errno::ENFILE)
    }

    /// Opens `node` for a thread of that id.
    pub(super) fn try_open(
        &self,
        snapshot: &Snapshot,
        node: Node,
        flags: OpenFlags,
        thread: u32,
    ) -> Result<(Handle, FopenFlags)> {
        if tree::kind(node) != NodeKind::File {
            return Err(Error::new(Kind::NotPermitted, "only files can be opened"));
        }
        let mode = flags.acc_mode();
        let streaming = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_STREAM;
        if let Some(wait) = tree::wait(snapshot, node) {
            if mode != OpenAccMode::O_RDONLY {
                tree::may_write(snapshot, node)?;
            }
            let handle = Handle::awaiting(node, Awaits::Condition(wait), None);
            return Ok((handle, streaming | FopenFlags::FOPEN_NOFLUSH));
        }
        if matches!(node, Node::AgentFile(_, AgentFile::Ask)) {
            if mode != OpenAccMode::O_RDWR {
                return Err(Error::new(
                    Kind::Invalid,
                    "ask is opened for reading and writing at once (exec 3<>ask): write a prompt, then read its answer",
                ));
            }
            let writer = Writer::new(tree::may_write(snapshot, node)?, thread);
            // A stream has no position that a write would wait for behind a read (peers, 6.14).
            return Ok((Handle::awaiting(node, Awaits::Nothing, Some(writer)), streaming));
        }
        let writer = match mode {
            OpenAccMode::O_RDONLY => None,
            _ => Some(Writer::new(tree::may_write(snapshot, node)?, thread)),
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
        let mut handle = Handle::file(node, content, writer);
        if let Node::Queued(slot, _) = node {
            let queued = snapshot.by_slot(slot).and_then(|(_, agent)| tree::queued(agent, node));
            let queued = queued.ok_or_else(|| Error::new(Kind::NotFound, "it does not wait in the queue any more"))?;
            handle.name = Some(queued.name.clone());
        }
        Ok((handle, fopen))
    }

    pub(super) fn try_read<'h>(
        &self,
        handle: &'h Handle,
        offset: u64,
        size: u32,
    ) -> std::result::Result<Cow<'h, [u8]>, Errno> {
        let content = handle.content.as_ref().ok_or(Errno::EBADF)?;
        let (offset, size) = (usize::try_from(offset).map_err(|_| Errno::EINVAL)?, size as usize);
        let again = handle.was_read.swap(true, Ordering::Relaxed);
        // Only a fresh read from the beginning asks whether the agent is still there.
        if again
            && offset == 0
            && let Node::AgentFile(slot, _) | Node::Log(slot @ 1.., ..) = handle.node
            && self.stat.port.snapshot().by_slot(slot).is_none()
        {
            return Err(Errno::ESRCH);
        }
        Ok(match content {
            Content::Growing(part, format) => self.grown(handle.node, part).read(*format, offset, size).into(),
            Content::Fixed(bytes) => {
                let start = offset.min(bytes.len());
                bytes[start..start.saturating_add(size).min(bytes.len())].into()
            }
        })
    }

    /// A growing text as everybody sees it now, or whole when it grows no more.
    fn grown(&self, node: Node, part: &Part) -> Part {
        match tree::content(&self.stat.port.snapshot(), node) {
            Some(Content::Growing(now, _)) => now,
            _ => part.to_its_end(),
        }
    }

    /// What `stat` says of a node that no name leads to any more and that is still open: a
    /// part of a growing file keeps its size.
    pub(super) fn open_attr(&self, ino: INodeNo) -> Option<FileAttr> {
        let node = Node::from_ino(ino.0).filter(|node| matches!(node, Node::Log(..)))?;
        let handle = self.handles.find(node)?;
        let attributes = tree::attributes_of_open(&self.stat.port.snapshot(), node, handle.content.as_ref()?)?;
        Some(self.stat.attr(node, &attributes))
    }

    /// Adds written bytes, and gives the command they complete.
    pub(super) fn take_bytes(&self, handle: &Handle, data: &[u8], owner: Option<LockOwner>) -> Result<Option<Command>> {
        let mut writer =
            handle.writer.as_ref().ok_or_else(|| Error::new(Kind::NotPermitted, "it is open for reading only"))?.lock();
        if let Some(why) = &writer.spoiled {
            return Err(why.clone());
        }
        if writer.committed {
            return Err(Error::new(
                Kind::Invalid,
                "the prompt of this open file has been delivered already; open it again for another",
            ));
        }
        if writer.form == Written::Ask && !writer.is_pending() {
            // The first was checked when the file was opened; between two a turn may run.
            tree::may_write(&self.stat.port.snapshot(), handle.node)?;
        }
        writer.owner = owner;
        match writer.form {
            Written::Prompt | Written::Ask => {
                let pushed = writer.prompt.push(data);
                pushed.map(|()| None).inspect_err(|why| writer.spoil(why.clone()))
            }
            Written::Lines => {
                writer.lines.extend_from_slice(data);
                if writer.lines.len() <= MAX_CONTROL_BYTES && writer.lines.last() != Some(&b'\n') {
                    return Ok(None);
                }
                let lines = std::mem::take(&mut writer.lines);
                tree::written(&self.stat.port.snapshot(), handle.node, &lines).map(Some)
            }
        }
    }

    /// Commits what has been written and submits it; `answer` comes when it was accepted or
    /// refused, and before that whoever reads the open file next waits for the answer to it.
    pub(super) fn send(
        &self,
        handle: &Arc<Handle>,
        writer: &mut Writer,
        actor: Actor,
        answer: impl FnOnce(std::result::Result<(), Errno>) + Send + 'static,
    ) {
        handle.await_now(Awaits::Asking);
        let (port, waits, asking) = (self.stat.port.clone(), self.waits.clone(), handle.clone());
        let settled = move |awaits| {
            asking.await_now(awaits);
            waits.stir();
        };
        let node = handle.node;
        match self.commit(handle, writer) {
            Ok(command) => self.submit(Some(command), actor, move |result| {
                // The snapshot that has just been published is the one whose last turn this is.
                settled(asked(&port.snapshot(), node, &result));
                answer(result.map_err(|error| errno(error.kind())));
            }),
            Err(error) => self.refuse(node, error.clone(), actor, move |number| {
                // Not before the sentence is to be read.
                settled(Awaits::Failed { error, told: true });
                answer(Err(number));
            }),
        }
    }

    /// What a flush or a release commits.
    fn commit(&self, handle: &Handle, writer: &mut Writer) -> Result<Command> {
        let bytes = match writer.form {
            Written::Prompt => {
                writer.committed = true;
                writer.prompt.finish()?.into_bytes()
            }
            Written::Ask => writer.prompt.finish()?.into_bytes(),
            Written::Lines => std::mem::take(&mut writer.lines),
        };
        let snapshot = self.stat.port.snapshot();
        match &handle.name {
            Some(name) => tree::queue_command(&snapshot, handle.node, name, &bytes),
            None => tree::written(&snapshot, handle.node, &bytes),
        }
    }

    /// Opens a prompt for the queue `dir` under a name that is not in it yet.
    pub(super) fn try_create(&self, snapshot: &Snapshot, dir: Node, name: &str, thread: u32) -> Result<Handle> {
        let Node::AgentFile(slot, AgentFile::Queue) = dir else {
            return Err(Error::new(Kind::NotPermitted, "files can be made in a queue only"));
        };
        check_queue_name(name)?;
        let node = Node::queued(slot, name);
        let writer = Writer::new(tree::may_write(snapshot, node)?, thread);
        Ok(Handle { name: Some(name.into()), ..Handle::file(node, None, Some(writer)) })
    }

    /// Submits what was understood, if anything was; `answer` comes when it was accepted or refused.
    pub(super) fn submit(
        &self,
        command: Option<Command>,
        actor: Actor,
        answer: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        match command {
            Some(command) => {
                // A prompt is accepted at once; whether the queue took one is known when it is on disk, and where an
                // agent that was stopped or launched is listed is known when it is.
                let until = match &command {
                    Command::Queue { .. } => Until::Done,
                    Command::Control { verbs, .. } if verbs.iter().any(Verb::is_awaited) => Until::Done,
                    Command::Troop { verbs } if verbs.iter().any(TroopVerb::is_awaited) => Until::Done,
                    _ => Until::Accepted,
                };
                self.stat.port.submit(command, actor, until, Box::new(answer));
            }
            None => answer(Ok(())),
        }
    }

    /// Shows and records a refusal, then answers.
    pub(super) fn refuse(&self, node: Node, error: Error, actor: Actor, answer: impl FnOnce(Errno) + Send + 'static) {
        refuse(&self.stat.port, node, error, actor, answer);
    }

    pub(super) fn list(&self, handle: &Handle, offset: u64) -> Arc<[Entry]> {
        let mut listing = handle.listing.lock();
        if offset == 0 {
            let mut entries = tree::entries(&self.stat.port.snapshot(), handle.node).unwrap_or_default();
            entries.sort_unstable_by_key(|entry| entry.node.ino());
            *listing = entries.into();
        }
        listing.clone()
    }
}

/// What is read next where a prompt was written, once that was accepted or refused.
fn asked(snapshot: &Snapshot, node: Node, result: &Result<()>) -> Awaits {
    let agent = match node {
        Node::AgentFile(slot, _) => snapshot.by_slot(slot),
        _ => None,
    };
    match (result, agent.and_then(|(_, agent)| Asked::last_of(agent))) {
        (Ok(()), Some(asked)) => Awaits::Answer(asked),
        (Ok(()), None) => {
            let error = Error::new(Kind::Io, "the prompt was accepted, but its turn is not known; read the history");
            Awaits::Failed { error, told: false }
        }
        // The loop has shown it.
        (Err(error), _) => Awaits::Failed { error: error.clone(), told: true },
    }
}
