//! The sections that records of version 2 and 3 have in common.

use super::{Object, Reason, Word, not_blank, not_blank_if_any};
use crate::model::record::{self, Backend};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) backend: Word<Backend>,
    pub(crate) tool: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runtime {
    pub(crate) manifest_path: String,
    pub(crate) session_root: Option<String>,
    pub(crate) agent_def_dir: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gateway {
    host: String,
    port: u16,
    protocol_version: Word<Protocol>,
    state_path: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Protocol {
    #[serde(rename = "v1")]
    V1,
}

/// The one kind of terminal there is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) enum TerminalKind {
    #[default]
    #[serde(rename = "tmux")]
    Tmux,
}

pub(crate) fn tmux() -> Word<TerminalKind> {
    Word(TerminalKind::Tmux)
}

/// Mail bindings: checked, and else carried along as they are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "transport", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Mailbox {
    Filesystem {
        principal_id: String,
        address: String,
        filesystem_root: String,
        bindings_version: String,
    },
    Stalwart {
        principal_id: String,
        address: String,
        bindings_version: String,
        jmap_url: String,
        management_url: String,
        login_identity: String,
        credential_ref: String,
    },
}

impl Gateway {
    pub(crate) fn into_model(self) -> record::Gateway {
        record::Gateway { host: self.host, port: self.port, state_path: self.state_path.into() }
    }

    pub(crate) fn from_model(gateway: &record::Gateway) -> Result<Self, Reason> {
        Ok(Self {
            host: gateway.host.clone(),
            port: gateway.port,
            protocol_version: Word(Protocol::V1),
            state_path: path_text("gateway.state_path", &gateway.state_path)?,
        })
    }
}

impl Mailbox {
    pub(crate) fn into_model(self) -> Result<record::Mailbox, Reason> {
        for text in self.texts() {
            not_blank("a field of mailbox", text)?;
        }
        serde_json::to_value(self).map(record::Mailbox).map_err(|error| format!("mailbox: {error}"))
    }

    pub(crate) fn from_model(mailbox: &record::Mailbox) -> Result<Self, Reason> {
        let Object(wire) =
            Object::<Self>::deserialize(&mailbox.0).map_err(|error| format!("mailbox is wrong: {error}"))?;
        for text in wire.texts() {
            not_blank("a field of mailbox", text)?;
        }
        Ok(wire)
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Self::Filesystem { principal_id, address, filesystem_root, bindings_version } => {
                vec![principal_id, address, filesystem_root, bindings_version]
            }
            Self::Stalwart {
                principal_id,
                address,
                bindings_version,
                jmap_url,
                management_url,
                login_identity,
                credential_ref,
            } => {
                vec![principal_id, address, bindings_version, jmap_url, management_url, login_identity, credential_ref]
            }
        }
    }
}

/// The paths of a runtime section, checked: manifest, session root, definition directory.
impl Runtime {
    pub(crate) fn into_paths(self) -> Result<(PathBuf, Option<PathBuf>, Option<PathBuf>), Reason> {
        not_blank("runtime.manifest_path", &self.manifest_path)?;
        not_blank_if_any("runtime.session_root", self.session_root.as_deref())?;
        not_blank_if_any("runtime.agent_def_dir", self.agent_def_dir.as_deref())?;
        Ok((self.manifest_path.into(), self.session_root.map(Into::into), self.agent_def_dir.map(Into::into)))
    }
}

/// A path as text: JSON has no other bytes than UTF-8.
pub(crate) fn path_text(field: &str, path: &Path) -> Result<String, Reason> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{field} is {path:?}, which is not UTF-8"))
}
