//! `troop interop-write` and `troop interop-read`: what the interoperability test with Houmao drives, as writer and
//! reader of the files that both share. Agents are written in the ways that `adopt` and `launch` write them.

use super::args::{Common, InteropMode, InteropWrite};
use super::context::{Context, actor};
use crate::command::{self, Command};
use crate::daemon::{Daemon, Scope, Settings};
use crate::error::{Error, Result};
use crate::model::record::Backend;
use crate::model::{AgentName, ChatSession, LifecycleState, PaneName, Record};
use crate::port::Until;
use crate::store::{Expect, LaunchManifest, Registry, Roots, launch, lifecycle, manifest, names, session_root};
use crate::tmux::{Client, Socket, quote};
use crate::tool::{Tools, version};
use jiff::Timestamp;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How long writing may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The most tmux events that wait; nobody reads them.
const MAX_EVENTS: usize = 16;

/// Writes the agent that runs in a session.
pub(super) fn write(common: &Common, options: InteropWrite) -> Result<()> {
    let context = Context::new(common)?;
    let roots = Roots {
        registry: options.registry.clone(),
        legacy_registry: None,
        home: options.runtime.clone(),
        state: options.runtime.clone(),
    };
    let settings = Settings { roots, scope: Scope::Records, ..context.settings };
    let name = AgentName::new(&options.name)?;
    if options.mode == InteropMode::Joined {
        let pane = PaneName::parse(&options.session)?;
        let adopt = command::Adopt { pane, name: Some(name), tool: Some(options.tool), server: None };
        return Daemon::start(settings)?.port().call(Command::adopt(adopt), actor(), Until::Done, LIMIT);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("cannot ask tmux", &error))?;
    let written = runtime.block_on(write_launched(&settings, &options));
    runtime.block_on(crate::tmux::detach_all());
    written
}

/// As of a launch: the window is called as it would be, and the session's environment says whose it is.
async fn write_launched(settings: &Settings, options: &InteropWrite) -> Result<()> {
    let now = Timestamp::now();
    let (client, window, pane) = surface(&settings.default_socket, &options.session).await?;
    let session_id = names::session_id(Backend::LocalInteractive, now);
    let root = settings.roots.session_root(Backend::LocalInteractive, &session_id);
    let (tools, _) = Tools::with_overrides(&settings.tool_overrides);
    let record = record(options, &root, now);
    let manifest = LaunchManifest {
        name: options.name.clone(),
        id: record.id.clone(),
        generation: record.generation.to_string(),
        session_id,
        tool: options.tool.clone(),
        argv: vec![options.tool.clone()],
        has_hooks: false,
        chat: ChatSession::New,
        model: None,
        profile: None,
        env: Vec::new(),
        cwd: options.cwd.clone(),
        home_variable: tools.get_or_generic(&options.tool).home_env.clone().unwrap_or_else(|| "HOME".to_owned()),
        home_path: root.join("home"),
        session: options.session.clone(),
        window: Some(window),
        pane: Some(pane),
        tmux_socket: None,
        tool_version: installed(&options.tool),
        role: None,
        backend: Backend::LocalInteractive,
        own_backend: None,
        now,
    };
    launch::write_session(&root, &manifest)?;
    for (variable, value) in [
        ("HOUMAO_MANIFEST_PATH", record.manifest_path.display().to_string()),
        ("HOUMAO_AGENT_ID", record.id.to_string()),
        ("HOUMAO_AGENT_DEF_DIR", session_root::definition_dir(&root).display().to_string()),
    ] {
        let session = quote(&format!("={}:", options.session));
        client.run(&format!("set-environment -t {session} {variable} {}", quote(&value))).await?;
    }
    Registry::new(settings.roots.clone()).publish(&record, &Expect::New, now)
}

/// The first window and pane of a session, named as those of a launch.
async fn surface(socket: &Socket, session: &str) -> Result<(Client, String, crate::model::PaneId)> {
    let (sender, _events) = tokio::sync::mpsc::channel(MAX_EVENTS);
    let client = Client::attach(socket, session, sender).await?;
    let place = client.find_agent_pane(session).await?;
    client.run(&format!("rename-window -t {} {}", place.window, launch::WINDOW_NAME)).await?;
    Ok((client, place.window, place.pane))
}

fn record(options: &InteropWrite, root: &Path, now: Timestamp) -> Record {
    lifecycle::begun(&options.name, Backend::LocalInteractive, &options.tool, root, &options.session, now)
}

/// The release of the program of that name on PATH, if it says one.
fn installed(program: &str) -> Option<String> {
    let output = std::process::Command::new(program).arg("--version").output().ok()?;
    version(&String::from_utf8_lossy(&output.stdout)).map(|version| version.to_string())
}

/// Prints one JSON object for each record of a registry, and one with an error for each that cannot be read.
pub(super) fn read(registry: &Path) -> Result<()> {
    let roots = Roots {
        registry: registry.to_owned(),
        legacy_registry: None,
        home: registry.to_owned(),
        state: registry.to_owned(),
    };
    let scan = Registry::new(roots).scan();
    let now = Timestamp::now();
    super::print(|out| {
        for entry in scan.entries {
            let record = entry.record;
            let manifest = manifest::check(&record.manifest_path, &record);
            let differs = |what: &str| manifest.iter().flatten().any(|found| found.contains(what));
            let gateway = record.gateway.as_ref().map(|gateway| format!("{}:{}", gateway.host, gateway.port));
            let line = json!({
                "dir": entry.path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy()),
                "agent_id": record.id,
                "agent_name": record.name,
                "generation_id": &*record.generation,
                "state": record.lifecycle.state,
                "active": record.lifecycle.state == LifecycleState::Active && record.claims_live(now),
                "relaunchable": record.lifecycle.relaunchable,
                "backend": record.backend,
                "tool": record.tool,
                "tmux_session": record.session.as_ref().unwrap_or(&record.last_session),
                "gateway": gateway,
                "id_is_md5_of_name": record.id == names::agent_id_for(&record.name),
                "manifest_schema": manifest.is_ok().then_some(manifest::SCHEMA_VERSION),
                "manifest_error": manifest.as_ref().err().map(ToString::to_string),
                "generation_matches_manifest": manifest.is_ok() && !differs("generation"),
            });
            writeln!(out, "{line}")?;
        }
        for finding in scan.problems {
            writeln!(out, "{}", json!({"dir": finding.path, "error": finding.sentence}))?;
        }
        Ok(())
    })
}
