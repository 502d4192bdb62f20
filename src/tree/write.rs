//! What writing a file means.

use super::node::Node;
use super::table::{AgentFile, Form, RootFile};
use crate::command::{Command, agent_verbs, keys, troop_verbs};
use crate::error::{Error, Kind, Result};
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
        _ => Err(not_permitted("that")),
    }
}

/// The command that `bytes`, written whole to `node`, means. For a prompt `bytes`
/// are the finished text.
pub fn written(snapshot: &Snapshot, node: Node, bytes: &[u8]) -> Result<Command> {
    match node {
        Node::RootFile(RootFile::Control) => Ok(Command::Troop { verbs: troop_verbs(bytes)? }),
        Node::AgentFile(slot, file) => {
            let agent = find(snapshot, slot)?.id.clone();
            match file {
                AgentFile::Prompt | AgentFile::Ask => {
                    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
                        Error::new(Kind::Invalid, "the prompt is not UTF-8; convert it before writing it")
                    })?;
                    Ok(Command::Prompt { agent, text })
                }
                AgentFile::Control => Ok(Command::Control { agent, verbs: agent_verbs(bytes)? }),
                AgentFile::Keys => Ok(Command::Keys { agent, keys: keys(bytes)? }),
                _ => Err(Error::new(Kind::NotPermitted, format!("{} is not a file one writes", file.row().name))),
            }
        }
        _ => Err(Error::new(Kind::NotPermitted, "that is not a file one writes")),
    }
}

fn find(snapshot: &Snapshot, slot: u32) -> Result<&Arc<AgentView>> {
    snapshot
        .by_slot(slot)
        .map(|(_, agent)| agent)
        .ok_or_else(|| Error::new(Kind::Gone, "the agent is not there any more"))
}
