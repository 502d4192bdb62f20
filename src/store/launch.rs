//! Writing the session root of an agent that troop launches, in the shape that
//! Houmao takes for one of its own launches (the reference, sections 2.1 and 2.2).

use super::atomic::write_replace;
use super::dir::make_private;
use super::manifest::{self, SOCKET_KEY};
use super::wire::manifest_v4::{
    AgentLaunchAuthority, Endpoint, GatewayAuthority, Headless, HomeSelector, Interactive, LaunchAuthority, LaunchPlan,
    LocalInteractive, ManifestV4, Posture, PromptMode, Provenance, Resume, RoleInjection, RoleMethod, Runtime,
    SelectionSource, Tmux, WindowRole, first_window,
};
use super::wire::{Object, Word, time_text, to_json};
use crate::error::{Error, Kind, Result};
use crate::model::record::Backend;
use crate::model::{AgentId, PaneId};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The name Houmao's gateway looks for on the agent's window (the reference, section 2.5).
pub const WINDOW_NAME: &str = "agent";

/// The manifest in a session root.
pub const MANIFEST_FILE: &str = "manifest.json";

const BRAIN_FILE: &str = "brain_manifest.json";
const ENV_FILE: &str = "launch.env";
const DEFINITION_DIR: &str = "agent_def";
const FILE_MODE: u32 = 0o600;

/// The key in `launch_plan.metadata` with our own word for a backend.
const BACKEND_KEY: &str = "troop_backend";

/// What `launch_plan.metadata.owner` says of our launches.
pub const OWNER: &str = "troop";

/// One launch of a program in tmux, as its manifest states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchManifest {
    /// The agent's name.
    pub name: String,
    /// Its id.
    pub id: AgentId,
    /// Of this launch; the record has the same.
    pub generation: String,
    /// The last part of the session root.
    pub session_id: String,
    /// How it is driven.
    pub backend: Backend,
    /// Our own word for that, where Houmao has none.
    pub own_backend: Option<String>,
    /// Which program.
    pub tool: String,
    /// Program and arguments, as started.
    pub argv: Vec<String>,
    /// Where it works.
    pub cwd: PathBuf,
    /// The variable that names the program's own home, `CLAUDE_CONFIG_DIR` for one.
    pub home_variable: String,
    /// That home.
    pub home_path: PathBuf,
    /// The tmux session.
    pub session: String,
    /// `@` and digits, once the window is there.
    pub window: Option<String>,
    /// Once the pane is there.
    pub pane: Option<PaneId>,
    /// The socket of the tmux server; `None` is the user's default server.
    pub tmux_socket: Option<PathBuf>,
    /// The program's version, when it is known.
    pub tool_version: Option<String>,
    /// The role; a file of that name is written into the agent's definition.
    pub role_name: String,
    /// When it is launched.
    pub now: Timestamp,
}

impl LaunchManifest {
    /// The whole manifest as JSON, valid against the schema of version 4, for the
    /// session root `root`. [`Kind::Invalid`] when a value cannot stand in it.
    pub fn to_json(&self, root: &Path) -> Result<Vec<u8>> {
        let wire = self.to_wire(root)?;
        wire.check().map_err(|reason| {
            Error::new(Kind::Invalid, format!("the manifest of {:?} cannot be written, because {reason}", self.name))
        })?;
        to_json(&wire)
    }

    fn to_wire(&self, root: &Path) -> Result<ManifestV4> {
        let backend = Word(self.backend);
        let cwd = text(&self.cwd)?;
        let (executable, args) = self
            .argv
            .split_first()
            .ok_or_else(|| Error::new(Kind::Invalid, format!("{:?} has no program to start; name one", self.name)))?;
        let (window, pane) = (self.window.clone(), self.pane.as_ref().map(|pane| pane.as_str().to_owned()));
        let named = || Some(WINDOW_NAME.to_owned());
        let endpoint = || Object(Endpoint { tmux_window_name: named(), ..Endpoint::default() });
        let mut metadata = Map::from_iter([("owner".to_owned(), Value::from(OWNER))]);
        if let Some(socket) = &self.tmux_socket {
            metadata.insert(SOCKET_KEY.to_owned(), text(socket)?.into());
        }
        if let Some(own) = &self.own_backend {
            metadata.insert(BACKEND_KEY.to_owned(), own.as_str().into());
        }
        let is_headless = self.backend.is_headless();
        let mut backend_state = Map::new();
        if is_headless {
            for (key, value) in [("session_id", Value::Null), ("resume_selection_kind", "none".into())] {
                backend_state.insert(key.to_owned(), value);
            }
            backend_state.insert("resume_selection_value".to_owned(), Value::Null);
        }
        Ok(ManifestV4 {
            schema_version: 4,
            backend,
            tool: self.tool.clone(),
            role_name: self.role_name.clone(),
            created_at_utc: time_text(self.now),
            working_directory: cwd.clone(),
            brain_manifest_path: text(&root.join(BRAIN_FILE))?,
            agent_name: Some(self.name.clone()),
            agent_id: Some(self.id.as_str().to_owned()),
            tmux_session_name: Some(self.session.clone()),
            registry_generation_id: Some(self.generation.clone()),
            registry_launch_authority: Word(LaunchAuthority::Runtime),
            runtime: Object(Runtime {
                session_id: Some(self.session_id.clone()),
                memory_root: None,
                memo_file: None,
                pages_dir: None,
                agent_def_dir: Some(text(&root.join(DEFINITION_DIR))?),
                agent_pid: None,
                registry_generation_id: Some(self.generation.clone()),
                registry_launch_authority: Word(LaunchAuthority::Runtime),
            }),
            tmux: Some(Object(Tmux {
                session_name: self.session.clone(),
                primary_window_index: first_window(),
                primary_window_role: Word(WindowRole::ManagedAgentSurface),
                primary_window_name: named(),
                primary_window_id: window.clone(),
                primary_pane_id: pane.clone(),
            })),
            interactive: Some(Object(Interactive {
                turn_index: 0,
                working_directory: Some(cwd.clone()),
                role_bootstrap_applied: Some(true),
                terminal_id: None,
                parsing_mode: None,
                tmux_window_name: named(),
            })),
            agent_launch_authority: Some(Object(AgentLaunchAuthority {
                backend,
                tool: self.tool.clone(),
                tmux_session_name: Some(self.session.clone()),
                primary_window_index: first_window(),
                primary_window_id: window.clone(),
                primary_pane_id: pane.clone(),
                working_directory: cwd.clone(),
                session_id: Some(self.session_id.clone()),
                profile_name: None,
                profile_path: None,
                session_origin: None,
                posture_kind: Some(Word(Posture::RuntimeLaunchPlan)),
                launch_args: None,
                launch_env: None,
            })),
            gateway_authority: Some(Object(GatewayAuthority { attach: endpoint(), control: endpoint() })),
            launch_plan: Object(LaunchPlan {
                backend,
                tool: self.tool.clone(),
                executable: executable.clone(),
                args: args.to_vec(),
                working_directory: cwd.clone(),
                home_selector: Object(HomeSelector {
                    env_var: self.home_variable.clone(),
                    home_path: text(&self.home_path)?,
                }),
                env_var_names: Vec::new(),
                role_injection: Object(RoleInjection {
                    method: Word(RoleMethod::CaoProfile),
                    role_name: self.role_name.clone(),
                }),
                metadata,
                mailbox: None,
                launch_policy_provenance: self.provenance(),
            }),
            launch_policy_provenance: self.provenance(),
            system_prompt: None,
            backend_state: {
                backend_state.extend([
                    ("turn_index".to_owned(), 0.into()),
                    ("role_bootstrap_applied".to_owned(), true.into()),
                    ("working_directory".to_owned(), cwd.clone().into()),
                    ("tmux_session_name".to_owned(), self.session.clone().into()),
                    ("tmux_window_name".to_owned(), WINDOW_NAME.into()),
                    ("tmux_window_id".to_owned(), window.into()),
                    ("tmux_pane_id".to_owned(), pane.into()),
                ]);
                backend_state
            },
            codex: None,
            headless: is_headless.then(|| {
                Object(Headless {
                    session_id: None,
                    turn_index: 0,
                    role_bootstrap_applied: true,
                    working_directory: cwd.clone(),
                    resume_selection_kind: Word(Resume::None),
                    resume_selection_value: None,
                })
            }),
            local_interactive: (!is_headless).then_some(Object(LocalInteractive {
                turn_index: 0,
                role_bootstrap_applied: true,
                working_directory: cwd,
            })),
            cao: None,
            houmao_server: None,
        })
    }

    fn provenance(&self) -> Option<Object<Provenance>> {
        self.tool_version.clone().map(|version| {
            Object(Provenance {
                requested_operator_prompt_mode: Word(PromptMode::AsIs),
                detected_tool_version: version,
                selected_strategy_id: OWNER.to_owned(),
                selection_source: Word(SelectionSource::Registry),
                override_env_var_name: None,
            })
        })
    }

    // What Houmao reads before it takes a prompt or attaches its gateway (schema version 3).
    fn brain(&self, root: &Path) -> Result<Value> {
        Ok(json!({
            "schema_version": 3,
            "inputs": {"tool": self.tool},
            "launch_policy": {"operator_prompt_mode": "unattended"},
            "runtime": {
                "launch_executable": self.argv.first(),
                "launch_home_selector": {"env_var": self.home_variable, "value": text(&self.home_path)?},
                "launch_contract": {
                    "adapter_defaults": {"args": [], "tool_params": {}},
                    "requested_overrides": {"direct": null, "preset": null},
                    "tool_metadata": {"tool_params": {}},
                },
            },
            "credentials": {
                "env_contract": {"source_file": text(&root.join(ENV_FILE))?, "allowlisted_env_vars": []},
            },
        }))
    }
}

/// Makes the session root (0700, parents too) and writes what belongs into it:
/// manifest, brain manifest, an empty `launch.env`, and the role's file. The
/// manifest comes last, so that a manifest that is there is a session that is whole.
pub fn write_session(root: &Path, launch: &LaunchManifest) -> Result<()> {
    let manifest = launch.to_json(root)?;
    let role = root.join(DEFINITION_DIR).join("roles").join(role_directory(&launch.role_name)?);
    let brain = to_json(&launch.brain(root)?)?;
    let is_new = !root.exists();
    let written = make_private(root)
        .and_then(|()| make_private(&role))
        .and_then(|()| write_replace(&role.join("system-prompt.md"), b"", FILE_MODE))
        .and_then(|()| write_replace(&root.join(ENV_FILE), b"", FILE_MODE))
        .and_then(|()| write_replace(&root.join(BRAIN_FILE), &brain, FILE_MODE))
        .and_then(|()| write_replace(&root.join(MANIFEST_FILE), &manifest, FILE_MODE));
    if written.is_err() && is_new {
        // Nothing half done; the first error is the one to tell.
        let _ = std::fs::remove_dir_all(root);
    }
    written
}

/// Where the agent's definition is, for its record.
pub fn definition_dir(root: &Path) -> PathBuf {
    root.join(DEFINITION_DIR)
}

/// Writes the window and the pane into the manifest of `root`, once tmux has made
/// them, and leaves the rest of it as it is by now.
pub fn update_panes(root: &Path, window: &str, pane: &PaneId) -> Result<()> {
    if !window.strip_prefix('@').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(Error::new(Kind::Invalid, format!("{window:?} is not a window of tmux, which is '@' and digits")));
    }
    let path = root.join(MANIFEST_FILE);
    let mut wire =
        manifest::read_wire(&path).map_err(|error| error.while_doing(format_args!("manifest {}", path.display())))?;
    let (window, pane) = (window.to_owned(), pane.as_str().to_owned());
    wire.backend_state.insert("tmux_window_id".to_owned(), window.clone().into());
    wire.backend_state.insert("tmux_pane_id".to_owned(), pane.clone().into());
    if let Some(Object(authority)) = &mut wire.agent_launch_authority {
        authority.primary_window_id = Some(window.clone());
        authority.primary_pane_id = Some(pane.clone());
    }
    if let Some(Object(tmux)) = &mut wire.tmux {
        tmux.primary_window_id = Some(window);
        tmux.primary_pane_id = Some(pane);
    }
    write_replace(&path, &to_json(&wire)?, FILE_MODE)
}

// A role becomes a directory's name.
fn role_directory(role: &str) -> Result<&str> {
    if crate::model::name::is_registry_token(role) {
        return Ok(role);
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{role:?} cannot be a role's name; use letters, digits, '_' and '-', beginning with a letter or digit"),
    ))
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(
            Kind::Invalid,
            format!("{path:?} is not UTF-8 and cannot stand in a manifest; choose another directory"),
        )
    })
}
