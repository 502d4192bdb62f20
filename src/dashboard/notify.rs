//! When a person is told although nobody looks: an agent has come to wait for one.

use crate::model::{AgentId, Snapshot, Status};
use std::collections::BTreeMap;

/// What every agent's status was.
#[derive(Debug, Default)]
pub(super) struct Edges(BTreeMap<AgentId, Status>);

impl Edges {
    /// The live agents that have become blocked or ready since the last call, by name. One that is seen for the first
    /// time has become nothing; nor has one that is ready again without having worked or asked.
    pub(super) fn since(&mut self, snapshot: &Snapshot) -> Vec<(String, Status)> {
        let now: BTreeMap<AgentId, Status> =
            snapshot.agents.values().map(|view| (view.id.clone(), view.status())).collect();
        let before = std::mem::replace(&mut self.0, now);
        let has_come = |id: &AgentId, status: Status| match (before.get(id), status) {
            (Some(before), Status::Blocked) => *before != Status::Blocked,
            (Some(before), Status::Ready) => matches!(before, Status::Active | Status::Pending | Status::Blocked),
            _ => false,
        };
        let views = snapshot.agents.values().filter(|view| has_come(&view.id, view.status()));
        views.map(|view| (view.dir_name.to_string(), view.status())).collect()
    }
}

/// The terminal's message that an agent has that status now.
///
/// tmux 3.3a drops OSC 9. What is wrapped for it is handed on where `allow-passthrough` is on and the pane is in sight; the
/// bell comes through from everywhere, so in tmux it rings too.
pub(super) fn osc9(name: &str, status: Status, in_tmux: bool) -> String {
    let name = name.replace(char::is_control, "");
    let message = format!("\u{1b}]9;{name} is {status}\u{7}");
    if !in_tmux {
        return message;
    }
    let wrapped = message.replace('\u{1b}', "\u{1b}\u{1b}");
    format!("{message}\u{1b}Ptmux;{wrapped}\u{1b}\\\u{7}")
}
