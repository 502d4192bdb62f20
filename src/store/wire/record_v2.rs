//! `record.json` of schema version 2 (the reference, section 1.4): still read,
//! as the version 3 record it stands for; never written.

use super::parts::{Gateway, Identity, Mailbox, Runtime, TerminalKind, tmux};
use super::{Object, Reason, Word, rules, time};
use crate::model::record::Lease;
use crate::model::{AgentId, Lifecycle, LifecycleState, Record};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordV2 {
    #[serde(default, rename = "schema_version")]
    _schema_version: Option<u32>,
    agent_name: String,
    agent_id: String,
    generation_id: String,
    published_at: String,
    lease_expires_at: String,
    identity: Object<Identity>,
    runtime: Object<Runtime>,
    terminal: Object<Terminal>,
    gateway: Option<Object<Gateway>>,
    mailbox: Option<Object<Mailbox>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terminal {
    #[serde(default = "tmux", rename = "kind")]
    _kind: Word<TerminalKind>,
    session_name: String,
}

impl RecordV2 {
    pub(crate) fn into_record(self) -> Result<Record, Reason> {
        let (Object(identity), Object(terminal)) = (self.identity, self.terminal);
        let (manifest_path, session_root, agent_def_dir) = self.runtime.0.into_paths()?;
        let published_at = time("published_at", &self.published_at)?;
        let record = Record {
            id: AgentId(self.agent_id.into()),
            name: self.agent_name,
            generation: self.generation_id.into(),
            lifecycle: Lifecycle {
                state: LifecycleState::Active,
                relaunchable: session_root.is_some(),
                updated_at: published_at,
                stopped_at: None,
                stop_reason: None,
            },
            backend: identity.backend.0,
            tool: identity.tool,
            manifest_path: manifest_path.into(),
            session_root: session_root.map(Into::into),
            agent_def_dir: agent_def_dir.map(Into::into),
            last_session: terminal.session_name.clone(),
            session: Some(terminal.session_name),
            lease: Some(Lease { published_at, expires_at: time("lease_expires_at", &self.lease_expires_at)? }),
            gateway: self.gateway.map(|Object(gateway)| gateway.into_model()),
            mailbox: self.mailbox.map(|Object(mailbox)| mailbox.into_model()).transpose()?,
        };
        rules::check(&record)?;
        Ok(record)
    }
}
