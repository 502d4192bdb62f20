//! Starts an agent. The record is written before the program is started: a crash
//! leaves a record of an agent that is not there, never an agent without a record.

use super::clock::now;
use super::config::environment;
use super::crash;
use super::effects::{Hands, Target, blocking};
use super::event::{Event, Fresh, Link};
use super::observe::tmux_events;
use super::reader::read_entry;
use super::role::{self, ROLE_PROMPT};
use super::stop::LAUNCH_FAILED;
use super::up::until_up;
use crate::engine::{Fact, LaunchOrder};
use crate::error::{Error, Kind, Result};
use crate::model::record::Backend;
use crate::model::{Actor, EventKind, Record, Role, RoleMethod};
use crate::store::homes::{self, Index};
use crate::store::{self, Expect, LaunchManifest, LifeLock, launch, lifecycle, names, reports, spool};
use crate::tmux::{Client, NewSession};
use crate::tool::{HOOKS_ENV, Hooks, Tool};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::time::Instant;

/// The terminal of a new agent, columns and rows.
pub(super) const SIZE: (u16, u16) = (120, 40);
/// What stands for the running program in a tool's command.
const OURSELVES: &str = "{troop}";

impl Hands {
    /// Starts an agent: session root and manifest, record, session, in that order. Whoever waits for its program is answered
    /// when that shows something, all others when the agent is there. What fails leaves nothing that runs and a name that is free.
    pub(super) async fn launch(&self, order: LaunchOrder, tool: Arc<Tool>, actor: Actor) -> Result<()> {
        let role = self.read_role(&order, &tool).await?;
        let base = self.resolve_argv(&order)?;
        let name = order.name.as_str().to_owned();
        let headless = tool.headless.as_ref().filter(|_| order.headless);
        let told = role.as_ref().map(|(role, _)| role);
        // Each turn of a headless agent starts the program.
        let argv = match headless {
            Some(_) => super::headless::placeholder(&name),
            None => tool.argv(&base, order.has_hooks, told, &order.chat)?,
        };
        self.check_cwd(&order.cwd)?;
        let now = now();
        let backend = headless.map_or(Backend::LocalInteractive, |headless| headless.backend);
        let session_id = names::session_id(backend, now);
        let root = self.settings.roots.session_root(backend, &session_id);
        let session = names::tmux_session_name(&name, now.as_millisecond());
        // A variable that it was not given it is not given later either: without one it knows its home under HOME.
        let given = tool.home_env.clone().and_then(|name| Some((self.variable(&order, &name)?.to_owned(), name)));
        let (home_path, home_variable) =
            given.unwrap_or_else(|| (self.variable(&order, "HOME").unwrap_or("/").to_owned(), "HOME".to_owned()));
        let socket = &self.settings.socket;
        let record = lifecycle::begun(&name, backend, &order.tool, &root, &session, now);
        let hooks = Reporting::of(&tool, order.has_hooks, &root);
        let env = self.session_environment(&tool, &record, &hooks, &order.env);
        // A conversation that is gone on with has been told it.
        let first = role.as_ref().filter(|(_, way)| *way == RoleMethod::BootstrapMessage && !order.chat.is_resumed());
        let first = first.map(|(role, _)| role.text.clone());
        let manifest = LaunchManifest {
            name: name.clone(),
            id: record.id.clone(),
            generation: record.generation.to_string(),
            session_id,
            backend,
            own_backend: headless.and_then(|headless| headless.own_backend.clone()),
            tool: order.tool.clone(),
            argv: base,
            has_hooks: order.has_hooks,
            chat: order.chat,
            model: order.model,
            profile: order.profile,
            env: order.env,
            cwd: order.cwd.clone(),
            home_variable,
            home_path: PathBuf::from(home_path),
            session: session.clone(),
            window: None,
            pane: None,
            tmux_socket: (socket != &self.settings.default_socket).then(|| socket.path().to_owned()),
            tool_version: None,
            role,
            now,
        };
        let saved = {
            let (registry, root, record) = (self.registry.clone(), root.clone(), record.clone());
            blocking(move || {
                // Nobody clears it away, stops or relaunches it before it is there, or has come to nothing.
                let made = LifeLock::begin(&root).and_then(|life| {
                    launch::write_session(&root, &manifest)?;
                    hooks.make(&root)?;
                    first.map_or(Ok(()), |first| spool::put(&root, ROLE_PROMPT, &first))?;
                    crash::here("launch.written");
                    registry.publish(&record, &Expect::New, now).map(|()| life)
                });
                let life = made.inspect_err(|_| {
                    // Nobody knows of it: the first error is the one to tell.
                    let _ = std::fs::remove_dir_all(&root);
                })?;
                let looked = Instant::now();
                let entry = registry.read(&record.id)?.ok_or_else(|| {
                    Error::new(Kind::Gone, format!("the record of {} was removed while it was launched", record.name))
                })?;
                Ok((read_entry(entry, looked), life))
            })
        };
        let (read, life) = saved.await?;
        self.tell(read).await;
        crash::here("launch.published");
        // Beside the start of the program: nobody waits for a hint.
        let hosted = self.hosted(&root);
        let new = NewSession {
            name: session.clone(),
            window_name: launch::WINDOW_NAME.to_owned(),
            cwd: order.cwd,
            size: SIZE,
            env,
            argv,
        };
        let mut target = Target::bare(record, tool, socket.clone(), None);
        let launched = EventKind::Launched { tool: order.tool, session };
        let spawned = self.spawn(&new, &mut target, root, (actor, launched)).await;
        let _ = hosted.await;
        drop(life);
        match spawned {
            Ok(_) if order.headless => Ok(()),
            Ok(link) if order.waits => self.see_up(target, link).await,
            Ok(link) => {
                let hands = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = hands.see_up(target, link).await {
                        hands.tell(Event::fact(Fact::Refused(None, error.to_string()))).await;
                    }
                });
                Ok(())
            }
            Err(error) => Err(self.undo(&target, error).await),
        }
    }

    /// Has written down, away from here, that this machine hosts the session with that root now.
    pub(super) fn hosted(&self, root: &Path) -> tokio::task::JoinHandle<()> {
        let (root, roots) = (root.to_owned(), self.settings.roots.clone());
        tokio::task::spawn_blocking(move || homes::hosted(&Index::new(&roots.state), &roots.registry, &root, now()))
    }

    /// Waits until the program is up, and takes everything back when it never came up.
    async fn see_up(&self, target: Target, link: Link) -> Result<()> {
        match until_up(&target, &link).await {
            Ok(None) => Ok(()),
            Ok(Some(ended)) => {
                // Whoever stops an agent ends its program first, and says in the record what became of it.
                let _life = self.life(&target).await?;
                match self.current(&target).await {
                    Ok(record) if record.lifecycle.state.is_live() => Err(self.undo(&target, ended).await),
                    _ => Err(stopped_meanwhile(&target)),
                }
            }
            // Somebody took the session away.
            Err(_) => Err(stopped_meanwhile(&target)),
        }
    }

    /// After a launch that failed nothing runs, and the name is free again. Gives the error to tell.
    async fn undo(&self, target: &Target, error: Error) -> Error {
        if let Err(left) = self.end_session(target, true).await {
            tracing::warn!(error = %left, target.name, "the session of a launch that failed could not be ended");
        }
        if let Err(left) = self.retire(target, Some(LAUNCH_FAILED)).await {
            tracing::warn!(error = %left, target.name, "the record of a launch that failed could not be retired");
        }
        error.while_doing(format!("{} could not be launched", target.name))
    }

    /// Makes the session with its program in it.
    async fn spawn(
        &self,
        new: &NewSession,
        target: &mut Target,
        root: PathBuf,
        (actor, launched): (Actor, EventKind),
    ) -> Result<Link> {
        let (sender, events) = tmux_events();
        let (client, created) = Client::create(&self.settings.socket, new, sender).await?;
        crash::here("launch.spawned");
        let link = Link::new(Arc::new(client), created.pane.clone());
        target.link = Some(link.clone());
        let (agent, generation) = (target.record.id.clone(), target.record.generation.clone());
        // Before anybody looks: a program may be ready at the first look.
        self.tell(Event::Note(Box::new((agent.clone(), actor, launched)))).await;
        let fresh = Fresh { link: link.clone(), events };
        self.tell(Event::Created { agent, generation, fresh }).await;
        if target.record.backend.is_headless() {
            self.manage(&target.record, &created.window, created.pane.as_str()).await?;
        }
        blocking(move || store::launch::update_panes(&root, &created.window, &created.pane)).await?;
        crash::here("launch.panes");
        Ok(link)
    }

    /// The command line with our own path filled in and the program found.
    fn resolve_argv(&self, order: &LaunchOrder) -> Result<Vec<String>> {
        let ourselves =
            std::env::current_exe().map_err(|error| Error::io("cannot find this program's own path", &error))?;
        let mut argv: Vec<String> =
            order.argv.iter().map(|word| word.replace(OURSELVES, &ourselves.to_string_lossy())).collect();
        let path = self.variable(order, "PATH").unwrap_or("");
        let Some(found) = argv.first().and_then(|program| find_program(program, &order.cwd, path)) else {
            return Err(Error::new(
                Kind::NotFound,
                format!(
                    "there is no program {:?} for the tool {}; install it, or give its path after --",
                    argv.first().map_or("", String::as_str),
                    order.tool
                ),
            ));
        };
        argv[0] = found;
        Ok(argv)
    }

    /// A variable as the program will have it.
    fn variable<'a>(&'a self, order: &'a LaunchOrder, wanted: &str) -> Option<&'a str> {
        let all = order.env.iter().chain(&self.settings.environment);
        all.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The role in the file that the order names, and how the tool is told it.
    async fn read_role(&self, order: &LaunchOrder, tool: &Tool) -> Result<Option<(Role, RoleMethod)>> {
        let Some(path) = order.role.clone() else { return Ok(None) };
        let way = tool.role_way()?;
        let mount = self.settings.mountpoint.clone();
        let role = blocking(move || role::read(&path, mount.as_deref())).await?;
        Ok(Some((role, way)))
    }

    pub(super) fn check_cwd(&self, cwd: &Path) -> Result<()> {
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
    /// environment, the variables by which a program in the session finds its agent and all others, those of its hooks, and its `own`.
    pub(super) fn session_environment(
        &self,
        tool: &Tool,
        record: &Record,
        hooks: &Reporting,
        own: &[(String, String)],
    ) -> Vec<(String, String)> {
        let mut env = environment(&self.settings.environment, tool);
        let mut add = |name: &str, value: String| env.push((name.to_owned(), value));
        add("HOUMAO_MANIFEST_PATH", record.manifest_path.display().to_string());
        add("HOUMAO_AGENT_ID", record.id.to_string());
        add("HOUMAO_TOOL", record.tool.clone());
        if let Some(dir) = &record.agent_def_dir {
            add("HOUMAO_AGENT_DEF_DIR", dir.display().to_string());
        }
        env.extend(hooks.env.iter().cloned());
        env.retain(|(name, _)| !own.iter().any(|(owned, _)| owned == name));
        env.extend(own.iter().cloned());
        self.settings.lead_here(&mut env);
        env
    }
}

/// What a program needs beside its arguments to report by its tool's hooks; nothing where it has none.
pub(super) struct Reporting {
    /// The text of the file of settings, when there is one.
    settings: Option<String>,
    has_hooks: bool,
    env: Vec<(String, String)>,
}

impl Reporting {
    pub(super) fn of(tool: &Tool, has_hooks: bool, root: &Path) -> Self {
        let hooks = tool.hooks.as_ref().filter(|_| has_hooks);
        // A system's own settings stay in force, and the hooks away.
        let settings = hooks.and_then(Hooks::settings).filter(|(_, instead_of)| !instead_of.exists());
        let mut env = Vec::new();
        env.extend(hooks.map(|_| (HOOKS_ENV.to_owned(), reports::hooks_path(root).display().to_string())));
        if let Some(name) = hooks.and_then(Hooks::settings_env).filter(|_| settings.is_some()) {
            env.push((name.to_owned(), reports::settings_path(root).display().to_string()));
        }
        Self { settings: settings.map(|(text, _)| text), has_hooks: hooks.is_some(), env }
    }

    /// Makes its files in the session root.
    pub(super) fn make(&self, root: &Path) -> Result<()> {
        if self.has_hooks { reports::make_hooks(root, self.settings.as_deref()) } else { Ok(()) }
    }
}

/// The path of a program: its own from `cwd` on, else the first on the search path.
pub(super) fn find_program(program: &str, cwd: &Path, path: &str) -> Option<String> {
    let found = if program.contains('/') {
        Some(cwd.join(program)).filter(|path| is_program(path))
    } else {
        path.split(':')
            .filter(|dir| !dir.is_empty())
            .map(|dir| Path::new(dir).join(program))
            .find(|path| is_program(path))
    };
    found.map(|path| path.to_string_lossy().into_owned())
}

fn stopped_meanwhile(target: &Target) -> Error {
    Error::new(Kind::Gone, format!("{} was launched, and somebody has ended it since", target.name))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
