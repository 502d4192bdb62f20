//! Agents that nobody has registered, as members of the world: seen like any other, and driven by nobody.

use super::fact::Note;
use super::world::World;
use crate::model::record::{Backend, Lease, NOWHERE};
use crate::model::{FoundAgent, Lifecycle, LifecycleState, Manifest, Record};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl World {
    /// Takes in an agent that was found in a pane. It has no record and no manifest: what they would say is made of what
    /// was seen.
    pub(super) fn take_found(&mut self, found: FoundAgent, now: Timestamp) -> Vec<Note> {
        if self.agents.contains_key(&found.id) {
            return Vec::new();
        }
        let id = found.id.clone();
        let nowhere: Arc<Path> = Path::new("").into();
        // Of no file: what is remembered by manifest is remembered of this one agent.
        let nothing: Arc<Path> = PathBuf::from(format!("{NOWHERE}/{id}/manifest.json")).into();
        let record = Record {
            id: id.clone(),
            name: found.made_up_name(),
            generation: id.0.clone(),
            lifecycle: Lifecycle {
                state: LifecycleState::Active,
                relaunchable: false,
                updated_at: now,
                stopped_at: None,
                stop_reason: None,
            },
            backend: Backend::LocalInteractive,
            tool: found.tool,
            manifest_path: nothing,
            session_root: None,
            agent_def_dir: None,
            session: Some(found.at.session.clone()),
            last_session: found.at.session,
            lease: Some(Lease { published_at: now, expires_at: Timestamp::MAX }),
            gateway: None,
            mailbox: None,
        };
        let manifest = Manifest {
            working_directory: found.cwd.unwrap_or_else(|| PathBuf::from("/")),
            window: Some(found.at.window),
            pane: Some(found.at.pane.id),
            tmux_socket: (!found.is_default_server).then(|| found.socket.to_path_buf()),
            joined: true,
            tool_version: None,
        };
        let notes = self.take_record(record, nowhere, Ok(Box::new(manifest)), now);
        drop(self.with(&id, now, |agent| {
            agent.beside.unmanaged = true;
            agent.identify();
        }));
        notes
    }
}
