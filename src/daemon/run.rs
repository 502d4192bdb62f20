//! The loop itself: one thing at a time, then what it means is published.

mod commands;
mod events;

use super::clock::now;
use super::config::Settings;
use super::discoveries::Discoveries;
use super::effects::{Hands, Job};
use super::event::{Event, MAX_EVENTS};
use super::gateway::Gateways;
use super::journals::Journals;
use super::observers::Observers;
use super::prompts::Prompts;
use super::reader::{self, MAX_CHANGES};
use super::sources::Sources;
use crate::engine::{Fact, Note, World};
use crate::model::{Actor, AgentId, EventKind, Terminal};
use crate::port::{Answer, Hub, Request};
use crate::store::homes::Index;
use crate::store::{Change, Registry, Watch, make_private};
use crate::tool::Tools;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the loop waits at most; only so that a limit has a name.
const IDLE: Duration = Duration::from_secs(3600);
/// The most events taken in before a snapshot is published. Old and new views of what
/// they change are in memory together.
const MAX_BATCH: usize = 64;

/// Runs until `stopped` says so.
pub(super) async fn run(settings: Settings, hub: Hub, stopped: oneshot::Receiver<()>) {
    let (events, received) = mpsc::channel(MAX_EVENTS);
    let mut state = Loop::new(settings, hub, events);
    serve(&mut state, received, stopped).await;
    // Dropping the watch waits for its thread, and that may wait for the reader to take a change.
    state.reader.abort();
    let _ = (&mut state.reader).await;
}

async fn serve(state: &mut Loop, mut received: mpsc::Receiver<Event>, mut stopped: oneshot::Receiver<()>) {
    state.publish(now());
    loop {
        let wake = state.next_wake();
        let waited = tokio::select! {
            _ = &mut stopped => return,
            event = received.recv() => Waited::Event(event),
            request = state.hub.requests.recv() => Waited::Request(request),
            () = tokio::time::sleep_until(wake) => Waited::Time,
        };
        let now = now();
        match waited {
            Waited::Event(Some(event)) => state.take(event, now),
            Waited::Request(Some(request)) => state.obey(request, now),
            // Nobody can ask for anything any more.
            Waited::Event(None) | Waited::Request(None) => return,
            Waited::Time => {}
        }
        let at_once = if state.is_shown() { MAX_BATCH } else { MAX_EVENTS };
        for _ in 0..at_once {
            let Ok(event) = received.try_recv() else { break };
            state.take(event, now);
        }
        state.pass_time(now);
        state.feed_roles(now);
        state.show(now);
        state.feed(now);
        state.show(now);
    }
}

/// Has changes of the index told, where its directory can be had.
fn watch_index(index: &Index, watch: &Watch) {
    let path = index.path();
    let Some(dir) = path.parent() else { return };
    if let Err(error) = make_private(dir).and_then(|()| watch.also(dir.into())) {
        tracing::debug!(%error, "changes of the index of Homes are not seen at once");
    }
}

enum Waited {
    Event(Option<Event>),
    Request(Option<Request>),
    Time,
}

/// Everything the loop owns.
pub(super) struct Loop {
    pub(super) settings: Arc<Settings>,
    pub(super) world: World,
    pub(super) hub: Hub,
    pub(super) hands: Hands,
    /// What is to be read again.
    changes: mpsc::Sender<Change>,
    /// Reads it.
    reader: JoinHandle<()>,
    pub(super) journals: Journals,
    pub(super) prompts: Prompts,
    pub(super) observers: Observers,
    sources: Sources,
    pub(super) discoveries: Discoveries,
    gateways: Gateways,
    /// When each record was read last: what was looked for before that says nothing.
    read_at: HashMap<AgentId, Instant>,
    /// Whose last turn is being judged, and whether that is to be done once more.
    pub(super) judged: HashMap<AgentId, bool>,
    pub(super) scanned: bool,
    pub(super) settled: bool,
    /// Commands answered once the snapshot that shows them is published.
    pub(super) accepted: Vec<Answer>,
    last_refusal: HashMap<AgentId, (String, Instant)>,
    /// The relaunches that were settled: agent and generation, each once.
    settling: HashSet<(AgentId, Arc<str>)>,
}

impl Loop {
    fn new(settings: Settings, hub: Hub, events: mpsc::Sender<Event>) -> Self {
        let (tools, _) = Tools::with_overrides(&settings.tool_overrides);
        let mut world = World::new(tools, settings.presets.clone(), settings.default_cwd.clone());
        world.allows_approvals = settings.allows_approvals;
        let registry = Arc::new(Registry::new(settings.roots.clone()));
        let settings = Arc::new(settings);
        let observers = Observers::new(settings.clone(), events.clone());
        let discoveries = Discoveries::new(settings.clone(), world.tools.clone(), events.clone());
        let hands = Hands { settings: settings.clone(), registry: registry.clone(), events: events.clone() };
        let (changes, changed) = mpsc::channel(MAX_CHANGES);
        // Watched before it is read, so that nothing falls in between.
        let watch = {
            let changes = changes.clone();
            let roots: Vec<PathBuf> = [Some(settings.roots.registry.clone()), settings.roots.legacy_registry.clone()]
                .into_iter()
                .flatten()
                .collect();
            settings.follows.then(|| Watch::start(&roots, move |change| drop(changes.blocking_send(change))))
        };
        let watch = watch
            .and_then(|watch| watch.inspect_err(|error| tracing::warn!(%error, "records are not watched")).ok())
            .map(Arc::new);
        let sources = Sources::start(watch.clone(), settings.mountpoint.clone(), events.clone());
        let _ = changes.try_send(Change::Rescan);
        // Only a tree shows the Homes.
        let index = settings.mountpoint.as_ref().map(|_| Arc::new(Index::new(&settings.roots.state)));
        if let (Some(index), Some(watch)) = (&index, &watch) {
            watch_index(index, watch);
        }
        let reader = tokio::spawn(reader::run(registry, settings.scope.clone(), index, changed, events));
        Self {
            settings,
            world,
            hub,
            hands,
            changes,
            reader,
            journals: Journals::new(watch),
            prompts: Prompts::default(),
            observers,
            sources,
            discoveries,
            gateways: Gateways::default(),
            read_at: HashMap::new(),
            judged: HashMap::new(),
            scanned: false,
            settled: false,
            accepted: Vec::new(),
            last_refusal: HashMap::new(),
            settling: HashSet::new(),
        }
    }

    pub(super) fn learn(&mut self, fact: Fact, now: Timestamp) {
        let queue = if let Fact::Queue(id, _) = &fact { Some(id.clone()) } else { None };
        for note in self.world.take(fact, now) {
            self.note(note, now);
        }
        if let Some(id) = queue {
            self.queue_changed(&id);
        }
    }

    /// Writes into an agent's journal and shows what is new in it.
    fn note(&mut self, note: Note, now: Timestamp) {
        let (id, actor, kind) = note;
        if matches!(kind, EventKind::Status { .. }) {
            self.sources.moved(&id, &self.world);
        }
        if matches!(actor, Actor::Observed) && !self.settings.keeps_history {
            return;
        }
        let Some(agent) = self.world.agents.get(&id) else { return };
        let (record, is_managed) = (agent.record.clone(), agent.is_managed());
        let receipt = if let EventKind::Receipt(receipt) = &kind { Some(receipt.clone()) } else { None };
        let events = if is_managed {
            self.journals.write(&record, actor, kind, now)
        } else {
            self.journals.remember(&record, actor, kind, now)
        };
        self.learn(Fact::Journal(id, events), now);
        if let Some(receipt) = receipt {
            self.settled(&receipt, now);
        }
    }

    /// Has something read again; when too much waits to be read already, that will do.
    fn reread(&self, change: Change) {
        let _ = self.changes.try_send(change);
    }

    fn pass_time(&mut self, now: Timestamp) {
        for note in self.world.tick(now) {
            self.note(note, now);
        }
        self.settle_relaunches(now);
        self.look_for_agents(now);
        self.observers.pass_time(&self.world, self.scanned, now);
        if !self.settled
            && self.scanned
            && self.discoveries.has_looked()
            && self.sources.are_read()
            && self.observers.ids().all(|id| self.was_looked_at(id))
        {
            self.settled = true;
            self.learn(Fact::Settled, now);
        }
    }

    /// Has relaunches settled that somebody left undone, by whoever writes down what is observed.
    fn settle_relaunches(&mut self, now: Timestamp) {
        let left: Vec<(AgentId, bool)> =
            self.world.left_undone(now).map(|(id, session)| (id.clone(), session.is_some())).collect();
        for (id, was_asked) in left {
            self.observers.reconcile(&id, &self.world, now);
            if was_asked
                && self.settings.keeps_history
                && self.journals.is_observer(&id)
                && let Some(target) = self.target(&id)
                && self.settling.insert((id, target.record.generation.clone()))
            {
                tokio::spawn(self.hands.clone().carry_out(vec![Job::Recover(target)], Actor::Observed, None));
            }
        }
    }

    fn was_looked_at(&self, id: &AgentId) -> bool {
        self.world.agents.get(id).is_none_or(|agent| !matches!(agent.terminal, Terminal::Unseen))
    }

    fn next_wake(&self) -> Instant {
        let now = now();
        let relaunch = self.world.next_left_undone(now);
        let world = self
            .world
            .deadline()
            .into_iter()
            .chain(relaunch)
            .min()
            .map_or(IDLE, |at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO).min(IDLE));
        let wake = (Instant::now() + world).min(self.observers.next_survey()).min(self.discoveries.next_look());
        self.prompts.next_wake().map_or(wake, |feed| wake.min(feed))
    }
}
