//! Starts an agent. The record is written before the program is started: a crash
//! leaves a record of an agent that is not there, never an agent without a record.

use super::clock::now;
use super::config::environment;
use super::crash;
use super::effects::{Hands, Target};
use super::event::{Event, Fresh, Link};
use super::observe::tmux_events;
use super::reader::read_entry;
use super::stop::LAUNCH_FAILED;
use crate::engine::LaunchOrder;
use crate::error::{Error, Kind, Result};
use crate::model::record::{Backend, Lifecycle, LifecycleState};
use crate::model::{Actor, EventKind, Record};
use crate::store::{self, Expect, LaunchManifest, launch, lifecycle, names, reports};
use crate::tmux::{Client, NewSession};
use crate::tool::{HOOKS_ENV, Hooks, Tool};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::time::Instant;

/// The terminal of a new agent, columns and rows.
const SIZE: (u16, u16) = (120, 40);
/// What stands for the running program in a tool's command.
const OURSELVES: &str = "{troop}";

impl Hands {
    /// Starts an agent: session root and manifest, record, session, in that order.
    pub(super) async fn launch(&self, order: LaunchOrder, tool: Arc<Tool>, actor: Actor) -> Result<()> {
        let argv = self.resolve_argv(&order)?;
        self.check_cwd(&order.cwd)?;
        let now = now();
        let name = order.name.as_str().to_owned();
        let headless = tool.headless.as_ref().filter(|_| order.headless);
        let backend = headless.map_or(Backend::LocalInteractive, |headless| headless.backend);
        let session_id = names::session_id(backend, now);
        let root = self.settings.roots.session_root(backend, &session_id);
        let session = names::tmux_session_name(&name, now.as_millisecond());
        let home_variable = tool.home_env.clone().unwrap_or_else(|| "HOME".to_owned());
        let variable = |wanted: &str| {
            self.settings.environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        let home_path = variable(&home_variable).or_else(|| variable("HOME")).unwrap_or_else(|| "/".to_owned());
        let socket = &self.settings.socket;
        let record = Record {
            id: names::agent_id_for(&name),
            name: name.clone(),
            generation: names::generation().into(),
            lifecycle: Lifecycle {
                state: LifecycleState::Active,
                relaunchable: true,
                updated_at: now,
                stopped_at: None,
                stop_reason: None,
            },
            backend,
            tool: order.tool.clone(),
            manifest_path: root.join(launch::MANIFEST_FILE).into(),
            session_root: Some(root.as_path().into()),
            agent_def_dir: Some(launch::definition_dir(&root).into()),
            session: Some(session.clone()),
            last_session: session.clone(),
            lease: Some(lifecycle::lease(now)),
            gateway: None,
            mailbox: None,
        };
        let manifest = LaunchManifest {
            name: name.clone(),
            id: record.id.clone(),
            generation: record.generation.to_string(),
            session_id,
            backend,
            own_backend: headless.and_then(|headless| headless.own_backend.clone()),
            tool: order.tool.clone(),
            argv: argv.clone(),
            cwd: order.cwd.clone(),
            home_variable,
            home_path: PathBuf::from(home_path),
            session: session.clone(),
            window: None,
            pane: None,
            tmux_socket: (socket != &self.settings.default_socket).then(|| socket.path().to_owned()),
            tool_version: None,
            role_name: name.clone(),
            now,
        };
        let hooks = tool.hooks.as_ref().filter(|_| order.has_hooks);
        // A system's own settings stay in force, and the hooks away.
        let settings = hooks.and_then(Hooks::settings).filter(|(_, instead_of)| !instead_of.exists());
        let mut env = self.session_environment(&tool, &record);
        env.extend(hooks.map(|_| (HOOKS_ENV.to_owned(), reports::hooks_path(&root).display().to_string())));
        if let Some(name) = hooks.and_then(Hooks::settings_env).filter(|_| settings.is_some()) {
            env.push((name.to_owned(), reports::settings_path(&root).display().to_string()));
        }
        let hooks = hooks.map(|_| settings.map(|(text, _)| text));
        let saved = {
            let (registry, root, record) = (self.registry.clone(), root.clone(), record.clone());
            blocking(move || {
                launch::write_session(&root, &manifest)?;
                if let Some(settings) = hooks {
                    reports::make_hooks(&root, settings.as_deref())?;
                }
                registry.publish(&record, &Expect::New, now)?;
                let looked = Instant::now();
                let entry = registry.read(&record.id)?.ok_or_else(|| {
                    Error::new(Kind::Gone, format!("the record of {} was removed while it was launched", record.name))
                })?;
                Ok(read_entry(entry, looked))
            })
        };
        self.tell(saved.await?).await;
        crash::here("launch.published");
        // Each of its turns starts the program.
        let argv = if headless.is_some() { super::headless::placeholder(&name) } else { argv };
        let new = NewSession {
            name: session.clone(),
            window_name: launch::WINDOW_NAME.to_owned(),
            cwd: order.cwd,
            size: SIZE,
            env,
            argv,
        };
        match self.spawn(&new, &record, root).await {
            Ok(()) => {
                let launched = EventKind::Launched { tool: order.tool, session };
                self.tell(Event::Note(Box::new((record.id, actor, launched)))).await;
                Ok(())
            }
            Err(error) => {
                // Nothing runs: the name is free again.
                let target = Target::bare(record, tool, socket.clone(), None);
                let _ = self.retire(&target, Some(LAUNCH_FAILED)).await;
                Err(error.while_doing(format!("{name} could not be launched")))
            }
        }
    }

    async fn spawn(&self, new: &NewSession, record: &Record, root: PathBuf) -> Result<()> {
        let (sender, events) = tmux_events();
        let (client, created) = Client::create(&self.settings.socket, new, sender).await?;
        let link = Link::new(Arc::new(client), created.pane.clone());
        self.tell(Event::Created {
            agent: record.id.clone(),
            generation: record.generation.clone(),
            fresh: Fresh { link, events },
        })
        .await;
        if record.backend.is_headless() {
            self.manage(record, &created.window, created.pane.as_str()).await?;
        }
        blocking(move || store::launch::update_panes(&root, &created.window, &created.pane)).await
    }

    /// The command line with our own path filled in and the program found.
    fn resolve_argv(&self, order: &LaunchOrder) -> Result<Vec<String>> {
        let ourselves =
            std::env::current_exe().map_err(|error| Error::io("cannot find this program's own path", &error))?;
        let mut argv: Vec<String> =
            order.argv.iter().map(|word| word.replace(OURSELVES, &ourselves.to_string_lossy())).collect();
        let program = argv.first().cloned().unwrap_or_default();
        let path = self.settings.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        let found = if program.contains('/') {
            Some(order.cwd.join(&program)).filter(|path| is_program(path))
        } else {
            path.split(':')
                .filter(|dir| !dir.is_empty())
                .map(|dir| Path::new(dir).join(&program))
                .find(|path| is_program(path))
        };
        let Some(found) = found else {
            return Err(Error::new(
                Kind::NotFound,
                format!(
                    "there is no program {program:?} for the tool {}; install it, or give its path after --",
                    order.tool
                ),
            ));
        };
        argv[0] = found.to_string_lossy().into_owned();
        Ok(argv)
    }

    fn check_cwd(&self, cwd: &Path) -> Result<()> {
        if self.settings.mountpoint.as_ref().is_some_and(|mount| cwd.starts_with(mount)) {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{} is inside the mount; an agent cannot work there, choose a directory on disk",
                    cwd.display()
                ),
            ));
        }
        if !cwd.is_dir() {
            return Err(Error::new(
                Kind::NotFound,
                format!("{} is not a directory; make it, or choose another with --cwd", cwd.display()),
            ));
        }
        Ok(())
    }

    /// What the program and the session are given: a named part of the launcher's
    /// environment and the variables by which a program in the session finds its agent.
    fn session_environment(&self, tool: &Tool, record: &Record) -> Vec<(String, String)> {
        let mut env = environment(&self.settings.environment, tool);
        let mut add = |name: &str, value: String| env.push((name.to_owned(), value));
        add("HOUMAO_MANIFEST_PATH", record.manifest_path.display().to_string());
        add("HOUMAO_AGENT_ID", record.id.to_string());
        add("HOUMAO_TOOL", record.tool.clone());
        if let Some(dir) = &record.agent_def_dir {
            add("HOUMAO_AGENT_DEF_DIR", dir.display().to_string());
        }
        env
    }
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::new(Kind::Io, "the work was cut off"))?
}
