//! Agents for tests that need no world: made by the engine of a stopped agent's record, and shown as if they lived.

use super::{Fact, World};
use crate::model::record::Backend;
use crate::model::{AgentId, AgentView, Lifecycle, LifecycleState, Presets, Record, Status};
use crate::tool::Tools;
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// The record of a stopped agent with that id and name.
pub(crate) fn record(id: &str, name: &str, at: Timestamp) -> Record {
    Record {
        id: AgentId(id.into()),
        name: name.to_owned(),
        generation: "g".into(),
        lifecycle: Lifecycle {
            state: LifecycleState::Stopped,
            relaunchable: true,
            updated_at: at,
            stopped_at: None,
            stop_reason: None,
        },
        backend: Backend::LocalInteractive,
        tool: "stand-in".to_owned(),
        manifest_path: Path::new("/m").into(),
        session_root: None,
        agent_def_dir: None,
        session: None,
        last_session: "s".to_owned(),
        lease: None,
        gateway: None,
        mailbox: None,
    }
}

/// What a snapshot of `at` has of the agent with that record, with that status since `since`.
pub(crate) fn view(record: Record, status: Status, since: Timestamp, at: Timestamp) -> AgentView {
    let mut world = World::new(Tools::with_overrides(&[]).0, Presets::default(), "/".into());
    let manifest = Err("none".to_owned());
    world.take(Fact::Record { record: Box::new(record), path: Path::new("/r").into(), manifest }, at);
    let mut view = AgentView::clone(world.publish(at).unwrap().stopped.values().next().unwrap());
    let mut state = (*view.state).clone();
    (state.status, state.status_since) = (status, since);
    view.state = Arc::new(state);
    view
}
