//! Agents of other machines, known here only to talk to (the reference, section
//! 1.10): listed, never started, stopped or written.

use super::{Object, Reason, Word, malformed, not_blank, not_blank_if_any, schema_version, time};
use crate::error::Result;
use crate::model::name::is_registry_token;
use crate::model::{AgentName, LifecycleState};
use jiff::Timestamp;
use serde::Deserialize;

/// One record under `external_agents/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRecord {
    /// The name it has here.
    pub name: String,
    /// `external-<32 hex>`.
    pub id: String,
    /// Changes when it is registered anew.
    pub generation: String,
    /// Where its owner is asked, `http://<host>:<port>`.
    pub api_base_url: String,
    /// What its owner calls it.
    pub remote_agent_ref: String,
    /// Which program it is, as last heard.
    pub tool: String,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// An external record of schema version 1. [`crate::Kind::Malformed`] says what is wrong.
pub fn decode(bytes: &[u8]) -> Result<ExternalRecord> {
    schema_version(bytes, 1, &[1])?;
    super::object::<ExternalV1>(bytes)?.into_external().map_err(malformed)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalV1 {
    #[serde(default, rename = "schema_version")]
    _schema_version: Option<u32>,
    #[serde(default, rename = "kind")]
    _kind: Option<Word<Kind>>,
    local_name: String,
    external_agent_id: String,
    generation_id: String,
    pair_api_base_url: String,
    remote_agent_ref: String,
    #[serde(default, rename = "gateway_expected")]
    _gateway_expected: bool,
    #[serde(default, rename = "lifecycle_owner")]
    _lifecycle_owner: Option<Word<RemoteOwner>>,
    created_at_utc: String,
    updated_at_utc: String,
    verified_at_utc: Option<String>,
    cached_identity: Object<Identity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ExternalCommunicationOnly,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RemoteOwner {
    Remote,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Transport {
    Tui,
    Headless,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Management {
    LocalLifecycle,
    ExternalCommunicationOnly,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Owner {
    Local,
    Remote,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    tracked_agent_id: String,
    #[serde(rename = "transport")]
    _transport: Word<Transport>,
    tool: String,
    session_name: Option<String>,
    terminal_id: Option<String>,
    runtime_session_id: Option<String>,
    tmux_session_name: Option<String>,
    tmux_window_name: Option<String>,
    manifest_path: Option<String>,
    session_root: Option<String>,
    agent_name: Option<String>,
    agent_id: Option<String>,
    #[serde(rename = "lifecycle_state")]
    _lifecycle_state: Option<Word<LifecycleState>>,
    #[serde(rename = "management_kind")]
    _management_kind: Option<Word<Management>>,
    #[serde(rename = "lifecycle_owner")]
    _lifecycle_owner: Option<Word<Owner>>,
    external_agent_id: Option<String>,
    remote_pair_api_base_url: Option<String>,
    remote_agent_ref: Option<String>,
}

impl ExternalV1 {
    fn into_external(self) -> std::result::Result<ExternalRecord, Reason> {
        if !is_registry_token(&self.local_name) || is_reserved(&self.local_name) {
            return Err(format!("local_name is {:?}, which cannot be a name", self.local_name));
        }
        if !is_registry_token(&self.external_agent_id) {
            return Err(format!("external_agent_id is {:?}, which cannot be an id", self.external_agent_id));
        }
        not_blank("generation_id", &self.generation_id)?;
        not_blank("remote_agent_ref", &self.remote_agent_ref)?;
        if !is_base_url(&self.pair_api_base_url) {
            return Err(format!(
                "pair_api_base_url is {:?}, which is not http://<host>:<port>",
                self.pair_api_base_url
            ));
        }
        let created_at = time("created_at_utc", &self.created_at_utc)?;
        let updated_at = time("updated_at_utc", &self.updated_at_utc)?;
        let verified_at = self.verified_at_utc.map(|text| time("verified_at_utc", &text)).transpose()?;
        if updated_at < created_at {
            return Err("updated_at_utc is before created_at_utc".to_owned());
        }
        if verified_at.is_some_and(|at| at < created_at) {
            return Err("verified_at_utc is before created_at_utc".to_owned());
        }
        let Object(identity) = self.cached_identity;
        identity.check()?;
        Ok(ExternalRecord {
            name: self.local_name,
            id: self.external_agent_id,
            generation: self.generation_id,
            api_base_url: self.pair_api_base_url,
            remote_agent_ref: self.remote_agent_ref,
            tool: identity.tool,
            updated_at,
        })
    }
}

impl Identity {
    fn check(&self) -> std::result::Result<(), Reason> {
        not_blank("cached_identity.tracked_agent_id", &self.tracked_agent_id)?;
        not_blank("cached_identity.tool", &self.tool)?;
        let optional = [
            &self.session_name,
            &self.terminal_id,
            &self.runtime_session_id,
            &self.tmux_session_name,
            &self.tmux_window_name,
            &self.manifest_path,
            &self.session_root,
            &self.agent_name,
            &self.agent_id,
            &self.external_agent_id,
            &self.remote_pair_api_base_url,
            &self.remote_agent_ref,
        ];
        optional.iter().try_for_each(|text| not_blank_if_any("a field of cached_identity", text.as_deref()))
    }
}

// A name that is a token and yet no agent's name, and short enough, is one Houmao keeps for sessions.
fn is_reserved(name: &str) -> bool {
    name.len() <= crate::model::name::MAX_NAME_BYTES && AgentName::new(name).is_err()
}

fn is_base_url(url: &str) -> bool {
    let url = url.strip_suffix('/').unwrap_or(url);
    url.strip_prefix("http://").and_then(|rest| rest.rsplit_once(':')).is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', '?', '#', ' ']) && port.parse::<u16>().is_ok()
    })
}
