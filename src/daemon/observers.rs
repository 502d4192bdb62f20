//! Who watches which agent: one observer for each live agent whose session is
//! there, and a place in the queue for those whose session is not.

use super::config::Settings;
use super::event::{Events, Fresh, Link, Serial};
use super::observe::{Watched, observe};
use super::pace::Crowd;
use super::survey::Surveys;
use crate::engine::{Agent, World, recovery};
use crate::error::Result;
use crate::model::{AgentId, Manifest, Status, Terminal};
use crate::tmux::{Client, Socket};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How often a server is asked for the session of an agent that is starting.
const STARTING_RETRY: Duration = Duration::from_millis(100);
/// How often a server to which there is no connection is asked for a session that
/// is missing: nothing announces a session that somebody makes there later.
const ABSENT_RETRY: Duration = Duration::from_secs(5);
/// How far away a question is that nobody has.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// All observers.
pub(super) struct Observers {
    settings: Arc<Settings>,
    events: Events,
    // Boxed, because up to half of a table is empty.
    all: HashMap<AgentId, Box<Observer>>,
    /// Why nothing can be told here of sessions that are on other machines.
    elsewhere: HashMap<AgentId, String>,
    surveys: Surveys,
    /// The servers that are still to be asked for somebody's session.
    due: HashMap<PathBuf, Socket>,
    next_survey: Instant,
    last_serial: Serial,
    crowd: Arc<Crowd>,
}

/// What watches one agent.
struct Observer {
    serial: Serial,
    socket: Socket,
    session: String,
    generation: Arc<str>,
    /// None while the session is missing.
    task: Option<AbortHandle>,
    link: Option<Link>,
}

impl Observer {
    /// A connection to its session that still answers.
    fn client(&self) -> Option<&Arc<Client>> {
        self.link.as_ref().map(|link| &link.client).filter(|client| client.is_open())
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Observers {
    pub(super) fn new(settings: Arc<Settings>, events: Events) -> Self {
        Self {
            settings,
            events,
            all: HashMap::new(),
            elsewhere: HashMap::new(),
            surveys: Surveys::default(),
            due: HashMap::new(),
            next_survey: Instant::now() + NEVER,
            last_serial: 0,
            crowd: Arc::new(Crowd::new(Instant::now())),
        }
    }

    /// The session of an agent is on another machine, and why nothing can be told of it here; or it is on this one.
    pub(super) fn is_elsewhere(&mut self, id: &AgentId, why: Option<String>) {
        match why {
            Some(why) => drop(self.elsewhere.insert(id.clone(), why)),
            None => drop(self.elsewhere.remove(id)),
        }
    }

    /// Makes the observer of an agent fit its record.
    pub(super) fn reconcile(&mut self, id: &AgentId, world: &World, now: Timestamp) {
        let Some(agent) = world.agents.get(id) else { return };
        // While somebody relaunches it, what is to be seen is the program that goes.
        let wanted =
            agent.is_live(now) && self.settings.scope.covers(id) && !recovery::is_relaunching(&agent.record, now);
        let (Some(session), true) = (&agent.record.session, wanted) else {
            self.all.remove(id);
            return;
        };
        let socket = self.socket_of(agent.manifest.as_deref().ok());
        let fits = |observer: &Observer| {
            observer.session == *session
                && observer.generation == agent.record.generation
                && observer.socket.path() == socket.path()
        };
        if !self.all.get(id).is_some_and(|observer| fits(observer)) {
            self.wait_for(id, socket.clone(), session.clone(), agent.record.generation.clone());
        }
        if self.all.get(id).is_some_and(|observer| observer.task.is_none()) && !self.due.contains_key(socket.path()) {
            self.due.insert(socket.path().to_owned(), socket);
        }
    }

    /// The agent is not there any more.
    pub(super) fn forget(&mut self, id: &AgentId) {
        self.all.remove(id);
        self.elsewhere.remove(id);
    }

    /// A session of our own making: it need not be looked for.
    pub(super) fn created(&mut self, id: &AgentId, generation: Arc<str>, fresh: Fresh, world: &World) {
        if !self.settings.scope.covers(id) || !self.settings.scope.looks() {
            return;
        }
        let session = fresh.link.client.session().to_owned();
        let known = self.all.get(id).is_some_and(|observer| observer.generation == generation);
        if !known {
            // Its record has not been read back yet.
            self.wait_for(id, self.settings.socket.clone(), session, generation);
        }
        self.start(id, Some(fresh), world);
    }

    /// An observer has a connection.
    pub(super) fn connected(&mut self, id: &AgentId, serial: Serial, link: Link) {
        if let Some(observer) = self.current(id, serial) {
            observer.link = Some(link);
        }
    }

    /// An observer's session is gone.
    pub(super) fn ended(&mut self, id: &AgentId, serial: Serial) {
        if let Some(observer) = self.current(id, serial) {
            (observer.task, observer.link) = (None, None);
            let socket = observer.socket.clone();
            self.survey(&socket);
        }
    }

    /// Some session of that server came or went: perhaps one that is missing.
    pub(super) fn sessions_changed(&mut self, socket: &Path) {
        let waiting = self.all.values().find(|observer| observer.task.is_none() && observer.socket.path() == socket);
        if let Some(socket) = waiting.map(|observer| observer.socket.clone()) {
            self.survey(&socket);
        }
    }

    /// A server has said which sessions it has: observers start, and for the
    /// agents whose session is still missing there is something to learn.
    pub(super) fn surveyed(
        &mut self,
        socket: &Path,
        sessions: &Result<BTreeSet<String>>,
        world: &World,
    ) -> Vec<(AgentId, Terminal)> {
        let again = self.surveys.answered(socket);
        let waiting = |observer: &Observer| observer.task.is_none() && observer.socket.path() == socket;
        let ids: Vec<AgentId> = self.all.iter().filter(|(_, o)| waiting(o)).map(|(id, _)| id.clone()).collect();
        let mut missing = Vec::new();
        for id in ids {
            let Some(observer) = self.all.get(&id) else { continue };
            match sessions {
                Ok(sessions) if sessions.contains(&observer.session) && !self.settings.scope.looks() => {
                    self.all.remove(&id);
                }
                Ok(sessions) if sessions.contains(&observer.session) => self.start(&id, None, world),
                Ok(_) => {
                    // A session of another machine is not gone because this one does not have it.
                    let elsewhere = self.elsewhere.get(&id).cloned();
                    missing.push((id, elsewhere.map_or(Terminal::NoSession, Terminal::Failed)));
                }
                Err(error) => missing.push((id, Terminal::Failed(error.to_string()))),
            }
        }
        if again {
            self.sessions_changed(socket);
        }
        missing
    }

    /// Asks for sessions: once all records have been read, each server once for all of them, and again for those that are
    /// missing: soon for an agent that is starting, rarely where nothing would announce them.
    pub(super) fn pass_time(&mut self, world: &World, all_read: bool, now: Timestamp) {
        if Instant::now() >= self.next_survey {
            self.next_survey = Instant::now() + NEVER;
            let waiting = self.all.values().filter(|observer| observer.task.is_none());
            self.due.extend(waiting.map(|observer| (observer.socket.path().to_owned(), observer.socket.clone())));
        }
        if all_read {
            std::mem::take(&mut self.due).values().for_each(|socket| self.survey(socket));
        }
        let starting = |id: &AgentId| {
            world.agents.get(id).is_some_and(|agent| agent.status() == Status::Starting && agent.is_live(now))
        };
        // A server that was just ending may have refused to answer, and its socket may be gone since.
        let failed = |id: &AgentId| {
            let failed = |agent: &Agent| matches!(agent.terminal, Terminal::Failed(_));
            !self.elsewhere.contains_key(id) && world.agents.get(id).is_some_and(|agent| failed(agent))
        };
        let mut wait = NEVER;
        // Each server once: asked for every agent that waits, this would take their number squared.
        let mut unreached = HashSet::new();
        for (id, observer) in self.all.iter().filter(|(_, observer)| observer.task.is_none()) {
            if starting(id) {
                wait = wait.min(STARTING_RETRY);
            } else if failed(id) {
                wait = wait.min(ABSENT_RETRY);
            } else {
                unreached.insert(observer.socket.path().as_os_str());
            }
        }
        for observer in self.all.values().filter(|observer| observer.client().is_some()) {
            unreached.remove(observer.socket.path().as_os_str());
        }
        if wait > ABSENT_RETRY && unreached.iter().any(|socket| Path::new(socket).exists()) {
            wait = ABSENT_RETRY;
        }
        self.next_survey = self.next_survey.min(Instant::now() + wait);
    }

    /// When [`Observers::pass_time`] has something to ask.
    pub(super) fn next_survey(&self) -> Instant {
        self.next_survey
    }

    /// Everybody who is watched or waits to be.
    pub(super) fn ids(&self) -> impl Iterator<Item = &AgentId> {
        self.all.keys()
    }

    /// Whether what this observer says is still news.
    pub(super) fn is_current(&self, id: &AgentId, serial: Serial) -> bool {
        self.all.get(id).is_some_and(|observer| observer.serial == serial)
    }

    /// The connection to an agent's session.
    pub(super) fn link(&self, id: &AgentId) -> Option<Link> {
        self.all.get(id).and_then(|observer| observer.link.clone())
    }

    /// An agent's server: the one its manifest names, else the user's default one.
    pub(super) fn socket_of(&self, manifest: Option<&Manifest>) -> Socket {
        match manifest.and_then(|manifest| manifest.tmux_socket.as_deref()) {
            None => self.settings.default_socket.clone(),
            Some(path) => self.settings.socket_at(path),
        }
    }

    fn wait_for(&mut self, id: &AgentId, socket: Socket, session: String, generation: Arc<str>) {
        self.last_serial += 1;
        let observer = Observer { serial: self.last_serial, socket, session, generation, task: None, link: None };
        self.all.insert(id.clone(), Box::new(observer));
    }

    fn start(&mut self, id: &AgentId, fresh: Option<Fresh>, world: &World) {
        let manifest = world.agents.get(id).and_then(|agent| agent.manifest.clone().ok());
        let Some(observer) = self.all.get_mut(id).filter(|observer| observer.task.is_none()) else { return };
        let watched = Watched {
            agent: id.clone(),
            serial: observer.serial,
            socket: observer.socket.clone(),
            session: observer.session.clone(),
            manifest,
            crowd: self.crowd.clone(),
        };
        observer.task = Some(tokio::spawn(observe(watched, fresh, self.events.clone())).abort_handle());
    }

    fn survey(&mut self, socket: &Socket) {
        let client = self.client_on(socket.path());
        self.surveys.ask(socket, client, &self.events);
    }

    /// A connection to that server, if there is one.
    pub(super) fn client_on(&self, socket: &Path) -> Option<Arc<Client>> {
        // The connection first: of the agents whose session is missing there may be many.
        let connected = self.all.values().filter_map(|observer| Some((observer.client()?, observer.socket.path())));
        connected.filter(|(_, path)| *path == socket).map(|(client, _)| client.clone()).next()
    }

    fn current(&mut self, id: &AgentId, serial: Serial) -> Option<&mut Observer> {
        self.all.get_mut(id).map(Box::as_mut).filter(|observer| observer.serial == serial)
    }
}
