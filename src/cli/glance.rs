//! What the live agents of the registry do now. A mount that shows exactly them is asked, because it knows already; else they are
//! looked at. Who lives says the registry either way, read anew: what a mount has not heard of yet is not asked of it.

use super::context::{Context, is_settled, tell_unseen, wait_for_states};
use super::mounted::Asked;
use crate::daemon::Scope;
use crate::error::Result;
use crate::model::listed::Listed;
use crate::model::{Listing, Status};
use crate::store::Entry;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// As long as looking waits for states ([`ALL_STATES_LIMIT`](super::context::ALL_STATES_LIMIT)), with the part of a second that lists leave out.
const OLD: SignedDuration = SignedDuration::from_millis(1400);

/// The live agents by name, whose records are `live`.
pub(super) fn glance(context: &Context, live: Vec<Entry>, mounts: Asked) -> Result<Vec<Listed>> {
    if live.is_empty() {
        return Ok(Vec::new());
    }
    let now = Timestamp::now();
    match mounts.first(|shown| told(&live, shown, now)) {
        Some(told) => Ok(told),
        None => look(context, live),
    }
}

/// What a mount says of exactly these agents; nothing when it does not know one of them in this life, or is not sure yet.
fn told(live: &[Entry], shown: Vec<Listed>, now: Timestamp) -> Option<Vec<Listed>> {
    let wanted: HashMap<&str, &Entry> = live.iter().map(|entry| (entry.record.id.as_str(), entry)).collect();
    let is_wanted = |agent: &Listed| {
        let (entry, source) = (wanted.get(agent.id.as_str())?, agent.source.as_ref()?);
        (source.generation == entry.record.generation && source.record == entry.path).then_some(())
    };
    let told: Vec<Listed> = shown.into_iter().filter(|agent| is_wanted(agent).is_some()).collect();
    let is_whole = told.len() == wanted.len() && told.iter().all(|agent| is_certain(agent, now));
    is_whole.then(|| told.into_iter().map(|agent| Listed { source: None, ..agent }).collect())
}

/// Whether looking would tell no more: a state that only time can tell has lasted as long as we would wait for it.
fn is_certain(agent: &Listed, now: Timestamp) -> bool {
    match status(agent) {
        None => false,
        Some(status) if is_settled(status) => true,
        Some(_) => agent.since.parse::<Timestamp>().is_ok_and(|since| now.duration_since(since) > OLD),
    }
}

/// The status of a live agent.
pub(super) fn status(agent: &Listed) -> Option<Status> {
    Status::ALL.into_iter().find(|known| known.as_str() == agent.status)
}

fn look(context: &Context, live: Vec<Entry>) -> Result<Vec<Listed>> {
    let all = live.len();
    let (daemon, late) = context.begin(Scope::These(live.into()))?;
    if let Some(late) = late {
        // Who could not be looked at is listed all the same, as unknown; but not to know of somebody is no list.
        if daemon.port().snapshot().agents.len() < all {
            return Err(late);
        }
        super::say(&format!("troop: {late}"));
    }
    wait_for_states(&daemon);
    let snapshot = daemon.port().snapshot();
    tell_unseen(&snapshot);
    Ok(snapshot.agents.values().map(|agent| Listed::of(agent, Listing::Live)).collect())
}
