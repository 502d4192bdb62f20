//! Tells the kernel which names have gone and which directories have changed.
//! Runs on a thread of its own that holds no lock: an invalidation waits behind
//! a lookup in the same directory (fuse-and-tmux, D8).

use super::stat::Told;
use crate::model::live::{Identity, Status};
use crate::model::{AgentView, Snapshot};
use crate::port::Port;
use crate::tree::Node;
use fuser::{INodeNo, Notifier};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the thread looks whether the mount has ended.
const LOOK: Duration = Duration::from_secs(3600);

/// One thing the kernel must forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stale {
    /// A name in a directory.
    Name(Node, Arc<str>),
    /// What `stat` says of a node.
    Attributes(Node),
}

/// What the kernel may have kept of a snapshot. The snapshot itself would keep the
/// agents' last views in memory beside the new ones until the kernel has been told.
struct Known {
    version: u64,
    agents: BTreeMap<Arc<str>, KnownAgent>,
    stopped: BTreeMap<Arc<str>, KnownAgent>,
}

struct KnownAgent {
    slot: u32,
    status: Status,
    status_since: Timestamp,
    identity: Arc<Identity>,
}

impl Known {
    fn of(snapshot: &Snapshot) -> Self {
        let known = |agents: &BTreeMap<Arc<str>, Arc<AgentView>>| {
            agents.iter().map(|(name, agent)| (name.clone(), KnownAgent::of(agent))).collect()
        };
        Self { version: snapshot.version, agents: known(&snapshot.agents), stopped: known(&snapshot.stopped) }
    }
}

impl KnownAgent {
    fn of(agent: &AgentView) -> Self {
        Self {
            slot: agent.slot,
            status: agent.status(),
            status_since: agent.state.status_since,
            identity: agent.state.identity.clone(),
        }
    }
}

/// Runs until the mount has ended.
pub(super) fn run(port: &Port, told: &Told, notifier: &Notifier, ended: &AtomicBool) {
    let mut before = Known::of(&port.snapshot());
    told.set(before.version);
    while !ended.load(Ordering::Relaxed) {
        let (after, stale) = {
            let snapshot = port.wait_newer(before.version, LOOK);
            (Known::of(&snapshot), stale(&before, &snapshot))
        };
        told.set(after.version);
        for stale in stale {
            let done = match &stale {
                Stale::Name(parent, name) => notifier.inval_entry(INodeNo(parent.ino()), OsStr::new(name.as_ref())),
                Stale::Attributes(node) => notifier.inval_inode(INodeNo(node.ino()), -1, 0),
            };
            // ENOENT means that the kernel did not have it.
            if let Err(error) = done
                && error.raw_os_error() != Some(libc::ENOENT)
            {
                tracing::debug!(?stale, %error, "the kernel did not take an invalidation");
            }
        }
        before = after;
    }
}

/// What differs between two snapshots as far as the kernel may have kept it.
fn stale(before: &Known, after: &Snapshot) -> Vec<Stale> {
    let mut stale = Vec::new();
    for (dir, was, is) in
        [(Node::Agents, &before.agents, &after.agents), (Node::Stopped, &before.stopped, &after.stopped)]
    {
        for (name, old) in was {
            match is.get(name) {
                Some(new) if new.slot == old.slot => {
                    if new.state.status_since != old.status_since {
                        stale.push(Stale::Attributes(Node::Agent(new.slot)));
                    }
                    if dir == Node::Agents {
                        moved(&mut stale, old, Some(new), name);
                    }
                }
                other => {
                    stale.push(Stale::Name(dir, name.clone()));
                    stale.push(Stale::Name(Node::ById, old.identity.agent_id.clone()));
                    if dir == Node::Agents {
                        moved(&mut stale, old, other.map(AsRef::as_ref), name);
                    }
                }
            }
        }
    }
    stale
}

/// The links of an agent that changed its status or tool, or is another one now.
fn moved(stale: &mut Vec<Stale>, old: &KnownAgent, new: Option<&AgentView>, name: &Arc<str>) {
    let replaced = new.is_none_or(|new| new.slot != old.slot);
    if replaced || new.is_some_and(|new| new.status() != old.status) {
        stale.push(Stale::Name(Node::StatusDir(old.status), name.clone()));
    }
    let tool = &old.identity.tool;
    if replaced || new.is_some_and(|new| new.state.identity.tool != *tool) {
        stale.push(Stale::Name(Node::tool_dir(tool), name.clone()));
    }
}
