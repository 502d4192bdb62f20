//! What writing a file means.

use super::node::Node;
use super::table::{AgentFile, Form, RootFile};
use crate::command::{Command, QueueChange, agent_verbs, keys, troop_verbs};
use crate::error::{Error, Kind, Result};
use crate::model::agent_view::MAX_QUEUED;
use crate::model::{AgentView, Snapshot};
use std::sync::Arc;

/// How the bytes of one open file become commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of them together are one prompt.
    Prompt,
    /// All until a flush are one prompt, whose answer is read next.
    Ask,
    /// Every complete line is a verb or a key.
    Lines,
}

/// Whether `node` may be opened for writing now, and how its bytes are taken.
/// What can be known before the first byte is refused here, where a shell shows it.
pub fn may_write(snapshot: &Snapshot, node: Node) -> Result<Written> {
    let not_permitted = |name: &str| Error::new(Kind::NotPermitted, format!("{name} is not a file one writes"));
    match node {
        Node::RootFile(RootFile::Control) => Ok(Written::Lines),
        Node::RootFile(file) => Err(not_permitted(file.row().name)),
        Node::AgentFile(slot, file) if matches!(file.row().form, Form::ReadWrite | Form::Ask) => {
            let agent = find(snapshot, slot)?;
            match file {
                AgentFile::Prompt => agent.may_prompt().map(|()| Written::Prompt),
                AgentFile::Ask => agent.may_prompt().map(|()| Written::Ask),
                AgentFile::Keys => agent.may_type().map(|()| Written::Lines),
                // Which verbs are legal depends on the verb.
                _ => Ok(Written::Lines),
            }
        }
        Node::AgentFile(_, file) => Err(not_permitted(file.row().name)),
        Node::Queued(slot, _) => {
            let agent = find(snapshot, slot)?;
            agent.may_reach()?;
            if agent.queue.len() >= MAX_QUEUED && super::queued(agent, node).is_none() {
                let sentence = format!("the queue is full ({MAX_QUEUED} prompts); take one out or wait");
                return Err(Error::new(Kind::Full, sentence));
            }
            Ok(Written::Prompt)
        }
        Node::Log(_, log, _) => Err(not_permitted(log.name())),
        _ => Err(not_permitted("that")),
    }
}

/// The command that puts a finished text into the queue under that name.
pub fn queued(snapshot: &Snapshot, node: Node, name: &str, text: &[u8]) -> Result<Command> {
    let Node::Queued(slot, _) = node else { return Err(Error::new(Kind::NotPermitted, "that is not a queue")) };
    let agent = find(snapshot, slot)?;
    // Two names of one inode number would be one file to the kernel.
    if super::queued(agent, node).is_some_and(|known| *known.name != *name) {
        return Err(Error::new(
            Kind::Exists,
            format!("{name:?} is too much like another name in this queue; choose another"),
        ));
    }
    let text = utf8(text)?;
    Ok(Command::Queue { agent: agent.id.clone(), change: QueueChange::Put { name: name.to_owned(), text } })
}

/// The command for a change of the queue `dir`.
pub fn change_queue(snapshot: &Snapshot, dir: Node, change: QueueChange) -> Result<Command> {
    let Node::AgentFile(slot, AgentFile::Queue) = dir else {
        return Err(Error::new(Kind::NotPermitted, "only queues can be changed like this"));
    };
    Ok(Command::Queue { agent: find(snapshot, slot)?.id.clone(), change })
}

fn utf8(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| Error::new(Kind::Invalid, "the prompt is not UTF-8; convert it before writing it"))
}

/// The command that `bytes`, written whole to `node`, means. For a prompt `bytes`
/// are the finished text.
pub fn written(snapshot: &Snapshot, node: Node, bytes: &[u8]) -> Result<Command> {
    match node {
        Node::RootFile(RootFile::Control) => Ok(Command::Troop { verbs: troop_verbs(bytes)? }),
        Node::AgentFile(slot, file) => {
            let agent = find(snapshot, slot)?.id.clone();
            match file {
                AgentFile::Prompt | AgentFile::Ask => Ok(Command::Prompt { agent, text: utf8(bytes)? }),
                AgentFile::Control => Ok(Command::Control { agent, verbs: agent_verbs(bytes)? }),
                AgentFile::Keys => Ok(Command::Keys { agent, keys: keys(bytes)? }),
                _ => Err(Error::new(Kind::NotPermitted, format!("{} is not a file one writes", file.row().name))),
            }
        }
        _ => Err(Error::new(Kind::NotPermitted, "that is not a file one writes")),
    }
}

/// What a file is called where a write to it is refused.
pub fn name(node: Node) -> &'static str {
    match node {
        Node::AgentFile(_, file) => file.row().name,
        Node::RootFile(file) => file.row().name,
        Node::Log(_, log, _) => log.name(),
        Node::Queued(..) => AgentFile::Queue.row().name,
        _ => "write",
    }
}

fn find(snapshot: &Snapshot, slot: u32) -> Result<&Arc<AgentView>> {
    snapshot
        .by_slot(slot)
        .map(|(_, agent)| agent)
        .ok_or_else(|| Error::new(Kind::Gone, "the agent is not there any more"))
}
