//! A mount of made-up agents: the kernel and the tree are real, what they show is said here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tempfile::TempDir;
use troop::command::Command;
use troop::engine::{Fact, World};
use troop::fuse::Served;
use troop::fuse::mount::Mountpoint;
use troop::model::live::TurnSource;
use troop::model::record::Backend;
use troop::model::{AgentView, Listing, Reply, ReplySource, Snapshot, Status, Turn, TurnOutcome};
use troop::port::{Hub, Request, pair};
use troop::store::lifecycle;
use troop::tool::Tools;

/// The mount and the loop's part of it.
pub struct Made {
    served: Option<Served>,
    shown: Arc<Shown>,
    dir: TempDir,
}

/// What is shown: one agent called `a`, or none.
struct Shown {
    hub: Hub,
    agent: Mutex<(u64, Option<AgentView>)>,
}

impl Shown {
    fn publish(&self, change: impl FnOnce(&mut Option<AgentView>)) {
        let mut agent = self.agent.lock();
        agent.0 += 1;
        change(&mut agent.1);
        let mut snapshot = Snapshot { version: agent.0, settled: true, ..Snapshot::default() };
        if let Some(view) = agent.1.clone().map(Arc::new) {
            snapshot.agents.insert(view.dir_name.clone(), view.clone());
            snapshot.slots.insert(view.slot, (Listing::Live, view));
        }
        self.hub.publish(snapshot);
    }

    fn change(&self, change: impl FnOnce(&mut AgentView)) {
        self.publish(|agent| change(agent.as_mut().unwrap()));
    }

    /// Accepts every prompt as the next turn, and shows every refusal.
    fn obey(&self, request: Request) {
        match request.command {
            Command::Prompt { text, .. } => self.change(|agent| {
                let number = agent.turns.last().map_or(1, |turn| turn.number + 1);
                push(agent, turn(number, &text));
                set_status(agent, Status::Pending);
            }),
            Command::Refused { error, .. } => self.change(|agent| agent.error = error.sentence().into()),
            other => panic!("{other:?}"),
        }
        (request.answer)(Ok(()));
    }
}

impl Made {
    /// One agent, `a`, that is ready and has had no turn.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("troop-").tempdir().unwrap();
        let (port, mut hub) = pair();
        let mut requests = std::mem::replace(&mut hub.requests, tokio::sync::mpsc::channel(1).1);
        let shown = Arc::new(Shown { hub, agent: Mutex::new((0, None)) });
        shown.publish(|agent| *agent = Some(view()));
        let obeying = Arc::downgrade(&shown);
        std::thread::spawn(move || {
            while let Some(request) = requests.blocking_recv() {
                let Some(shown) = obeying.upgrade() else { return };
                shown.obey(request);
            }
        });
        let mountpoint = Mountpoint::prepare(dir.path(), false).unwrap();
        let served = Some(troop::fuse::serve(mountpoint, &port, || {}).unwrap());
        Self { served, shown, dir }
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("agents/a").join(path)
    }

    pub fn set(&self, status: Status) {
        self.shown.change(|agent| set_status(agent, status));
    }

    /// Its status has been that for so long.
    pub fn set_for(&self, status: Status, seconds: i64) {
        self.shown.change(|agent| {
            set_status(agent, status);
            let mut state = (*agent.state).clone();
            state.status_since = Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
            agent.state = Arc::new(state);
        });
    }

    /// Its last turn ends so, and it is ready.
    pub fn end_turn(&self, outcome: TurnOutcome, reply: Option<&str>) {
        self.shown.change(|agent| {
            let mut turns = agent.turns.to_vec();
            let last = Arc::make_mut(turns.last_mut().unwrap());
            (last.ended_at, last.outcome) = (Some(Timestamp::now()), Some(outcome));
            last.reply = reply.map(|text| Reply { text: text.into(), source: ReplySource::Screen });
            agent.turns = turns.into();
            set_status(agent, Status::Ready);
        });
    }

    /// It takes the place of an agent of the same name.
    pub fn replace(&self) {
        self.shown.change(|agent| agent.slot += 1);
    }

    /// What was asked so far, turn by turn.
    pub fn prompts(&self) -> Vec<String> {
        let agent = self.shown.agent.lock();
        agent.1.iter().flat_map(|agent| agent.turns.iter()).map(|turn| turn.prompt.to_string()).collect()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.served.take().unwrap().unmount().unwrap();
    }
}

fn set_status(agent: &mut AgentView, status: Status) {
    let mut state = (*agent.state).clone();
    (state.status, state.status_since) = (status, Timestamp::now());
    agent.state = Arc::new(state);
}

fn push(agent: &mut AgentView, turn: Turn) {
    agent.turns = agent.turns.iter().cloned().chain([Arc::new(turn)]).collect();
}

fn turn(number: u64, prompt: &str) -> Turn {
    Turn { prompt: prompt.into(), ..Turn::new(number, TurnSource::ExplicitInput, Timestamp::now()) }
}

/// A view as the engine makes it of a stopped agent, shown as a live one.
fn view() -> AgentView {
    let now = Timestamp::now();
    let record = lifecycle::begun("a", Backend::LocalInteractive, "stand-in", Path::new("/s"), "s", now);
    let mut world = World::new(Tools::with_overrides(&[]).0, Default::default(), "/".into());
    world.take(
        Fact::Record { record: Box::new(record), path: Path::new("/r").into(), manifest: Err("none".to_owned()) },
        now,
    );
    let mut view = AgentView::clone(&world.publish(now).unwrap().agents["a"]);
    set_status(&mut view, Status::Ready);
    view
}
