//! Looks for agents in anybody's tmux panes. One list of panes for a server, `/proc` for what runs in them, one
//! screen for each that may be an agent. Nothing is attached to, set or typed.

use super::clock::now;
use super::config::Settings;
use crate::engine::{Claim, claimed, may_be_agent, recognise};
use crate::error::{Error, Kind, Result};
use crate::model::{FoundAgent, FoundPane, Look, Manifest, Record};
use crate::process;
use crate::store::{Registry, manifest, names};
use crate::tmux::{Client, Socket};
use crate::tool::Tools;
use jiff::Timestamp;

impl Settings {
    /// The servers that are looked at unless others are named: the user's own, and that of new agents.
    pub fn servers(&self) -> Vec<Socket> {
        let mut servers = vec![self.default_socket.clone()];
        if self.socket.path() != self.default_socket.path() {
            servers.push(self.socket.clone());
        }
        servers
    }

    /// The server that a person names, as with `tmux -L` or by the path of its socket.
    pub fn server(&self, name: &str) -> Socket {
        let variable =
            |wanted: &str| self.environment.iter().find(|(known, _)| known == wanted).map(|(_, value)| value.clone());
        Socket::resolve(Some(name), variable)
    }

    /// Where a registered agent says that it is; none when it is not live.
    pub(super) fn claim(&self, record: &Record, manifest: Option<&Manifest>, now: Timestamp) -> Option<Claim> {
        let session = record.session.clone().filter(|_| record.claims_live(now))?;
        let socket = manifest.and_then(|manifest| manifest.tmux_socket.as_deref());
        Some(Claim {
            name: record.name.clone(),
            socket: socket.unwrap_or(self.default_socket.path()).to_owned(),
            session,
            pane: manifest.and_then(|manifest| manifest.pane.clone()),
            joined: manifest.is_some_and(|manifest| manifest.joined),
        })
    }

    /// What all registered agents say. Reads every record and manifest.
    pub(super) fn claims(&self, registry: &Registry, now: Timestamp) -> Vec<Claim> {
        let entries = registry.scan().entries.into_iter();
        entries
            .filter(|entry| entry.record.claims_live(now))
            .filter_map(|entry| {
                let manifest = manifest::read(&entry.record.manifest_path).ok();
                self.claim(&entry.record, manifest.as_ref(), now)
            })
            .collect()
    }
}

/// The agents that run on these servers, registered or not, in the order of servers and panes, and of each server that
/// did not answer the reason; one that is not there has no agents. Blocks its thread.
pub fn discover(settings: &Settings, servers: &[Socket]) -> Result<(Vec<FoundAgent>, Vec<Error>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("cannot ask tmux for its panes", &error))?;
    let (tools, _) = Tools::with_overrides(&settings.tool_overrides);
    let claims = settings.claims(&Registry::new(settings.roots.clone()), now());
    runtime.block_on(async {
        let (mut all, mut silent) = (Vec::new(), Vec::new());
        for server in servers {
            match agents_on(settings, server, &tools, &claims).await {
                Ok(agents) => all.extend(agents),
                Err(error) => silent.push(error),
            }
        }
        Ok((all, silent))
    })
}

/// The agents on one server.
async fn agents_on(settings: &Settings, server: &Socket, tools: &Tools, claims: &[Claim]) -> Result<Vec<FoundAgent>> {
    let panes = panes_on(server, None).await?;
    let claimed = claimed(claims.iter().filter(|claim| claim.socket == *server.path()), &panes);
    let mut agents = Vec::new();
    for at in &panes {
        let registered = claimed.get(&at.pane.id).map(|name| (*name).to_owned());
        let found = agent_in(settings, server, None, at, tools).await?;
        agents.extend(found.map(|found| FoundAgent { registered, ..found }));
    }
    Ok(agents)
}

/// The agent in one pane, if one is recognised, over `client` where there is one; whether it is registered is not looked at.
pub(super) async fn agent_in(
    settings: &Settings,
    server: &Socket,
    client: Option<&Client>,
    at: &FoundPane,
    tools: &Tools,
) -> Result<Option<FoundAgent>> {
    let look = if at.pane.dead { None } else { look(server, client, at, tools).await? };
    let Some(found) = look.and_then(|look| recognise(tools, &look)) else { return Ok(None) };
    let (pid, start_time) = (found.process.pid, found.process.start_time);
    let which = format!("{}\n{}\n{pid}\n{start_time}", server.path().display(), at.pane.id);
    Ok(Some(FoundAgent {
        id: names::agent_id_for(&which),
        socket: server.path().into(),
        is_default_server: server.path() == settings.default_socket.path(),
        at: at.clone(),
        tool: found.tool.name.clone(),
        cwd: process::directory(pid),
        process: found.process,
        status: found.status,
        registered: None,
    }))
}

/// The panes of a server, over `client` where there is one, in the order of sessions, windows and panes.
pub(super) async fn panes_on(server: &Socket, client: Option<&Client>) -> Result<Vec<FoundPane>> {
    match client {
        Some(client) => client.all_panes().await,
        None => server.all_panes().await,
    }
}

/// A look at a pane in which an agent may run; none when none can.
async fn look(server: &Socket, client: Option<&Client>, at: &FoundPane, tools: &Tools) -> Result<Option<Look>> {
    let Some(programs) = process::programs(at.pane.pid).filter(|programs| may_be_agent(tools, programs)) else {
        return Ok(None);
    };
    let (pane, screen) = match client {
        Some(client) => match client.glance(&at.pane.id).await {
            Ok(frame) => (frame.pane, Some(frame.screen)),
            // It went away meanwhile.
            Err(error) if error.kind() == Kind::Gone => (at.pane.clone(), None),
            Err(error) => return Err(error),
        },
        None => (at.pane.clone(), server.screen(&at.pane.id).await?),
    };
    Ok(screen.map(|screen| Look { pane, screen, programs }))
}
