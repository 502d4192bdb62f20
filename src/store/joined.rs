//! What is written into the session root of an agent that was running already, in the shape that Houmao gives one that it joins (the
//! reference, section 2.2; `joined_tmux` in its samples): the session is somebody's own.

use super::dir::make_private;
use super::launch::LaunchManifest;
use super::session_root::Files;
use super::wire::manifest_v4::{Endpoint, GatewayAuthority, ManifestV4, Origin, Posture};
use super::wire::{Object, Word, to_json};
use super::{manifest, names};
use crate::error::Result;
use crate::model::record::Backend;
use crate::model::{AgentId, ChatSession, FoundPane};
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// The home of its own that Houmao gives a program that it joins. The program goes on using the one it has.
const HOME_DIR: &str = "tool-home";

/// What Houmao says of the role of a program that it did not start.
const ROLE: &str = "# Joined session\n\nThe program was running already; nothing was told to it.\n";

/// A new session id of a joined agent: the name of its session root.
pub fn session_id(backend: Backend, now: Timestamp) -> String {
    format!("joined-{}", names::session_id(backend, now))
}

/// A program that runs in somebody's pane, as its manifest states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedManifest {
    /// The agent's name.
    pub name: String,
    /// Its id.
    pub id: AgentId,
    /// Of this adoption; the record has the same.
    pub generation: String,
    /// The last part of the session root.
    pub session_id: String,
    /// Which program.
    pub tool: String,
    /// What runs, as the first word of its command line.
    pub executable: String,
    /// Where it works.
    pub cwd: PathBuf,
    /// The variable that names the program's own home.
    pub home_variable: String,
    /// Where it runs.
    pub at: FoundPane,
    /// The socket of the tmux server; `None` is the user's default server.
    pub tmux_socket: Option<PathBuf>,
    /// When it is adopted.
    pub now: Timestamp,
}

impl JoinedManifest {
    /// The whole manifest as JSON, valid against the schema of version 4, for the session root `root`.
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) when a value cannot stand in it.
    pub fn to_json(&self, root: &Path) -> Result<Vec<u8>> {
        manifest::to_json(&self.name, &self.to_wire(root)?)
    }

    /// As of a launch, where the two are the same.
    fn as_launch(&self, root: &Path) -> LaunchManifest {
        LaunchManifest {
            name: self.name.clone(),
            id: self.id.clone(),
            generation: self.generation.clone(),
            session_id: self.session_id.clone(),
            tool: self.tool.clone(),
            argv: vec![self.executable.clone()],
            has_hooks: false,
            chat: ChatSession::New,
            model: None,
            profile: None,
            env: Vec::new(),
            cwd: self.cwd.clone(),
            home_variable: self.home_variable.clone(),
            home_path: root.join(HOME_DIR),
            session: self.at.session.clone(),
            window: Some(self.at.window.clone()),
            pane: Some(self.at.pane.id.clone()),
            tmux_socket: self.tmux_socket.clone(),
            tool_version: None,
            role: None,
            backend: Backend::LocalInteractive,
            own_backend: None,
            now: self.now,
        }
    }

    fn to_wire(&self, root: &Path) -> Result<ManifestV4> {
        let mut wire = self.as_launch(root).to_wire(root)?;
        // tmux lets a window's name be empty; the schema does not.
        let window_name = Some(self.at.window_name.clone()).filter(|name| !name.trim().is_empty());
        let window_index = self.at.window_index.to_string();
        if let Some(Object(tmux)) = &mut wire.tmux {
            tmux.primary_window_index.clone_from(&window_index);
            tmux.primary_window_name.clone_from(&window_name);
        }
        if let Some(Object(authority)) = &mut wire.agent_launch_authority {
            authority.primary_window_index = window_index;
            authority.session_origin = Some(Word(Origin::JoinedTmux));
            authority.posture_kind = Some(Word(Posture::Unavailable));
        }
        if let Some(Object(interactive)) = &mut wire.interactive {
            interactive.tmux_window_name.clone_from(&window_name);
        }
        let endpoint = || Object(Endpoint { tmux_window_name: window_name.clone(), ..Endpoint::default() });
        wire.gateway_authority = Some(Object(GatewayAuthority { attach: endpoint(), control: endpoint() }));
        let metadata = &mut wire.launch_plan.0.metadata;
        metadata.insert("joined_launch_mode".to_owned(), "tui".into());
        metadata.insert("session_origin".to_owned(), "joined_tmux".into());
        metadata.insert("tmux_window_name".to_owned(), window_name.clone().into());
        wire.backend_state.insert("tmux_window_name".to_owned(), window_name.into());
        Ok(wire)
    }
}

/// Makes our home, when it is not there yet.
pub fn make_home(home: &Path) -> Result<()> {
    make_private(home)
}

/// Makes the session root of an agent that was running already. What fails leaves nothing behind.
pub fn write_session(root: &Path, joined: &JoinedManifest) -> Result<()> {
    let mut brain = joined.as_launch(root).brain(root)?;
    brain["launch_policy"]["operator_prompt_mode"] = "as_is".into();
    Files {
        manifest: joined.to_json(root)?,
        brain: to_json(&brain)?,
        env: String::new(),
        role_name: &joined.name,
        role_text: ROLE,
        home: Some(HOME_DIR),
    }
    .write(root)
}
