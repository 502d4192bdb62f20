//! A refusal, shown before it is answered.

use super::errno::errno;
use crate::command::Command;
use crate::error::Error;
use crate::model::Actor;
use crate::port::{Port, Until};
use crate::tree::{self, ALL_AGENTS, Node};
use fuser::Errno;

/// Shows and records a refusal, then answers: the sentence is in `error`
/// before the caller learns the errno.
pub(super) fn refuse(port: &Port, node: Node, error: Error, actor: Actor, answer: impl FnOnce(Errno) + Send + 'static) {
    let snapshot = port.snapshot();
    let agent = match node {
        Node::AgentFile(slot, _) | Node::Log(slot @ 1.., ..) | Node::Queued(slot, _) => {
            snapshot.by_slot(slot).map(|(_, agent)| agent.id.clone())
        }
        _ => None,
    };
    let number = errno(error.kind());
    if agent.is_none() && !matches!(node, Node::RootFile(_) | Node::Log(ALL_AGENTS, ..)) {
        return answer(number);
    }
    let command = Command::Refused { agent, what: tree::name(node).to_owned(), error };
    port.submit(command, actor, Until::Accepted, Box::new(move |_| answer(number)));
}
