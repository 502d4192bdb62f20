//! What a manifest says of how its program is started: enough to start it again (the reference, sections 2.2 and 2.4).

use super::dir::read_regular;
use super::launch::HOOKS_KEY;
use super::launch_env;
use super::lifecycle::Return;
use super::manifest::{self, read_wire};
use super::wire::manifest_v4::{EnvBinding, LaunchPlan, ManifestV4, Posture, RoleMethod};
use super::wire::{Object, Word};
use crate::error::{Error, Kind, Result};
use crate::model::record::Backend;
use crate::model::{Manifest, Role};
use nix::fcntl::OFlag;
use serde_json::Value;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest file of variables that is read, in bytes; those that Houmao writes have some hundred.
const MAX_ENV_BYTES: u64 = 1 << 20;
/// The key in `launch_plan.metadata` that names Houmao's file with the values of `env_var_names`.
const ENV_SOURCE_KEY: &str = "env_source_file";

/// How a program was started, without the words for hooks, conversation and role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The program and its own words.
    pub argv: Vec<String>,
    /// Whether it is given its tool's hooks.
    pub has_hooks: bool,
    /// Where it works.
    pub cwd: PathBuf,
    /// Its variables, each once: its home, then those of the launch.
    pub env: Vec<(String, String)>,
    /// Variables that it is given from whoever starts it.
    pub inherits: Vec<String>,
    /// Its role, unless that is a file in its home.
    pub role: Option<Role>,
    /// The role is typed as the first prompt of a new conversation, and not told at the start.
    pub is_role_typed: bool,
    /// What troop reads from the manifest otherwise.
    pub manifest: Manifest,
}

/// The plan in the manifest at `path`. [`Kind::NotFound`] or [`Kind::Malformed`] when that cannot be read or a
/// file that it needs cannot, [`Kind::Unsupported`] when it has no plan that a terminal could be given.
pub fn read(path: &Path) -> Result<Plan> {
    let wire = read_wire(path).map_err(|error| error.while_doing(format_args!("manifest {}", path.display())))?;
    let name = wire.agent_name.clone().unwrap_or_default();
    let unsupported = |why: &str| Err(Error::new(Kind::Unsupported, format!("{name} {why}")));
    if wire.backend.0 != Backend::LocalInteractive && !wire.backend.0.is_headless() {
        return unsupported("has a backend whose programs are not started from here");
    }
    let authority = wire.agent_launch_authority.as_ref().map(|Object(authority)| authority);
    let posture = authority.and_then(|authority| authority.posture_kind).map(|Word(posture)| posture);
    let model = manifest_of(&wire, path)?;
    let plan = &wire.launch_plan.0;
    let mut argv = vec![plan.executable.clone()];
    let mut bindings = &[][..];
    match (posture, authority) {
        (Some(Posture::TuiLaunchOptions), Some(authority)) => {
            argv.extend(authority.launch_args.iter().flatten().cloned());
            bindings = authority.launch_env.as_deref().unwrap_or_default();
        }
        (Some(Posture::Unavailable | Posture::HeadlessLaunchOptions), _) => {
            return unsupported(
                "was joined where it ran, so how to start it is not known; start it yourself and adopt it again",
            );
        }
        _ if model.joined => {
            return unsupported(
                "was joined where it ran, so how to start it is not known; start it yourself and adopt it again",
            );
        }
        _ => argv.extend(plan.args.iter().cloned()),
    }
    let root = path.parent().unwrap_or(Path::new("/"));
    let mut env = vec![(plan.home_selector.0.env_var.clone(), plan.home_selector.0.home_path.clone())];
    // Whoever joined it says of its home only where one would be.
    env.retain(|_| !model.joined);
    let mut inherits = Vec::new();
    for (name, value) in variables(&wire, plan, root)? {
        put(&mut env, name, value);
    }
    for Object(binding) in bindings {
        match binding {
            EnvBinding::Literal { name, value } => put(&mut env, name.clone(), value.clone()),
            EnvBinding::Inherit { name } => inherits.push(name.clone()),
        }
    }
    let known = |name: &String| env.iter().any(|(known, _)| known == name);
    inherits.extend(plan.env_var_names.iter().filter(|name| !known(name)).cloned());
    let method = plan.role_injection.0.method.0;
    Ok(Plan {
        argv,
        has_hooks: plan.metadata.get(HOOKS_KEY) == Some(&Value::Bool(true)),
        cwd: plan.working_directory.clone().into(),
        env,
        inherits,
        role: role(&wire, method),
        is_role_typed: matches!(method, RoleMethod::BootstrapMessage),
        manifest: model,
    })
}

fn manifest_of(wire: &ManifestV4, path: &Path) -> Result<Manifest> {
    manifest::model_of(wire)
        .map_err(|reason| Error::new(Kind::Malformed, format!("manifest {}: {reason}", path.display())))
}

/// The values of a launch: those of `launch.env`, or of the file that Houmao names, and its memory's places.
fn variables(wire: &ManifestV4, plan: &LaunchPlan, root: &Path) -> Result<Vec<(String, String)>> {
    let Some(source) = plan.metadata.get(ENV_SOURCE_KEY).and_then(Value::as_str) else {
        return launch_env::read(root);
    };
    let runtime = &wire.runtime.0;
    let memory = [
        ("HOUMAO_AGENT_MEMORY_DIR", &runtime.memory_root),
        ("HOUMAO_AGENT_MEMO_FILE", &runtime.memo_file),
        ("HOUMAO_AGENT_PAGES_DIR", &runtime.pages_dir),
    ];
    let mut found: Vec<(String, String)> =
        memory.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
    found.extend(source_file(Path::new(source))?);
    found.retain(|(name, _)| plan.env_var_names.contains(name));
    Ok(found)
}

/// Houmao's file of variables: `NAME=VALUE`, perhaps after `export`, perhaps in quotes; other lines mean nothing.
fn source_file(path: &Path) -> Result<Vec<(String, String)>> {
    let failed = |error: &Error| {
        Error::new(
            error.kind(),
            format!("the variables of its launch cannot be read, {}: {}", path.display(), error.sentence()),
        )
    };
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let bytes = file
        .map_err(|error| Error::io("it cannot be opened", &error))
        .and_then(|file| read_regular(file, MAX_ENV_BYTES))
        .map_err(|error| failed(&error))?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(variable).collect())
}

fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    Some((name.trim().to_owned(), value.to_owned()))
}

fn put(env: &mut Vec<(String, String)>, name: String, value: String) {
    env.retain(|(known, _)| *known != name);
    env.push((name, value));
}

pub(super) fn role(wire: &ManifestV4, method: RoleMethod) -> Option<Role> {
    match method {
        RoleMethod::NativeDeveloperInstructions
        | RoleMethod::NativeAppendSystemPrompt
        | RoleMethod::BootstrapMessage => {}
        RoleMethod::NativeHomeSystemPrompt | RoleMethod::CaoProfile => return None,
    }
    let text = wire.system_prompt.as_ref()?.get("text")?.as_str().filter(|text| !text.is_empty())?;
    Some(Role { name: wire.role_name.clone(), text: text.to_owned() })
}

/// Writes another life into the manifest at `path`, and leaves the rest of it as it is by now: generation and
/// session, and no window and pane until there are some. With `leaves` its session is not one that was joined any more.
pub fn update_life(path: &Path, life: &Return, leaves: bool) -> Result<()> {
    manifest::change(path, |wire| {
        wire.registry_generation_id = Some(life.generation.to_string());
        wire.runtime.0.registry_generation_id = Some(life.generation.to_string());
        wire.tmux_session_name = Some(life.session.clone());
        if let Some(Object(tmux)) = &mut wire.tmux {
            tmux.session_name.clone_from(&life.session);
            (tmux.primary_window_id, tmux.primary_pane_id) = (None, None);
        }
        if let Some(Object(authority)) = &mut wire.agent_launch_authority {
            authority.tmux_session_name = Some(life.session.clone());
            authority.session_origin = authority.session_origin.filter(|_| !leaves);
            (authority.primary_window_id, authority.primary_pane_id) = (None, None);
        }
        if leaves {
            wire.launch_plan.0.metadata.remove(manifest::ORIGIN_KEY);
        }
        let state = &mut wire.backend_state;
        state.insert("tmux_session_name".to_owned(), life.session.clone().into());
        for handle in ["tmux_window_id", "tmux_pane_id"] {
            state.insert(handle.to_owned(), Value::Null);
        }
    })
}
