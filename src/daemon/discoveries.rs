//! Agents that nobody has registered, looked for while a mount lasts (`troop mount --discover`).

use super::config::Settings;
use super::discover::{agent_in, panes_on};
use super::event::{Event, Events};
use super::run::Loop;
use crate::engine::{Claim, Fact, claimed};
use crate::error::Result;
use crate::model::{AgentId, FoundAgent};
use crate::process;
use crate::tmux::{Client, Socket};
use crate::tool::Tools;
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often servers are looked at when nothing says that they changed: nobody tells of a program that is started in a
/// shell that was there.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long at least between two looks.
const GAP: Duration = Duration::from_millis(250);
/// How far away a look is that nobody wants.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What was found and when to look again.
pub(super) struct Discoveries {
    settings: Arc<Settings>,
    events: Events,
    tools: Arc<Tools>,
    /// The agents that were found.
    known: HashMap<AgentId, FoundAgent>,
    /// A look is on its way.
    looking: bool,
    /// Something changed meanwhile.
    again: bool,
    looked: bool,
    last: Instant,
    next: Instant,
}

impl Discoveries {
    pub(super) fn new(settings: Arc<Settings>, tools: Tools, events: Events) -> Self {
        let now = Instant::now();
        let next = if settings.discovers { now } else { now + NEVER };
        Self {
            events,
            tools: Arc::new(tools),
            known: HashMap::new(),
            looking: false,
            again: false,
            looked: !settings.discovers,
            last: now,
            next,
            settings,
        }
    }

    /// Something changed on a server, or in the registry.
    pub(super) fn again(&mut self) {
        if self.settings.discovers {
            self.again = true;
            self.next = self.next.min(self.last + GAP);
        }
    }

    /// When [`Loop::look_for_agents`] has something to do.
    pub(super) fn next_look(&self) -> Instant {
        if self.looking { Instant::now() + NEVER } else { self.next }
    }

    /// Whether the servers have been looked at once.
    pub(super) fn has_looked(&self) -> bool {
        self.looked
    }

    /// Looks at all servers, away from the loop.
    fn look(&mut self, servers: Vec<(Socket, Option<Arc<Client>>)>, claims: Vec<Claim>) {
        (self.looking, self.again) = (true, false);
        let (settings, tools, events) = (self.settings.clone(), self.tools.clone(), self.events.clone());
        let known: Vec<FoundAgent> = self.known.values().cloned().collect();
        tokio::spawn(async move {
            let mut all = Vec::new();
            for (server, client) in servers {
                let found = unregistered_on(&settings, &server, client.as_deref(), &tools, &claims, &known).await;
                all.push((server.path().to_owned(), found));
            }
            let _ = events.send(Event::Discovered(all)).await;
        });
    }
}

impl Loop {
    /// Looks for agents that nobody has registered, when it is time.
    pub(super) fn look_for_agents(&mut self, now: Timestamp) {
        if self.discoveries.looking || Instant::now() < self.discoveries.next {
            return;
        }
        let servers = self.settings.servers().into_iter().map(|server| {
            let client = self.observers.client_on(server.path());
            (server, client)
        });
        let servers = servers.collect();
        let claims = self.claims(now);
        self.discoveries.look(servers, claims);
    }

    /// Takes in what was found. What is registered by now is nobody's discovery any more.
    pub(super) fn discovered(&mut self, all: Vec<(PathBuf, Result<Vec<FoundAgent>>)>, now: Timestamp) {
        let discoveries = &mut self.discoveries;
        (discoveries.looking, discoveries.looked, discoveries.last) = (false, true, Instant::now());
        discoveries.next = discoveries.last + if discoveries.again { GAP } else { LOOK_EVERY };
        for (socket, found) in all {
            let found = match found {
                Ok(found) => found,
                // What is known stays: a server that does not answer has not lost its panes.
                Err(error) => {
                    tracing::debug!(%error, "agents could not be looked for");
                    continue;
                }
            };
            // Somebody may have been registered since the look began.
            let claims = self.claims(now);
            let is_claimed = |found: &FoundAgent| claims.iter().any(|claim| is_of(claim, found));
            let found: Vec<FoundAgent> = found.into_iter().filter(|found| !is_claimed(found)).collect();
            let known = self.discoveries.known.values().filter(|known| *known.socket == *socket);
            let is_lost = |known: &&FoundAgent| !found.iter().any(|found| found.id == known.id);
            let lost: Vec<AgentId> = known.filter(is_lost).map(|known| known.id.clone()).collect();
            for id in lost {
                self.discoveries.known.remove(&id);
                self.lose(&id, now);
            }
            for found in found {
                let id = found.id.clone();
                if self.discoveries.known.insert(id.clone(), found.clone()).is_none() {
                    self.learn(Fact::Found(Box::new(found)), now);
                    self.observers.reconcile(&id, &self.world, now);
                }
            }
        }
    }

    /// An agent is registered: who was found in its pane is not shown beside it.
    pub(super) fn registered(&mut self, id: &AgentId, now: Timestamp) {
        if !self.settings.discovers {
            return;
        }
        self.discoveries.again();
        let Some(agent) = self.world.agents.get(id) else { return };
        let Some(claim) = self.settings.claim(&agent.record, agent.manifest.as_deref().ok(), now) else { return };
        let known = self.discoveries.known.values().filter(|known| is_of(&claim, known));
        let lost: Vec<AgentId> = known.map(|known| known.id.clone()).collect();
        for id in lost {
            self.discoveries.known.remove(&id);
            self.lose(&id, now);
        }
    }

    /// Where all registered agents say that they are.
    fn claims(&self, now: Timestamp) -> Vec<Claim> {
        let agents = self.world.agents.values().filter(|agent| agent.is_managed());
        agents.filter_map(|agent| self.settings.claim(&agent.record, agent.manifest.as_deref().ok(), now)).collect()
    }
}

/// The agents on a server that nobody has registered. Who is known already, and lives, is not looked at again.
async fn unregistered_on(
    settings: &Settings,
    server: &Socket,
    client: Option<&Client>,
    tools: &Tools,
    claims: &[Claim],
    known: &[FoundAgent],
) -> Result<Vec<FoundAgent>> {
    let panes = panes_on(server, client).await?;
    let claimed = claimed(claims.iter().filter(|claim| claim.socket == *server.path()), &panes);
    let mut agents = Vec::new();
    for at in panes.iter().filter(|at| !claimed.contains_key(&at.pane.id)) {
        let lives = |known: &&FoundAgent| {
            *known.socket == *server.path()
                && (&known.at.pane.id, known.at.pane.pid) == (&at.pane.id, at.pane.pid)
                && process::start_time(known.process.pid) == Some(known.process.start_time)
        };
        match known.iter().find(lives) {
            Some(known) => agents.push(known.clone()),
            None => agents.extend(agent_in(settings, server, client, at, tools).await?),
        }
    }
    Ok(agents)
}

/// Whether that may be the registered agent's pane: it is the one it names, or it names none of its session yet.
fn is_of(claim: &Claim, found: &FoundAgent) -> bool {
    claim.socket == *found.socket
        && claim.session == found.at.session
        && claim.pane.as_ref().is_none_or(|pane| *pane == found.at.pane.id)
}
