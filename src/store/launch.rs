//! What is written into the session root of an agent that troop launches, in the shape that
//! Houmao takes for one of its own launches (the reference, sections 2.1 and 2.2).

use super::launch_env::{self, ENV_FILE};
use super::manifest::{self, SOCKET_KEY};
use super::session_root::{BRAIN_FILE, DEFINITION_DIR, Files, MANIFEST_FILE};
use super::wire::manifest_v4::{
    AgentLaunchAuthority, Endpoint, GatewayAuthority, Headless, HomeSelector, Interactive, LaunchAuthority, LaunchPlan,
    LocalInteractive, ManifestV4, Posture, PromptMode, Provenance, Resume, RoleInjection, Runtime, SelectionSource,
    Tmux, WindowRole, first_window,
};
use super::wire::{self, Object, Word, time_text, to_json};
use crate::error::{Error, Kind, Result};
use crate::model::record::Backend;
use crate::model::{AgentId, ChatSession, PaneId, Role, RoleMethod, digest};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The name Houmao's gateway looks for on the agent's window (the reference, section 2.5).
pub const WINDOW_NAME: &str = "agent";

/// The key in `launch_plan.metadata` with our own word for a backend.
const BACKEND_KEY: &str = "troop_backend";

/// What `launch_plan.metadata.owner` says of our launches.
pub const OWNER: &str = "troop";

// What Houmao has no place for stands in `launch_plan.metadata`, where it keeps foreign keys.

/// The key there that says that the tool's hooks were injected: `true`, or absent.
pub const HOOKS_KEY: &str = "troop_hooks";
/// The key there that has the model's name, whose words are in `launch_plan.args` too; absent when none was chosen.
pub const MODEL_KEY: &str = "troop_model";
/// The key there that names the profile of the launch; absent when there was none.
pub const PROFILE_KEY: &str = "troop_profile";
/// The key there that says with which conversation the program was started: `last`, `exact ID`, or absent for a new one.
pub const CHAT_KEY: &str = "troop_chat_session";

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
    /// The program and its own words, model included; those for hooks, conversation and role are composed anew at every
    /// start.
    pub argv: Vec<String>,
    /// Whether it is given its tool's hooks.
    pub has_hooks: bool,
    /// Which conversation it is started with.
    pub chat: ChatSession,
    /// The model whose words are in `argv`.
    pub model: Option<String>,
    /// The profile that was asked for.
    pub profile: Option<String>,
    /// Variables of its own. The values go into a file that only its owner may read, never into the manifest.
    pub env: Vec<(String, String)>,
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
    /// Its role and how the program is told it.
    pub role: Option<(Role, RoleMethod)>,
    /// When it is launched.
    pub now: Timestamp,
}

impl LaunchManifest {
    /// The whole manifest as JSON, valid against the schema of version 4, for the
    /// session root `root`. [`Kind::Invalid`] when a value cannot stand in it.
    pub fn to_json(&self, root: &Path) -> Result<Vec<u8>> {
        manifest::to_json(&self.name, &self.to_wire(root)?)
    }

    pub(super) fn to_wire(&self, root: &Path) -> Result<ManifestV4> {
        let backend = Word(self.backend);
        let cwd = text(&self.cwd)?;
        let (executable, args) = self
            .argv
            .split_first()
            .ok_or_else(|| Error::new(Kind::Invalid, format!("{:?} has no program to start; name one", self.name)))?;
        let (window, pane) = (self.window.clone(), self.pane.as_ref().map(|pane| pane.as_str().to_owned()));
        let named = || Some(WINDOW_NAME.to_owned());
        let endpoint = || Object(Endpoint { tmux_window_name: named(), ..Endpoint::default() });
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
            role_name: self.role_name().to_owned(),
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
                env_var_names: self.env.iter().map(|(name, _)| name.clone()).collect(),
                role_injection: Object(RoleInjection {
                    method: Word(
                        self.role
                            .as_ref()
                            .map_or(wire::manifest_v4::RoleMethod::CaoProfile, |(_, method)| (*method).into()),
                    ),
                    role_name: self.role_name().to_owned(),
                }),
                metadata: self.metadata()?,
                mailbox: None,
                launch_policy_provenance: self.provenance(),
            }),
            launch_policy_provenance: self.provenance(),
            system_prompt: self.system_prompt(),
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

    /// The role's name, or what stands for it: a directory in the agent's definition.
    fn role_name(&self) -> &str {
        self.role.as_ref().map_or(&self.name, |(role, _)| &role.name)
    }

    fn role_text(&self) -> &str {
        self.role.as_ref().map_or("", |(role, _)| &role.text)
    }

    fn metadata(&self) -> Result<Map<String, Value>> {
        let mut metadata = Map::from_iter([("owner".to_owned(), Value::from(OWNER))]);
        let mut put = |key: &str, value: Option<Value>| value.map(|value| metadata.insert(key.to_owned(), value));
        put(SOCKET_KEY, self.tmux_socket.as_deref().map(text).transpose()?.map(Value::from));
        put(HOOKS_KEY, self.has_hooks.then_some(Value::from(true)));
        put(MODEL_KEY, self.model.clone().map(Value::from));
        put(PROFILE_KEY, self.profile.clone().map(Value::from));
        put(BACKEND_KEY, self.own_backend.clone().map(Value::from));
        put(CHAT_KEY, self.chat.is_resumed().then(|| self.chat.to_string().into()));
        Ok(metadata)
    }

    /// The section of that name, as Houmao writes it.
    fn system_prompt(&self) -> Option<Value> {
        let (role, _) = self.role.as_ref()?;
        Some(json!({
            "format": "text",
            "role_name": role.name,
            "text": role.text,
            "sha256": digest::sha256(role.text.as_bytes()),
            "source": "launch_plan.role_injection.prompt",
        }))
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
    pub(super) fn brain(&self, root: &Path) -> Result<Value> {
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
                "env_contract": {"source_file": text(&root.join(ENV_FILE))?, "allowlisted_env_vars": self.env.iter().map(|(name, _)| name).collect::<Vec<_>>()},
            },
        }))
    }
}

/// Makes the session root of a launch. What fails leaves nothing behind.
pub fn write_session(root: &Path, launch: &LaunchManifest) -> Result<()> {
    Files {
        manifest: launch.to_json(root)?,
        brain: to_json(&launch.brain(root)?)?,
        env: launch_env::to_text(&launch.env)?,
        role_name: launch.role_name(),
        role_text: launch.role_text(),
        home: None,
    }
    .write(root)
}

/// Writes the window and the pane into the manifest of `root`, once tmux has made
/// them, and leaves the rest of it as it is by now.
pub fn update_panes(root: &Path, window: &str, pane: &PaneId) -> Result<()> {
    if !window.strip_prefix('@').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(Error::new(Kind::Invalid, format!("{window:?} is not a window of tmux, which is '@' and digits")));
    }
    let (window, pane) = (window.to_owned(), pane.as_str().to_owned());
    manifest::change(&root.join(MANIFEST_FILE), |wire| {
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
    })
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(
            Kind::Invalid,
            format!("{path:?} is not UTF-8 and cannot stand in a manifest; choose another directory"),
        )
    })
}
