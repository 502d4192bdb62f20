//! Starts an agent. The record is written before the program is started: a crash
//! leaves a record of an agent that is not there, never an agent without a record.

use super::clock::now;
use super::config::environment;
use super::crash;
use super::effects::{Hands, Target};
use super::event::{Event, Fresh, Link};
use super::observe::{look, tmux_events};
use super::reader::read_entry;
use super::role::{self, ROLE_PROMPT};
use super::stop::LAUNCH_FAILED;
use crate::engine::{Fact, LaunchOrder};
use crate::error::{Error, Kind, Result};
use crate::model::record::{Backend, Lifecycle, LifecycleState};
use crate::model::{Actor, EventKind, Record, Role, RoleMethod, Terminal};
use crate::store::{self, Expect, LaunchManifest, launch, lifecycle, names, reports, spool};
use crate::tmux::{Client, NewSession};
use crate::tool::{HOOKS_ENV, Hooks, Shows, Tool};
use crate::tracker::{Liveness, read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The terminal of a new agent, columns and rows.
const SIZE: (u16, u16) = (120, 40);
/// How long a program is watched of which its tool's rules know nothing: what fails at once, fails by then.
const UP_LIMIT: Duration = Duration::from_secs(1);
/// How long one is watched that is its tool's own and shows nothing yet. Programs that are slow to start have shown their composer,
/// a question or their error within 4 s.
const SHOWS_LIMIT: Duration = Duration::from_secs(10);
/// How often to look meanwhile: at first, and after [`UP_LIMIT`].
const LOOK_GAP: Duration = Duration::from_millis(25);
const LATE_LOOK_GAP: Duration = Duration::from_millis(250);
/// How long after the end of a program its session stays when somebody stops the agent, with room to spare.
const STOP_SHOWS: Duration = Duration::from_millis(200);
/// How many rows of its screen are told of a program that ended, and how much of each.
const LAST_ROWS: usize = 4;
const LAST_ROW_CHARS: usize = 160;
/// How many rows above the screen are looked at for them.
const LAST_SCROLLED: u32 = 50;
/// How the row begins that tmux writes below what a program left.
const DEAD_ROW: &str = "Pane is dead";
/// What stands for the running program in a tool's command.
const OURSELVES: &str = "{troop}";

impl Hands {
    /// Starts an agent: session root and manifest, record, session, in that order. Whoever waits for its program is answered
    /// when that shows something, all others when the agent is there. What fails leaves nothing that runs and a name that is free.
    pub(super) async fn launch(&self, order: LaunchOrder, tool: Arc<Tool>, actor: Actor) -> Result<()> {
        let role = self.read_role(&order, &tool).await?;
        let base = self.resolve_argv(&order)?;
        let argv = tool.argv(&base, order.has_hooks, role.as_ref().map(|(role, _)| role), &order.chat)?;
        self.check_cwd(&order.cwd)?;
        let now = now();
        let name = order.name.as_str().to_owned();
        let backend = Backend::LocalInteractive;
        let session_id = names::session_id(backend, now);
        let root = self.settings.roots.session_root(backend, &session_id);
        let session = names::tmux_session_name(&name, now.as_millisecond());
        let home_variable = tool.home_env.clone().unwrap_or_else(|| "HOME".to_owned());
        let home_path =
            self.variable(&order, &home_variable).or_else(|| self.variable(&order, "HOME")).unwrap_or("/").to_owned();
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
        let hooks = tool.hooks.as_ref().filter(|_| order.has_hooks);
        // A system's own settings stay in force, and the hooks away.
        let settings = hooks.and_then(Hooks::settings).filter(|(_, instead_of)| !instead_of.exists());
        let mut env = self.session_environment(&tool, &record);
        env.extend(hooks.map(|_| (HOOKS_ENV.to_owned(), reports::hooks_path(&root).display().to_string())));
        if let Some(name) = hooks.and_then(Hooks::settings_env).filter(|_| settings.is_some()) {
            env.push((name.to_owned(), reports::settings_path(&root).display().to_string()));
        }
        env.retain(|(name, _)| !order.env.iter().any(|(own, _)| own == name));
        env.extend(order.env.iter().cloned());
        let hooks = hooks.map(|_| settings.map(|(text, _)| text));
        // A conversation that is gone on with has been told it.
        let first = role.as_ref().filter(|(_, way)| *way == RoleMethod::BootstrapMessage && !order.chat.is_resumed());
        let first = first.map(|(role, _)| role.text.clone());
        let manifest = LaunchManifest {
            name: name.clone(),
            id: record.id.clone(),
            generation: record.generation.to_string(),
            session_id,
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
                let written = launch::write_session(&root, &manifest)
                    .and_then(|()| hooks.map_or(Ok(()), |settings| reports::make_hooks(&root, settings.as_deref())))
                    .and_then(|()| first.map_or(Ok(()), |first| spool::put(&root, ROLE_PROMPT, &first)));
                crash::here("launch.written");
                if let Err(error) = written.and_then(|()| registry.publish(&record, &Expect::New, now)) {
                    // Nobody knows of it: the first error is the one to tell.
                    let _ = std::fs::remove_dir_all(&root);
                    return Err(error);
                }
                let looked = Instant::now();
                let entry = registry.read(&record.id)?.ok_or_else(|| {
                    Error::new(Kind::Gone, format!("the record of {} was removed while it was launched", record.name))
                })?;
                Ok(read_entry(entry, looked))
            })
        };
        self.tell(saved.await?).await;
        crash::here("launch.published");
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
        match spawned {
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

    /// Waits until the program is up, and takes everything back when it never came up.
    async fn see_up(&self, target: Target, link: Link) -> Result<()> {
        match until_up(&target, &link).await {
            Ok(None) => Ok(()),
            Ok(Some(ended)) => Err(self.undo(&target, ended).await),
            // Somebody took the session away, and says in the record what became of it.
            Err(error) => Err(error.while_doing(format!("{} was launched and is not there any more", target.name))),
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
        let program = argv.first().cloned().unwrap_or_default();
        let path = self.variable(order, "PATH").unwrap_or("");
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

/// Looks until the program shows something that its tool's rules know, or has run for [`UP_LIMIT`], [`SHOWS_LIMIT`] for one
/// that its tool knows. Gives why the launch has failed when it ended before; [`Kind::Gone`] when its session is gone.
async fn until_up(target: &Target, link: &Link) -> Result<Option<Error>> {
    let began = Instant::now();
    loop {
        let mut limit = UP_LIMIT;
        match look(&link.client, &link.pane).await {
            Ok(look) => {
                let shown = look.screen.text.clone();
                let reading = read(&target.tool, None, &Terminal::Seen(Box::new(look)));
                match &reading.liveness {
                    Liveness::Dead(why) => return ended(link, why, &shown).await.map(Some),
                    Liveness::Alive if reading.posture(false).is_some_and(|found| found.shows != Shows::Starting) => {
                        return Ok(None);
                    }
                    Liveness::Alive if reading.has_rules => limit = SHOWS_LIMIT,
                    _ => {}
                }
            }
            Err(error) if error.kind() == Kind::Gone => return Err(error),
            // Nothing is wrong with a program because its screen cannot be read.
            Err(_) => {}
        }
        if began.elapsed() >= limit {
            return Ok(None);
        }
        tokio::time::sleep(if began.elapsed() < UP_LIMIT { LOOK_GAP } else { LATE_LOOK_GAP }).await;
    }
}

/// Why a launch failed whose program has ended, with what it wrote last, as far as tmux has read that: it does not empty the terminal
/// of a process that has ended.
async fn ended(link: &Link, why: &str, shown: &str) -> Result<Error> {
    // tmux moves the screen up by a row to say that the pane is dead.
    let above = link.client.scrollback(&link.pane, LAST_SCROLLED).await.unwrap_or_default();
    let words = last_words(&format!("{above}\n{shown}"));
    // Whoever stops an agent ends its program first, and takes the session away right after.
    tokio::time::sleep(STOP_SHOWS).await;
    look(&link.client, &link.pane).await?;
    Ok(Error::new(Kind::Gone, format!("its program ended before it was ready ({why}){words}")))
}

/// The last rows of a screen that are not blank, for a sentence; nothing when there are none.
fn last_words(screen: &str) -> String {
    let of_program = |row: &&str| !row.is_empty() && !row.starts_with(DEAD_ROW);
    let rows: Vec<&str> = screen.lines().map(str::trim).filter(of_program).collect();
    if rows.is_empty() {
        return String::new();
    }
    let last = &rows[rows.len().saturating_sub(LAST_ROWS)..];
    let short = last.iter().map(|row| row.chars().filter(|c| !c.is_control()).take(LAST_ROW_CHARS).collect::<String>());
    format!("; the last it said is: {}", short.collect::<Vec<_>>().join(" / "))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::new(Kind::Io, "the work was cut off"))?
}
