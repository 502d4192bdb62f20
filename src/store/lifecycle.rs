//! How a record changes when its agent stops, comes back or is retired (the reference,
//! sections 1.3 and 1.5): values in, values out.

use super::{names, session_root};
use crate::error::{Error, Kind, Result};
use crate::model::record::Backend;
use crate::model::{Lifecycle, LifecycleState, Record};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// How long a lease runs that troop writes, in days: as long as Houmao's, which
/// proves nothing either (the reference, section 1.5).
pub const LEASE_DAYS: i64 = 36_500;

/// The reason Houmao records when a person stops an agent.
pub const OPERATOR_STOP: &str = "operator_stop";

/// The lease of a record published at `now`.
pub fn lease(now: Timestamp) -> crate::model::record::Lease {
    let century = jiff::SignedDuration::from_hours(24 * LEASE_DAYS);
    let expires_at = now.checked_add(century).unwrap_or(Timestamp::MAX);
    crate::model::record::Lease { published_at: now, expires_at }
}

/// The record of an agent that begins its life at `now` in the session root `root` and the tmux session `session`, under a new
/// generation.
pub fn begun(name: &str, backend: Backend, tool: &str, root: &Path, session: &str, now: Timestamp) -> Record {
    Record {
        id: names::agent_id_for(name),
        name: name.to_owned(),
        generation: names::generation().into(),
        lifecycle: Lifecycle {
            state: LifecycleState::Active,
            relaunchable: true,
            updated_at: now,
            stopped_at: None,
            stop_reason: None,
        },
        backend,
        tool: tool.to_owned(),
        manifest_path: root.join(session_root::MANIFEST_FILE).into(),
        session_root: Some(root.into()),
        agent_def_dir: Some(session_root::definition_dir(root).into()),
        session: Some(session.to_owned()),
        last_session: session.to_owned(),
        lease: Some(lease(now)),
        gateway: None,
        mailbox: None,
    }
}

/// The record of the same agent, stopped. One that is stopped already stays as
/// it is; a retired one is refused.
pub fn stopped(record: &Record, reason: &str, now: Timestamp) -> Result<Record> {
    match record.lifecycle.state {
        LifecycleState::Stopped => Ok(record.clone()),
        LifecycleState::Retired => Err(Error::new(
            Kind::NotPermitted,
            format!("{:?} is retired and cannot be stopped; launch a new agent instead", record.name),
        )),
        LifecycleState::Active | LifecycleState::Relaunching => {
            Ok(ended(record, LifecycleState::Stopped, record.lifecycle.relaunchable, reason, now))
        }
    }
}

/// Which life an agent comes back to: a generation and a tmux session, both new or both the ones it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The generation.
    pub generation: Arc<str>,
    /// The session.
    pub session: String,
}

/// The record of the same agent on its way back. A retired one is refused, and one that cannot come back.
pub fn relaunching(record: &Record, to: &Return, now: Timestamp) -> Result<Record> {
    if record.lifecycle.state == LifecycleState::Retired || !record.lifecycle.relaunchable {
        return Err(Error::new(
            Kind::NotPermitted,
            format!("the record of {:?} says that it cannot be relaunched; launch a new agent instead", record.name),
        ));
    }
    let stays = record.session.as_ref() == Some(&to.session);
    Ok(Record {
        generation: to.generation.clone(),
        lifecycle: live(LifecycleState::Relaunching, now),
        session: Some(to.session.clone()),
        last_session: to.session.clone(),
        lease: Some(lease(now)),
        gateway: record.gateway.clone().filter(|_| stays),
        ..record.clone()
    })
}

/// The record of the same agent, back. One that is active stays as it is; one that is not on its way back is refused.
pub fn returned(record: &Record, now: Timestamp) -> Result<Record> {
    match record.lifecycle.state {
        LifecycleState::Active => Ok(record.clone()),
        LifecycleState::Relaunching => Ok(Record { lifecycle: live(LifecycleState::Active, now), ..record.clone() }),
        LifecycleState::Stopped | LifecycleState::Retired => Err(Error::new(
            Kind::Gone,
            format!("{:?} was stopped while it was relaunched; look at it again", record.name),
        )),
    }
}

fn live(state: LifecycleState, now: Timestamp) -> Lifecycle {
    Lifecycle { state, relaunchable: true, updated_at: now, stopped_at: None, stop_reason: None }
}

/// The record of the same agent, finished for good. A stopped one keeps the time
/// it stopped at; a retired one stays as it is.
pub fn retired(record: &Record, reason: &str, now: Timestamp) -> Record {
    if record.lifecycle.state == LifecycleState::Retired {
        return record.clone();
    }
    ended(record, LifecycleState::Retired, false, reason, now)
}

fn ended(record: &Record, state: LifecycleState, relaunchable: bool, reason: &str, now: Timestamp) -> Record {
    Record {
        lifecycle: Lifecycle {
            state,
            relaunchable,
            updated_at: now,
            stopped_at: Some(record.lifecycle.stopped_at.unwrap_or(now)),
            stop_reason: Some(reason.to_owned()),
        },
        last_session: record.session.clone().unwrap_or_else(|| record.last_session.clone()),
        session: None,
        lease: None,
        gateway: None,
        ..record.clone()
    }
}
