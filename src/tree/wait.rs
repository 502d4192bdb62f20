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
        Node::WaitTurn(slot, low) => (slot, Condition::Turn(turn(next_turn(snapshot.by_slot(slot)?.1), low))),
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

/// The newest turn up to `next` whose number ends in these bits.
fn turn(next: u64, low: u16) -> u64 {
    next.saturating_sub(u64::from((next as u16).wrapping_sub(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_enough_for_the_newest_turns() {
        for (next, number) in [(1, 1), (2, 1), (70_000, 70_000), (70_000, 69_999), (70_000, 4465), (u64::MAX, u64::MAX)]
        {
            assert_eq!(turn(next, number as u16), number, "up to {next}");
        }
        assert_eq!(turn(70_000, 70_001_u32 as u16), 70_001 - 65_536);
        assert_eq!(turn(1, 7), 0, "there is none");
    }
}
