//! Registers an agent that runs in somebody's pane. Nothing is typed, set or renamed there: what makes it an agent is
//! a manifest and a record.

use super::clock::now;
use super::discover::{agent_in, panes_on};
use super::effects::{Hands, blocking};
use super::event::Event;
use super::reader::read_entry;
use crate::command::Adopt;
use crate::engine::claimed;
use crate::error::{Error, Kind, Result};
use crate::model::record::Backend;
use crate::model::{Actor, AgentName, EventKind, FoundAgent, FoundPane};
use crate::process;
use crate::store::lock::FileLock;
use crate::store::{Expect, JoinedManifest, joined, lifecycle};
use crate::tmux::Socket;
use crate::tool::{Tool, Tools};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Whoever adopts holds this file's lock: of two that adopt one pane at once the second sees the first's record.
const LOCK: &str = "adopt.lock";
/// How long to wait for it; an adoption takes some tens of milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// How many names are tried for an agent that was given none.
const MAX_NAMES: usize = 99;

/// A pane that is to be an agent's.
struct Chosen {
    server: Socket,
    at: FoundPane,
    /// What was recognised in it.
    agent: Option<FoundAgent>,
    tool: String,
}

impl Hands {
    /// Registers the agent in a pane: session root and manifest, then the record.
    pub(super) async fn adopt(&self, adopt: Adopt, actor: Actor) -> Result<()> {
        let home = self.settings.roots.home.clone();
        let _lock = blocking(move || {
            joined::make_home(&home)?;
            FileLock::acquire(&home.join(LOCK), LOCK_LIMIT)
        })
        .await?;
        let (tools, _) = Tools::with_overrides(&self.settings.tool_overrides);
        let chosen = self.choose(&adopt, &tools).await?;
        let now = now();
        let name = match adopt.name {
            Some(name) => name,
            None => self.free_name(&chosen)?,
        };
        let name = name.as_str().to_owned();
        let (backend, tool) = (Backend::LocalInteractive, tools.get_or_generic(&chosen.tool).clone());
        let session_id = joined::session_id(backend, now);
        let root = self.settings.roots.session_root(backend, &session_id);
        let session = chosen.at.session.clone();
        let record = lifecycle::begun(&name, backend, &chosen.tool, &root, &session, now);
        let manifest = JoinedManifest {
            name,
            id: record.id.clone(),
            generation: record.generation.to_string(),
            session_id,
            tool: chosen.tool.clone(),
            executable: chosen.executable(&tool),
            cwd: chosen.cwd(),
            home_variable: tool.home_env.clone().unwrap_or_else(|| "HOME".to_owned()),
            at: chosen.at.clone(),
            tmux_socket: (chosen.server.path() != self.settings.default_socket.path())
                .then(|| chosen.server.path().to_owned()),
            now,
        };
        let (id, registry) = (record.id.clone(), self.registry.clone());
        let read = blocking(move || {
            joined::write_session(&root, &manifest)?;
            registry.publish(&record, &Expect::New, now).inspect_err(|_| {
                // Nobody knows of it yet; the first error is the one to tell.
                let _ = std::fs::remove_dir_all(&root);
            })?;
            let looked = Instant::now();
            let entry = registry.read(&record.id)?.ok_or_else(|| {
                Error::new(Kind::Gone, format!("the record of {} was removed while it was adopted", record.name))
            })?;
            Ok(read_entry(entry, looked))
        });
        self.tell(read.await?).await;
        let adopted = EventKind::Adopted { tool: chosen.tool, session, pane: chosen.at.pane.id.to_string() };
        self.tell(Event::Note(Box::new((id, actor, adopted)))).await;
        Ok(())
    }

    /// The pane that is meant: the one of that name, or the only one there in which an agent runs.
    async fn choose(&self, adopt: &Adopt, tools: &Tools) -> Result<Chosen> {
        let servers = match &adopt.server {
            Some(name) => vec![self.settings.server(name)],
            None => self.settings.servers(),
        };
        let claims = {
            let (settings, registry) = (self.settings.clone(), self.registry.clone());
            blocking(move || Ok(settings.claims(&registry, now()))).await?
        };
        let mut meant = Vec::new();
        for server in &servers {
            let panes = panes_on(server, None).await?;
            let claimed = claimed(claims.iter().filter(|claim| claim.socket == *server.path()), &panes);
            for at in panes.iter().filter(|at| adopt.pane.means(at)) {
                let agent = agent_in(&self.settings, server, None, at, tools).await?;
                let registered = claimed.get(&at.pane.id).map(|name| (*name).to_owned());
                meant.push((server.clone(), at.clone(), agent, registered));
            }
        }
        let looked =
            || servers.iter().map(|server| server.path().display().to_string()).collect::<Vec<_>>().join(" or ");
        let what = &adopt.pane;
        if meant.is_empty() {
            let sentence = format!("there is no {what} on {}; troop discover lists the agents there are", looked());
            return Err(Error::new(Kind::NotFound, sentence));
        }
        if meant.len() > 1 && meant.iter().any(|(_, _, agent, _)| agent.is_some()) {
            meant.retain(|(_, _, agent, _)| agent.is_some());
        }
        if meant.len() > 1 && meant.iter().any(|(_, _, _, registered)| registered.is_none()) {
            meant.retain(|(_, _, _, registered)| registered.is_none());
        }
        if meant.len() > 1 && meant.iter().all(|(_, _, agent, registered)| agent.is_some() && registered.is_some()) {
            let names: Vec<String> = meant.into_iter().filter_map(|(.., registered)| registered).collect();
            let sentence = format!("the agents in {what} are registered already: {}", names.join(", "));
            return Err(Error::new(Kind::Exists, sentence));
        }
        let (server, at, agent, registered) = match (meant.pop(), meant.first()) {
            (Some(one), None) => one,
            (Some(last), Some(_)) => {
                let all = meant.iter().chain([&last]);
                let all: Vec<String> =
                    all.map(|(server, at, ..)| format!("{} on {}", at.pane.id, server.path().display())).collect();
                let sentence = format!(
                    "{what} may be any of {}; name one pane (and its server with --tmux-socket)",
                    all.join(", ")
                );
                return Err(Error::new(Kind::Ambiguous, sentence));
            }
            (None, _) => unreachable!("there was one"),
        };
        if let Some(name) = registered {
            let sentence = format!("pane {} is the agent {name} already; use it by that name", at.pane.id);
            return Err(Error::new(Kind::Exists, sentence));
        }
        if at.pane.dead {
            let sentence = format!("the program in pane {} has ended; there is nothing to adopt", at.pane.id);
            return Err(Error::new(Kind::Gone, sentence));
        }
        let tool = match (&adopt.tool, &agent) {
            (Some(wanted), Some(found))
                if tools.get_or_generic(wanted).name != found.tool && wanted != crate::tool::GENERIC =>
            {
                let sentence =
                    format!("{} runs in pane {}, and not {wanted}; leave --tool away", found.tool, at.pane.id);
                return Err(Error::new(Kind::Invalid, sentence));
            }
            (Some(wanted), _) => wanted.clone(),
            (None, Some(found)) => found.tool.clone(),
            (None, None) => {
                let sentence = format!(
                    "no agent program that troop knows runs in pane {} ({} does); start one there, or say which it is with --tool",
                    at.pane.id, at.pane.command
                );
                return Err(Error::new(Kind::NotFound, sentence));
            }
        };
        Ok(Chosen { server, at, agent, tool })
    }

    /// A name that no agent has or may come back to.
    fn free_name(&self, chosen: &Chosen) -> Result<AgentName> {
        let taken: Vec<String> = self
            .registry
            .scan()
            .entries
            .into_iter()
            .filter(|entry| entry.record.claims_live(now()) || entry.record.lifecycle.can_return())
            .map(|entry| entry.record.name)
            .collect();
        let first = format!("{}-{}", chosen.tool, chosen.at.pane.id.number());
        let names = (2..MAX_NAMES).map(|n| format!("{first}-{n}"));
        let free = std::iter::once(first.clone()).chain(names).find(|name| !taken.contains(name));
        AgentName::new(&free.unwrap_or(first)).map_err(|error| error.while_doing("give it a name with --name"))
    }
}

impl Chosen {
    fn executable(&self, tool: &Tool) -> String {
        let running = self.agent.as_ref().and_then(|agent| agent.process.argv.first().cloned());
        running.filter(|word| !word.trim().is_empty()).unwrap_or_else(|| tool.name.clone())
    }

    fn cwd(&self) -> PathBuf {
        let of_pane = || process::directory(self.at.pane.pid);
        self.agent.as_ref().and_then(|agent| agent.cwd.clone()).or_else(of_pane).unwrap_or_else(|| PathBuf::from("/"))
    }
}
