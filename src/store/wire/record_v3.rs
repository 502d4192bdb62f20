//! `record.json` of schema version 3, what Houmao 2.4.0 reads and writes (the
//! reference, section 1.3).

use super::parts::{Gateway, Identity, Mailbox, Runtime, TerminalKind, path_text, tmux};
use super::{Object, Reason, Word, rules, time, time_text};
use crate::model::record::Lease;
use crate::model::{AgentId, Lifecycle, LifecycleState, Record};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordV3 {
    schema_version: u32,
    agent_name: String,
    agent_id: String,
    generation_id: String,
    lifecycle: Object<LifecycleV1>,
    identity: Object<Identity>,
    runtime: Object<Runtime>,
    terminal: Object<Terminal>,
    liveness: Option<Object<Liveness>>,
    gateway: Option<Object<Gateway>>,
    mailbox: Option<Object<Mailbox>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LifecycleV1 {
    state: Word<LifecycleState>,
    relaunchable: bool,
    state_updated_at: String,
    stopped_at: Option<String>,
    stop_reason: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terminal {
    #[serde(default = "tmux")]
    kind: Word<TerminalKind>,
    current_session_name: Option<String>,
    last_session_name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Liveness {
    published_at: String,
    lease_expires_at: String,
}

impl RecordV3 {
    /// Whether it says so itself.
    pub(crate) fn is_that(&self) -> bool {
        self.schema_version == 3
    }

    pub(crate) fn into_record(self) -> Result<Record, Reason> {
        let (Object(lifecycle), Object(identity), Object(terminal)) = (self.lifecycle, self.identity, self.terminal);
        let (manifest_path, session_root, agent_def_dir) = self.runtime.0.into_paths()?;
        let record = Record {
            id: AgentId(self.agent_id.into()),
            name: self.agent_name,
            generation: self.generation_id.into(),
            lifecycle: Lifecycle {
                state: lifecycle.state.0,
                relaunchable: lifecycle.relaunchable,
                updated_at: time("lifecycle.state_updated_at", &lifecycle.state_updated_at)?,
                stopped_at: lifecycle.stopped_at.map(|text| time("lifecycle.stopped_at", &text)).transpose()?,
                stop_reason: lifecycle.stop_reason,
            },
            backend: identity.backend.0,
            tool: identity.tool,
            manifest_path: manifest_path.into(),
            session_root: session_root.map(Into::into),
            agent_def_dir: agent_def_dir.map(Into::into),
            session: terminal.current_session_name,
            last_session: terminal
                .last_session_name
                .ok_or("terminal.last_session_name is missing, and version 3 requires it")?,
            lease: self.liveness.map(|Object(liveness)| liveness.into_lease()).transpose()?,
            gateway: self.gateway.map(|Object(gateway)| gateway.into_model()),
            mailbox: self.mailbox.map(|Object(mailbox)| mailbox.into_model()).transpose()?,
        };
        rules::check(&record)?;
        Ok(record)
    }

    pub(crate) fn from_record(record: &Record) -> Result<Self, Reason> {
        rules::check(record)?;
        let lifecycle = &record.lifecycle;
        let text = |field, path: &Option<Arc<Path>>| path.as_deref().map(|p| path_text(field, p)).transpose();
        Ok(Self {
            schema_version: 3,
            agent_name: record.name.clone(),
            agent_id: record.id.as_str().to_owned(),
            generation_id: record.generation.to_string(),
            lifecycle: Object(LifecycleV1 {
                state: Word(lifecycle.state),
                relaunchable: lifecycle.relaunchable,
                state_updated_at: time_text(lifecycle.updated_at),
                stopped_at: lifecycle.stopped_at.map(time_text),
                stop_reason: lifecycle.stop_reason.clone(),
            }),
            identity: Object(Identity { backend: Word(record.backend), tool: record.tool.clone() }),
            runtime: Object(Runtime {
                manifest_path: path_text("runtime.manifest_path", &record.manifest_path)?,
                session_root: text("runtime.session_root", &record.session_root)?,
                agent_def_dir: text("runtime.agent_def_dir", &record.agent_def_dir)?,
            }),
            terminal: Object(Terminal {
                kind: tmux(),
                current_session_name: record.session.clone(),
                last_session_name: Some(record.last_session.clone()),
            }),
            liveness: record.lease.map(|lease| {
                Object(Liveness {
                    published_at: time_text(lease.published_at),
                    lease_expires_at: time_text(lease.expires_at),
                })
            }),
            gateway: record.gateway.as_ref().map(Gateway::from_model).transpose()?.map(Object),
            mailbox: record.mailbox.as_ref().map(Mailbox::from_model).transpose()?.map(Object),
        })
    }
}

impl Liveness {
    fn into_lease(self) -> Result<Lease, Reason> {
        Ok(Lease {
            published_at: time("liveness.published_at", &self.published_at)?,
            expires_at: time("liveness.lease_expires_at", &self.lease_expires_at)?,
        })
    }
}
