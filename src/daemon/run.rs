//! The loop itself.

use super::config::Settings;
use super::effects::{Hands, Job, Target, prompt_id};
use super::event::{Event, Fresh, Link, MAX_EVENTS, Serial};
use super::journals::Journals;
use super::observe::{Watched, observe};
use super::reader::{self, MAX_CHANGES};
use super::survey::Surveys;
use crate::engine::{Effect, Fact, Note, World, plan};
use crate::error::Error;
use crate::model::{Actor, AgentId, EventKind, Terminal};
use crate::port::{Answer, Hub, Request, Until};
use crate::store::{Change, Registry, Watch};
use crate::tmux::{Client, Socket};
use crate::tool::Tools;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How often a server is asked for the session of an agent that is starting.
const STARTING_RETRY: Duration = Duration::from_millis(100);
/// How often a server to which there is no connection is asked for a session that
/// is missing: nothing announces a session that somebody makes there later.
const ABSENT_RETRY: Duration = Duration::from_secs(5);
/// How long the loop waits at most; only so that a limit has a name.
const IDLE: Duration = Duration::from_secs(3600);
/// The most events taken in before a snapshot is published.
const MAX_BATCH: usize = 256;
/// The same refusal within this time is not written down again.
const REFUSAL_REPEAT: Duration = Duration::from_secs(1);

/// Runs until `stopped` says so.
pub(super) async fn run(settings: Settings, hub: Hub, mut stopped: oneshot::Receiver<()>) {
    let (events, mut received) = mpsc::channel(MAX_EVENTS);
    let mut state = Loop::new(settings, hub, events);
    state.publish(Timestamp::now());
    loop {
        let wake = state.next_wake();
        let waited = tokio::select! {
            _ = &mut stopped => return,
            event = received.recv() => Waited::Event(event),
            request = state.hub.requests.recv() => Waited::Request(request),
            () = tokio::time::sleep_until(wake) => Waited::Time,
        };
        let now = Timestamp::now();
        match waited {
            Waited::Event(Some(event)) => state.take(event, now),
            Waited::Request(Some(request)) => state.obey(request, now),
            // Nobody can ask for anything any more.
            Waited::Event(None) | Waited::Request(None) => return,
            Waited::Time => {}
        }
        for _ in 0..MAX_BATCH {
            let Ok(event) = received.try_recv() else { break };
            state.take(event, now);
        }
        state.pass_time(now);
        state.publish(now);
    }
}

enum Waited {
    Event(Option<Event>),
    Request(Option<Request>),
    Time,
}

/// Everything the loop owns.
struct Loop {
    settings: Arc<Settings>,
    registry: Arc<Registry>,
    world: World,
    hub: Hub,
    hands: Hands,
    watch: Option<Watch>,
    journals: Journals,
    observers: HashMap<AgentId, Observer>,
    surveys: Surveys,
    next_survey: Instant,
    last_serial: Serial,
    scanned: bool,
    settled: bool,
    /// Commands answered once the snapshot that shows them is published.
    accepted: Vec<Answer>,
    last_refusal: HashMap<AgentId, (String, Instant)>,
}

/// What watches one agent.
struct Observer {
    serial: Serial,
    socket: Socket,
    session: String,
    generation: String,
    task: Option<AbortHandle>,
    link: Option<Link>,
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Loop {
    fn new(settings: Settings, hub: Hub, events: mpsc::Sender<Event>) -> Self {
        let (tools, _) = Tools::with_overrides(&settings.tool_overrides);
        let world = World::new(tools, settings.default_tool.clone(), settings.default_cwd.clone());
        let (settings, registry) = (Arc::new(settings.clone()), Arc::new(Registry::new(settings.roots)));
        let hands = Hands { settings: settings.clone(), registry: registry.clone(), events: events.clone() };
        let (changes, changed) = mpsc::channel(MAX_CHANGES);
        // Watched before it is read, so that nothing falls in between.
        let watch = {
            let changes = changes.clone();
            let roots: Vec<PathBuf> = [Some(settings.roots.registry.clone()), settings.roots.legacy_registry.clone()]
                .into_iter()
                .flatten()
                .collect();
            Watch::start(&roots, move |change| drop(changes.blocking_send(change)))
        };
        let watch = watch.inspect_err(|error| tracing::warn!(%error, "records are not watched")).ok();
        let _ = changes.try_send(Change::Rescan);
        tokio::spawn(reader::run(registry.clone(), changed, events));
        Self {
            settings,
            registry,
            world,
            hub,
            hands,
            watch,
            journals: Journals::default(),
            observers: HashMap::new(),
            surveys: Surveys::default(),
            next_survey: Instant::now() + IDLE,
            last_serial: 0,
            scanned: false,
            settled: false,
            accepted: Vec::new(),
            last_refusal: HashMap::new(),
        }
    }

    fn take(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Read { entry, manifest } => {
                let id = entry.record.id.clone();
                let record = entry.record.clone();
                let events = self.journals.meet(&record, self.watch.as_ref());
                let fact = Fact::Record { record: Box::new(entry.record), path: Arc::new(entry.path), manifest };
                self.learn(fact, now);
                self.learn(Fact::Journal(id.clone(), events), now);
                self.reconcile(&id, now);
            }
            Event::Missing(id) => self.lose(&id, now),
            Event::Scanned { present, oddities } => {
                let lost: Vec<AgentId> =
                    self.world.agents.keys().filter(|id| !present.contains(*id)).cloned().collect();
                for id in lost {
                    self.lose(&id, now);
                }
                self.learn(Fact::Oddities(oddities), now);
                self.scanned = true;
            }
            Event::Changed(path) => {
                if let Some((id, events)) = self.journals.changed(&path) {
                    self.learn(Fact::Journal(id, events), now);
                }
            }
            Event::Connected { agent, serial, link } => {
                if let Some(observer) = self.observer(&agent, serial) {
                    observer.link = Some(link);
                }
            }
            Event::Looked { agent, serial, terminal } => {
                if self.observer(&agent, serial).is_some() {
                    self.learn(Fact::Terminal(agent, terminal), now);
                }
            }
            Event::Scrolled { agent, serial, text } => {
                if self.observer(&agent, serial).is_some() {
                    self.learn(Fact::Scrollback(agent, text), now);
                }
            }
            Event::Ended { agent, serial } => {
                if let Some(observer) = self.observer(&agent, serial) {
                    (observer.task, observer.link) = (None, None);
                    let socket = observer.socket.clone();
                    self.survey(&socket);
                }
            }
            Event::Sessions(path) => {
                let waiting = self.observers.values().find(|o| o.task.is_none() && o.socket.path() == path);
                if let Some(socket) = waiting.map(|observer| observer.socket.clone()) {
                    self.survey(&socket);
                }
            }
            Event::Surveyed { socket, sessions } => self.surveyed(&socket, sessions, now),
            Event::Created { agent, fresh } => self.created(&agent, fresh),
            Event::Fact(fact) => self.learn(fact, now),
            Event::Note(note) => self.note(note, now),
            Event::Finished { answer, result } => {
                if let Some(answer) = answer {
                    self.publish(now);
                    answer(result);
                }
            }
        }
    }

    /// Plans a command and starts what it asks for.
    fn obey(&mut self, request: Request, now: Timestamp) {
        let Request { command, actor, until, answer } = request;
        let (agent, what) = (command.agent().cloned(), command.what().to_owned());
        let effects = match plan(&self.world, command, now) {
            Ok(effects) => effects,
            Err(error) => {
                self.refused(agent, what, &error, actor, now);
                self.publish(now);
                return answer(Err(error));
            }
        };
        let mut jobs = Vec::new();
        for effect in effects {
            let id = prompt_id(now);
            match &effect {
                Effect::Deliver { agent, text } => {
                    self.learn(Fact::Accepted(agent.clone(), text.clone()), now);
                    let kind = EventKind::Prompt { prompt_id: id.clone(), text: text.clone() };
                    self.note((agent.clone(), actor.clone(), kind), now);
                }
                Effect::Refuse { agent, what, error } => {
                    self.refused(agent.clone(), what.clone(), error, actor.clone(), now);
                }
                Effect::Rescan => self.rescan(),
                _ => {}
            }
            jobs.extend(Job::of(
                effect,
                &id,
                |id| self.target(id),
                |tool| self.world.tools.get_or_generic(tool).clone(),
            ));
        }
        let waits = match until {
            Until::Accepted => {
                self.accepted.push(answer);
                None
            }
            Until::Done => Some(answer),
        };
        tokio::spawn(self.hands.clone().carry_out(jobs, actor, waits));
    }

    fn learn(&mut self, fact: Fact, now: Timestamp) {
        for note in self.world.take(fact, now) {
            self.note(note, now);
        }
    }

    /// Writes into an agent's journal and shows what is new in it.
    fn note(&mut self, note: Note, now: Timestamp) {
        let (id, actor, kind) = note;
        if matches!(actor, Actor::Observed) && !self.settings.keeps_history {
            return;
        }
        // An agent of our own making may be noted before its record was read back.
        let record = match self.world.agents.get(&id) {
            Some(agent) => agent.record.clone(),
            None => match self.registry.read(&id) {
                Ok(Some(entry)) => entry.record,
                _ => return,
            },
        };
        let events = self.journals.write(&record, actor, kind, now, self.watch.as_ref());
        self.learn(Fact::Journal(id, events), now);
    }

    fn refused(&mut self, agent: Option<AgentId>, what: String, error: &Error, actor: Actor, now: Timestamp) {
        self.learn(Fact::Refused(agent.clone(), error.to_string()), now);
        let Some(id) = agent else { return };
        let repeated = self
            .last_refusal
            .get(&id)
            .is_some_and(|(sentence, at)| sentence == error.sentence() && at.elapsed() < REFUSAL_REPEAT);
        if !repeated {
            self.last_refusal.insert(id.clone(), (error.to_string(), Instant::now()));
            self.note((id, actor, EventKind::Refused { what, error: error.to_string() }), now);
        }
    }

    fn rescan(&self) {
        let (registry, events) = (self.registry.clone(), self.hands.events.clone());
        let (changes, changed) = mpsc::channel(1);
        let _ = changes.try_send(Change::Rescan);
        tokio::spawn(reader::run(registry, changed, events));
    }

    fn lose(&mut self, id: &AgentId, now: Timestamp) {
        self.observers.remove(id);
        self.last_refusal.remove(id);
        self.journals.forget(id, self.watch.as_ref());
        self.learn(Fact::NoRecord(id.clone()), now);
    }

    /// Makes the observer of an agent fit its record.
    fn reconcile(&mut self, id: &AgentId, now: Timestamp) {
        let Some(agent) = self.world.agents.get(id) else { return };
        let wanted = agent.is_live(now) && self.settings.scope.covers(id);
        let (Some(session), true) = (&agent.record.session, wanted) else {
            self.observers.remove(id);
            return;
        };
        let socket = self.socket_of(agent.manifest.as_ref().ok().and_then(|manifest| manifest.tmux_socket.as_deref()));
        let fits = |observer: &Observer| {
            observer.session == *session
                && observer.generation == agent.record.generation
                && observer.socket.path() == socket.path()
        };
        if !self.observers.get(id).is_some_and(fits) {
            self.last_serial += 1;
            let observer = Observer {
                serial: self.last_serial,
                socket: socket.clone(),
                session: session.clone(),
                generation: agent.record.generation.clone(),
                task: None,
                link: None,
            };
            self.observers.insert(id.clone(), observer);
        }
        if self.observers.get(id).is_some_and(|observer| observer.task.is_none()) {
            self.survey(&socket);
        }
    }

    /// A record's server: the one its manifest names, else the user's default one.
    fn socket_of(&self, path: Option<&Path>) -> Socket {
        match path {
            None => self.settings.default_socket.clone(),
            Some(path) if path == self.settings.socket.path() => self.settings.socket.clone(),
            Some(path) => {
                let environment = self.settings.environment.clone();
                Socket::resolve(path.to_str(), move |name| {
                    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
                })
            }
        }
    }

    fn survey(&mut self, socket: &Socket) {
        let client = self.client_on(socket.path());
        self.surveys.ask(socket, client, &self.hands.events);
    }

    fn client_on(&self, socket: &Path) -> Option<Arc<Client>> {
        self.observers
            .values()
            .filter(|observer| observer.socket.path() == socket)
            .filter_map(|observer| observer.link.as_ref())
            .map(|link| &link.client)
            .find(|client| client.is_open())
            .cloned()
    }

    fn surveyed(&mut self, socket: &Path, sessions: crate::Result<BTreeSet<String>>, now: Timestamp) {
        let again = self.surveys.answered(socket);
        let waiting: Vec<AgentId> = self
            .observers
            .iter()
            .filter(|(_, observer)| observer.task.is_none() && observer.socket.path() == socket)
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            let Some(observer) = self.observers.get(&id) else { continue };
            match &sessions {
                Ok(sessions) if sessions.contains(&observer.session) => self.start_observer(&id, None),
                Ok(_) => self.learn(Fact::Terminal(id, Terminal::NoSession), now),
                Err(error) => self.learn(Fact::Terminal(id, Terminal::Failed(error.to_string())), now),
            }
        }
        if again
            && let Some(socket) = self.observers.values().find(|o| o.socket.path() == socket).map(|o| o.socket.clone())
        {
            self.survey(&socket);
        }
    }

    /// A session of our own making: it need not be looked for.
    fn created(&mut self, id: &AgentId, fresh: Fresh) {
        if !self.observers.contains_key(id) {
            // Its record has not been read back yet.
            let Ok(Some(entry)) = self.registry.read(id) else { return };
            self.last_serial += 1;
            let observer = Observer {
                serial: self.last_serial,
                socket: self.settings.socket.clone(),
                session: fresh.link.client.session().to_owned(),
                generation: entry.record.generation,
                task: None,
                link: None,
            };
            self.observers.insert(id.clone(), observer);
        }
        if self.settings.scope.covers(id) {
            self.start_observer(id, Some(fresh));
        }
    }

    fn start_observer(&mut self, id: &AgentId, fresh: Option<Fresh>) {
        let pane = self.world.agents.get(id).and_then(|agent| agent.manifest.as_ref().ok()?.pane.clone());
        let Some(observer) = self.observers.get_mut(id) else { return };
        if observer.task.is_some() {
            return;
        }
        let watched = Watched {
            agent: id.clone(),
            serial: observer.serial,
            socket: observer.socket.clone(),
            session: observer.session.clone(),
            pane,
        };
        observer.task = Some(tokio::spawn(observe(watched, fresh, self.hands.events.clone())).abort_handle());
    }

    fn observer(&mut self, id: &AgentId, serial: Serial) -> Option<&mut Observer> {
        self.observers.get_mut(id).filter(|observer| observer.serial == serial)
    }

    fn target(&self, id: &AgentId) -> Option<Target> {
        let agent = self.world.agents.get(id)?;
        let manifest = agent.manifest.as_ref().ok();
        let socket = self.socket_of(manifest.and_then(|manifest| manifest.tmux_socket.as_deref()));
        let link = self.observers.get(id).and_then(|observer| observer.link.clone());
        let joined = manifest.is_some_and(|manifest| manifest.joined);
        Some(Target { joined, ..Target::bare(agent.record.clone(), agent.tool.clone(), socket, link) })
    }

    fn pass_time(&mut self, now: Timestamp) {
        for note in self.world.tick(now) {
            self.note(note, now);
        }
        if Instant::now() >= self.next_survey {
            let sockets: HashMap<PathBuf, Socket> = self
                .observers
                .values()
                .filter(|observer| observer.task.is_none())
                .map(|observer| (observer.socket.path().to_owned(), observer.socket.clone()))
                .collect();
            for socket in sockets.values() {
                self.survey(socket);
            }
            self.next_survey = Instant::now() + IDLE;
        }
        self.schedule_survey(now);
        if !self.settled && self.scanned && self.observers.iter().all(|(id, _)| self.was_looked_at(id)) {
            self.settled = true;
            self.learn(Fact::Settled, now);
        }
    }

    /// Asks again for sessions that are missing: soon for an agent that is
    /// starting, rarely where nothing would announce them.
    fn schedule_survey(&mut self, now: Timestamp) {
        let mut wait = IDLE;
        for (id, observer) in self.observers.iter().filter(|(_, observer)| observer.task.is_none()) {
            let starting = self
                .world
                .agents
                .get(id)
                .is_some_and(|agent| agent.status() == crate::model::Status::Starting && agent.is_live(now));
            if starting {
                wait = wait.min(STARTING_RETRY);
            } else if self.client_on(observer.socket.path()).is_none() && observer.socket.path().exists() {
                wait = wait.min(ABSENT_RETRY);
            }
        }
        self.next_survey = self.next_survey.min(Instant::now() + wait);
    }

    fn was_looked_at(&self, id: &AgentId) -> bool {
        self.world.agents.get(id).is_none_or(|agent| !matches!(agent.terminal, Terminal::Unseen))
    }

    fn next_wake(&self) -> Instant {
        let now = Timestamp::now();
        let world = self
            .world
            .deadline()
            .map_or(IDLE, |at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO).min(IDLE));
        (Instant::now() + world).min(self.next_survey)
    }

    fn publish(&mut self, now: Timestamp) {
        if let Some(snapshot) = self.world.publish(now) {
            self.hub.publish(snapshot);
        }
        for answer in self.accepted.drain(..) {
            answer(Ok(()));
        }
    }
}
