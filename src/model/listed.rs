//! An agent as lists have it: `troop list` prints these, and the mount's `agents.jsonl` has one a line.

use super::agent_view::AgentView;
use super::snapshot::Listing;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// One agent of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its directory's name.
    pub name: String,
    /// Its status, or what its record says where it does not live.
    pub status: String,
    /// Its tool.
    pub tool: String,
    /// Since when its status is so, in whole seconds.
    pub since: String,
    /// The directory it works in.
    pub cwd: Option<String>,
    /// Its id.
    pub id: String,
    /// Its backend.
    pub backend: String,
    /// Its session in tmux.
    pub tmux_session: Option<String>,
    /// Its session root.
    pub session_root: Option<String>,
    /// Why the status is what it is.
    pub why: String,
    /// What is beside it in a mount; a list has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// What a line of a mount was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The generation of its record.
    pub generation: Arc<str>,
    /// Where that is.
    pub record: PathBuf,
}

impl Listed {
    /// The line of an agent in that listing.
    pub fn of(agent: &AgentView, listing: Listing) -> Self {
        let identity = &agent.state.identity;
        Self {
            name: agent.dir_name.to_string(),
            status: match listing {
                Listing::Live => agent.status().to_string(),
                Listing::Stopped => "stopped".to_owned(),
            },
            tool: identity.tool.clone(),
            since: time(agent.state.status_since),
            cwd: identity.working_directory.clone(),
            id: agent.id.to_string(),
            backend: identity.backend.as_str().to_owned(),
            tmux_session: identity.tmux_session_name.clone(),
            session_root: identity.session_root.as_ref().map(|root| root.display().to_string()),
            why: agent.why().to_owned(),
            source: None,
        }
    }

    /// The same with the record it was made from, where it has one.
    pub fn with_source(agent: &AgentView, listing: Listing) -> Self {
        let identity = &agent.state.identity;
        let source = Source { generation: identity.generation_id.clone(), record: agent.record_path.to_path_buf() };
        Self { source: identity.managed.then_some(source), ..Self::of(agent, listing) }
    }
}

/// A time as lists show it.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
