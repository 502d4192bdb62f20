//! The files that make their reader wait.

use super::node::Node;
use super::table::{WAIT, WaitFile};
use crate::model::wait::{may_await_turn, next_turn};
use crate::model::{AgentView, Condition, Snapshot, Wait};

/// The child `name` of an agent's `wait/` or `wait/turn/`.
pub(super) fn child(agent: &AgentView, dir: Node, name: &str) -> Option<Node> {
    match dir {
        Node::AgentFile(slot, _) => WAIT.iter().find(|row| row.name == name).map(|row| Node::WaitFile(slot, row.file)),
        Node::WaitFile(slot, _) => {
            let number: u64 = name.parse().ok().filter(|number| may_await_turn(agent, *number))?;
            // `007` and `+7` would be further names for it.
            (number.to_string() == name).then_some(Node::WaitTurn(slot, number as u16))
        }
        _ => None,
    }
}

/// The wait that reading `node` begins now; none when reading it does not wait, or it is gone.
pub fn wait(snapshot: &Snapshot, node: Node) -> Option<Wait> {
    let (slot, condition) = match node {
        Node::WaitTurn(slot, low) => (slot, Condition::Turn(turn(snapshot.by_slot(slot)?.1, low))),
        Node::WaitFile(slot, file) => {
            let condition = match file {
                WaitFile::Ready => Condition::Ready,
                WaitFile::Active => Condition::Active,
                WaitFile::Blocked => Condition::Blocked,
                WaitFile::Settled => Condition::Settled,
                WaitFile::Gone => Condition::Gone,
                WaitFile::Change => Condition::Change,
                WaitFile::Turn => return None,
            };
            (slot, condition)
        }
        _ => return None,
    };
    Some(Wait::begin(condition, snapshot.by_slot(slot)?.1))
}

/// The newest turn, the next one included, whose number ends in these bits.
fn turn(agent: &AgentView, low: u16) -> u64 {
    let next = next_turn(agent);
    next.saturating_sub(u64::from((next as u16).wrapping_sub(low)))
}
