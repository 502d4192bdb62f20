//! `homes/`: the Homes of this machine by number, and the agents in each.

use super::Entry;
use super::node::Node;
use super::render::Content;
use super::table::HomeFile;
use crate::model::home::home_of;
use crate::model::{AgentView, Home, Listing, Snapshot};
use serde::Serialize;
use std::sync::Arc;

/// `summary.json`.
#[derive(Serialize)]
struct Summary<'a> {
    path: &'a std::path::Path,
    active_sessions: usize,
    total_sessions: usize,
    last_seen_at: jiff::Timestamp,
    registered: bool,
}

/// The Home of that number.
pub(super) fn find(snapshot: &Snapshot, number: u32) -> Option<&Arc<Home>> {
    snapshot.homes.get(&number)
}

/// The directory of that name.
pub(super) fn lookup(snapshot: &Snapshot, name: &str) -> Option<Node> {
    let number: u32 = name.parse().ok()?;
    // `+1` and `01` are numbers too, but no names.
    (number.to_string() == name && snapshot.homes.contains_key(&number)).then_some(Node::Home(number))
}

/// The agents that have their session in a Home, live and stopped, by the name of their directory.
pub(super) fn agents(snapshot: &Snapshot, number: u32) -> impl Iterator<Item = (Listing, &Arc<AgentView>)> {
    let path = find(snapshot, number).map(|home| home.path.as_path());
    snapshot.all().filter(move |(_, agent)| {
        path.is_some() && agent.state.identity.session_root.as_deref().and_then(home_of) == path
    })
}

/// Their links. Of a live and a stopped agent of one name the live one has it.
pub(super) fn links(snapshot: &Snapshot, number: u32) -> Vec<Entry> {
    let mut links: Vec<Entry> = Vec::new();
    for (_, agent) in agents(snapshot, number) {
        if links.iter().all(|link| link.name != agent.dir_name) {
            links.push(Entry { name: agent.dir_name.clone(), node: Node::HomeLink(agent.slot) });
        }
    }
    links
}

/// What reading a Home's file gives.
pub(super) fn content(home: &Home, file: HomeFile) -> Option<Content> {
    if file != HomeFile::Summary {
        return None;
    }
    let summary = Summary {
        path: &home.path,
        active_sessions: home.active,
        total_sessions: home.total,
        last_seen_at: home.last_seen,
        registered: home.is_registered,
    };
    let text = serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n";
    Some(Content::Fixed(text.into_bytes().into()))
}
