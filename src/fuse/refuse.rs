//! A refusal, shown before it is answered.

use super::errno::errno;
use crate::command::Command;
use crate::error::Error;
use crate::model::Actor;
use crate::port::{Port, Until};
use crate::tree::Node;
use crate::tree::table::AgentFile;
use fuser::Errno;

/// Shows and records a refusal, then answers: the sentence is in `error`
/// before the caller learns the errno.
pub(super) fn refuse(port: &Port, node: Node, error: Error, actor: Actor, answer: impl FnOnce(Errno) + Send + 'static) {
    let snapshot = port.snapshot();
    let (agent, what) = match node {
        Node::AgentFile(slot, file) => (snapshot.by_slot(slot).map(|(_, agent)| agent.id.clone()), file.row().name),
        Node::Queued(slot, _) => {
            (snapshot.by_slot(slot).map(|(_, agent)| agent.id.clone()), AgentFile::Queue.row().name)
        }
        Node::RootFile(file) => (None, file.row().name),
        _ => (None, "write"),
    };
    let number = errno(error.kind());
    if agent.is_none() && !matches!(node, Node::RootFile(_)) {
        return answer(number);
    }
    let command = Command::Refused { agent, what: what.to_owned(), error };
    port.submit(command, actor, Until::Accepted, Box::new(move |_| answer(number)));
}
