//! Starts an agent's program again: in its own session when that is there, else in a new one. Its record says
//! `relaunching` from before anything is started until it runs, so that whoever dies in between leaves a record that
//! says so (`recover`).

use super::clock::now;
use super::crash;
use super::effects::{Hands, Target, blocking};
use super::event::{Event, Fresh, Link};
use super::launch::{Reporting, SIZE, find_program};
use super::observe::tmux_events;
use super::recover::{RELAUNCH_FAILED, Scene, Session};
use super::role::ROLE_PROMPT;
use super::stop::{MANIFEST_UNREADABLE, cannot_return, end_all, end_gateway, end_programs, programs};
use super::up::until_up;
use crate::error::{Error, Kind, Result};
use crate::model::{Actor, ChatSession, EventKind, PaneId, Record};
use crate::store::conversation;
use crate::store::plan::{self, Plan};
use crate::store::{AgentLock, Return, launch, names, spool};
use crate::tmux::{Client, NewSession, Respawn};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a relaunch waits for a prompt that is being typed.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// How the program is to be started.
struct Start {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    hooks: Reporting,
    /// What is typed as its first prompt.
    first: Option<String>,
}

impl Hands {
    /// Starts the program again with that conversation. In a session that is there its generation stays; in a new
    /// session the agent gets a new one. Returns when the program is up.
    pub(super) async fn relaunch(&self, target: &Target, chat: &ChatSession, actor: &Actor) -> Result<()> {
        let _life = self.life(target).await?;
        let record = self.current(target).await?;
        let scene = self.scene(target, &record).await?;
        if cannot_return(&scene, &record.manifest_path) {
            return self.give_up(target, &record, scene).await;
        }
        let path = record.manifest_path.clone();
        let plan = blocking(move || plan::read(&path)).await?;
        self.check_cwd(&plan.cwd)?;
        let headless = record.backend.is_headless();
        if headless {
            self.choose_conversation(target, chat).await?;
        }
        let session = scene.session.filter(|_| record.lifecycle.state.is_live());
        match session {
            Some(session) if plan.manifest.joined => Err(Error::new(
                Kind::Unsupported,
                format!(
                    "{} runs in session {}, which is somebody's own; start its program there yourself",
                    target.name, session.name
                ),
            )),
            // Its program is started by its next turn.
            Some(session) if headless && session.pane.is_some() => {
                self.relaunched(target, &session.name, chat, actor).await;
                Ok(())
            }
            Some(session) if session.pane.is_some() => {
                self.respawn(target, &record, &plan, chat, &session, actor).await
            }
            remnant => self.revive(target, &record, &plan, chat, remnant.as_ref(), actor).await,
        }
    }

    /// Has the next turn of a headless agent go on with that conversation.
    async fn choose_conversation(&self, target: &Target, chat: &ChatSession) -> Result<()> {
        let (root, chat) = (target.root.clone(), chat.clone());
        blocking(move || {
            let _turns = AgentLock::acquire(&root, LOCK_LIMIT)?;
            conversation::select(&root, &chat)
        })
        .await
    }

    /// Nobody can say how it was started. When it has no session either, its record is finished for good.
    async fn give_up(&self, target: &Target, record: &Record, scene: Scene) -> Result<()> {
        let why = scene.manifest.err().map_or_else(String::new, |error| error.to_string());
        let name = &target.name;
        let malformed = |sentence: String| Err(Error::new(Kind::Malformed, sentence));
        if scene.session.is_some() {
            return malformed(format!("{name} cannot be started again, because {why}; stop it and launch a new agent"));
        }
        end_gateway(record).await;
        end_programs(&target.tool, record, None, false).await?;
        self.retire(target, Some(MANIFEST_UNREADABLE)).await?;
        malformed(format!(
            "{name} cannot be started again, because {why}; its record is retired now, launch a new agent"
        ))
    }

    /// What a start of the program takes, with everything that can be refused before anything is done.
    fn start(&self, target: &Target, record: &Record, plan: &Plan, chat: &ChatSession) -> Result<Start> {
        let caller = |wanted: &str| {
            let found = self.settings.environment.iter().find(|(name, _)| name == wanted);
            found.map(|(name, value)| (name.clone(), value.clone()))
        };
        let mut own: Vec<(String, String)> = plan.inherits.iter().filter_map(|name| caller(name)).collect();
        own.extend(plan.env.iter().cloned());
        let hooks = Reporting::of(&target.tool, plan.has_hooks, &target.root);
        let headless = record.backend.is_headless();
        let env = self.session_environment(&target.tool, record, &hooks, &own);
        let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        let mut base = plan.argv.clone();
        let program = base.first().cloned().unwrap_or_default();
        base[0] = find_program(&program, &plan.cwd, path).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("the program of {}, {program:?}, is not there any more; install it again", target.name),
            )
        })?;
        let role = plan.role.as_ref();
        let argv = if headless {
            super::headless::placeholder(&target.name)
        } else {
            target.tool.argv(&base, plan.has_hooks, role.filter(|_| !plan.is_role_typed), chat)?
        };
        // A conversation that is gone on with has been told it.
        let first = role.filter(|_| plan.is_role_typed && !chat.is_resumed()).map(|role| role.text.clone());
        Ok(Start { argv, env, hooks, first })
    }

    /// Starts the program in its own pane, in place of the one that is there.
    async fn respawn(
        &self,
        target: &Target,
        record: &Record,
        plan: &Plan,
        chat: &ChatSession,
        session: &Session,
        actor: &Actor,
    ) -> Result<()> {
        let start = self.start(target, record, plan, chat)?;
        let root = target.root.clone();
        // Whoever types a prompt has finished or begins when the new program is there.
        let _typing = blocking(move || AgentLock::acquire(&root, LOCK_LIMIT)).await?;
        let life = Return { generation: record.generation.clone(), session: session.name.clone() };
        let to = life.clone();
        self.record(target, move |registry, id, generation| registry.relaunch(id, generation, &to, now()).map(drop))
            .await?;
        crash::here("relaunch.published");
        let done = self.in_its_pane(target, record, plan, start, session).await;
        // Whether its program runs or not: it is in its session, and what it is can be seen there.
        self.record(target, |registry, id, generation| registry.returned(id, generation, now()).map(drop)).await?;
        crash::here("relaunch.returned");
        let link = done?;
        self.relaunched(target, &life.session, chat, actor).await;
        came_up(target, &link).await
    }

    async fn in_its_pane(
        &self,
        target: &Target,
        record: &Record,
        plan: &Plan,
        start: Start,
        session: &Session,
    ) -> Result<Link> {
        let client = session.client.clone();
        let pane = session.pane.as_ref().ok_or_else(|| Error::new(Kind::Gone, "its pane is gone"))?;
        // The window must not go with the program.
        client.keep_ended(pane).await?;
        end_all(&programs(&target.tool, record, Some(session)).await).await;
        crash::here("relaunch.ended");
        make_files(target.root.clone(), start.hooks, start.first).await?;
        let program = Respawn { cwd: plan.cwd.clone(), env: start.env, argv: start.argv };
        let created = client.respawn(pane, &program).await?;
        crash::here("relaunch.spawned");
        let is_named = plan.manifest.pane.as_ref() == Some(&created.pane)
            && plan.manifest.window.as_deref() == Some(created.window.as_str());
        if !is_named {
            update_panes(&record.manifest_path, created.window, created.pane.clone()).await?;
        }
        Ok(Link::new(client, created.pane))
    }

    /// Starts the program in a new session, as another generation, after what is left of the last one has been ended.
    async fn revive(
        &self,
        target: &Target,
        record: &Record,
        plan: &Plan,
        chat: &ChatSession,
        remnant: Option<&Session>,
        actor: &Actor,
    ) -> Result<()> {
        let life = Return {
            generation: names::generation().into(),
            session: names::tmux_session_name(&record.name, now().as_millisecond()),
        };
        let mut next = Target::bare(
            Record { generation: life.generation.clone(), session: Some(life.session.clone()), ..record.clone() },
            target.tool.clone(),
            target.socket.clone(),
            None,
        );
        next.name.clone_from(&target.name);
        let start = self.start(&next, &next.record, plan, chat)?;
        end_gateway(record).await;
        end_programs(&target.tool, record, remnant, false).await?;
        crash::here("relaunch.ended");
        let to = life.clone();
        self.record(target, move |registry, id, generation| registry.relaunch(id, generation, &to, now()).map(drop))
            .await?;
        crash::here("relaunch.published");
        match self.in_a_new_session(&mut next, plan, start, life.clone()).await {
            Ok(fresh) => {
                self.record(&next, |registry, id, generation| registry.returned(id, generation, now()).map(drop))
                    .await?;
                crash::here("relaunch.returned");
                let link = fresh.link.clone();
                let (agent, generation) = (next.record.id.clone(), life.generation);
                self.tell(Event::Created { agent, generation, fresh }).await;
                self.relaunched(&next, &life.session, chat, actor).await;
                if record.backend.is_headless() { Ok(()) } else { came_up(&next, &link).await }
            }
            Err(error) => {
                // It is where it was before: it can be relaunched when what is in the way is gone.
                if let Err(left) = self.end_session(&next, true).await {
                    tracing::warn!(error = %left, name = %next.name, "the session of a failed relaunch could not be ended");
                }
                let stop = |registry: &crate::store::Registry, id: &crate::model::AgentId, generation: &str| {
                    registry.stop(id, generation, RELAUNCH_FAILED, now()).map(drop)
                };
                self.record(&next, stop).await?;
                Err(error.while_doing(format!("{} could not be relaunched", next.name)))
            }
        }
    }

    async fn in_a_new_session(&self, next: &mut Target, plan: &Plan, start: Start, life: Return) -> Result<Fresh> {
        let (path, leaves) = (next.record.manifest_path.clone(), plan.manifest.joined);
        blocking(move || plan::update_life(&path, &life, leaves)).await?;
        crash::here("relaunch.manifest");
        make_files(next.root.clone(), start.hooks, start.first).await?;
        let hosted = self.hosted(&next.root);
        let new = NewSession {
            name: next.record.session.clone().unwrap_or_default(),
            window_name: launch::WINDOW_NAME.to_owned(),
            cwd: plan.cwd.clone(),
            size: SIZE,
            env: start.env,
            argv: start.argv,
        };
        let (sender, events) = tmux_events();
        let (client, created) = Client::create(&next.socket, &new, sender).await?;
        crash::here("relaunch.spawned");
        let link = Link::new(Arc::new(client), created.pane.clone());
        next.link = Some(link.clone());
        if next.record.backend.is_headless() {
            self.manage(&next.record, &created.window, created.pane.as_str()).await?;
        }
        update_panes(&next.record.manifest_path, created.window, created.pane).await?;
        let _ = hosted.await;
        Ok(Fresh { link, events })
    }

    async fn relaunched(&self, target: &Target, session: &str, chat: &ChatSession, actor: &Actor) {
        let kind = EventKind::Relaunched { session: session.to_owned(), chat: chat.to_string() };
        self.note(target, actor, kind).await;
    }
}

/// Waits until the program is up; the reason when it has ended instead.
async fn came_up(target: &Target, link: &Link) -> Result<()> {
    until_up(target, link).await?.map_or(Ok(()), Err)
}

/// Makes the files that the program reads or writes, and what is typed first.
async fn make_files(root: Arc<Path>, hooks: Reporting, first: Option<String>) -> Result<()> {
    blocking(move || {
        hooks.make(&root)?;
        first.map_or(Ok(()), |first| spool::put(&root, ROLE_PROMPT, &first))
    })
    .await
}

async fn update_panes(manifest: &Path, window: String, pane: PaneId) -> Result<()> {
    let root = manifest.parent().unwrap_or(Path::new("/")).to_owned();
    blocking(move || launch::update_panes(&root, &window, &pane)).await
}
