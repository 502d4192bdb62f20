//! What programs say of themselves elsewhere than on their terminals. Which programs to follow is known from the looks; the
//! rest happens on a thread of its own, because a file in somebody's home may take its time: it waits for a change,
//! reads, and sends what is new to the loop. While nothing changes, nothing is done.
//!
//! Each kind of source is one file here and one line in [`sources_of`].

mod bind;
mod claims;
mod headless;
mod hooks;
mod place;
mod status_file;
mod transcript;

use super::event::{Event, Events, Serial};
use super::journals::journal_root;
use crate::engine::{Agent, World};
use crate::model::{AgentId, HeadlessTurns, Process, Terminal, Transcript};
use crate::store::Watch;
use crate::tool::Tool;
use crate::tracker::Report;
use claims::{Asked, Claims};
use jiff::Timestamp;
use place::Places;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The most that waits for the thread; more becomes one reading of everything.
const MAX_ASKS: usize = 1024;
/// The most programs of one pane that are followed. There is one, and another while it starts or hands over.
const MAX_PROGRAMS: usize = 4;

/// The loop's end: which programs of which agents are followed.
pub(super) struct Sources {
    asks: mpsc::Sender<Ask>,
    known: HashMap<AgentId, Known>,
    last_serial: Serial,
    /// A change could not be passed on.
    missed: bool,
}

struct Known {
    serial: Serial,
    programs: Vec<Process>,
    /// What they say has been read for the first time.
    is_read: bool,
}

enum Ask {
    Follow(Box<Follow>),
    Forget(AgentId),
    /// Something at that path appeared, changed or went.
    Changed(PathBuf),
    /// The agent's status has changed, and this was asked of it last: some logs say only by that whose they are.
    Look(AgentId, Option<Asked>),
    /// Anything may have changed.
    Again,
}

/// One agent's programs, to be followed in place of those from before.
struct Follow {
    agent: AgentId,
    serial: Serial,
    tool: Arc<Tool>,
    programs: Vec<Process>,
    /// Where the agent's own files are.
    root: PathBuf,
    launched_at: Timestamp,
    /// Its turns are processes of their own.
    is_headless: bool,
    asked: Option<Asked>,
}

/// One source of one agent.
trait Source {
    /// Whether a change at `path` may be one of its.
    fn concerns(&self, path: &Path) -> bool;
    /// What it says now.
    fn read(&mut self) -> News;
    /// The same, when the agent's status has changed and this was asked of it last.
    fn look(&mut self, _asked: Option<Asked>) -> News {
        News::Nothing
    }
    /// The name of its kind, as the evidence shows it; none when it says nothing of the status.
    fn name(&self) -> Option<&'static str>;
}

/// What reading a source gave.
enum News {
    /// The same as before.
    Nothing,
    /// It says something, or not any more.
    Says(Option<Report>),
    /// Its turns stand so.
    Turned(Box<HeadlessTurns>),
    /// The agent's log is this one, or none is known to be.
    Wrote(Option<Arc<Transcript>>),
}

/// The sources that the tool's definition has.
fn sources_of(follow: &Follow, places: &Places, claims: &Claims, again: bool) -> Vec<Box<dyn Source>> {
    if follow.is_headless {
        let turns = headless::Source::of(follow, places).map(|source| Box::new(source) as Box<dyn Source>);
        return turns.into_iter().collect();
    }
    let status_file = status_file::Source::of(follow, places).map(|source| Box::new(source) as Box<dyn Source>);
    let hooks = hooks::Source::of(follow, again).map(|source| Box::new(source) as Box<dyn Source>);
    let transcript =
        transcript::Source::of(follow, places, claims, again).map(|source| Box::new(source) as Box<dyn Source>);
    status_file.into_iter().chain(hooks).chain(transcript).collect()
}

impl Sources {
    /// Starts the thread. It ends when this is dropped. Nothing below `mountpoint` is opened.
    pub(super) fn start(watch: Option<Arc<Watch>>, mountpoint: Option<PathBuf>, events: Events) -> Self {
        let (asks, asked) = mpsc::channel(MAX_ASKS);
        let thread = std::thread::Builder::new()
            .name("troop-sources".to_owned())
            .spawn(move || run(asked, &Places::new(watch, mountpoint), &events));
        if let Err(error) = thread {
            tracing::warn!(%error, "only terminals are looked at");
        }
        Self { asks, known: HashMap::new(), last_serial: 0, missed: false }
    }

    /// An agent was looked at: the programs in front may be others than before.
    pub(super) fn looked(&mut self, id: &AgentId, world: &World) {
        let Some(agent) = world.agents.get(id) else { return };
        let is_headless = agent.record.backend.is_headless() && agent.tool.headless.is_some();
        // Between two turns nothing runs, and what runs in one is told by its files.
        if is_headless && self.known.contains_key(id) {
            return;
        }
        let look = match &agent.terminal {
            Terminal::Seen(look) if !is_headless => Some(look),
            Terminal::Seen(_) | Terminal::NoSession if is_headless => None,
            _ => return,
        };
        if !is_headless
            && agent.tool.status_file.is_none()
            && agent.tool.hooks.is_none()
            && agent.tool.transcripts.is_empty()
        {
            return;
        }
        let ours = || {
            look.into_iter()
                .flat_map(|look| look.programs.in_front().filter(|p| agent.tool.owns(&p.comm, &p.argv)))
                .take(MAX_PROGRAMS)
        };
        if !is_headless && self.known.get(id).map_or(&[][..], |known| &known.programs).iter().eq(ours()) {
            return;
        }
        let programs: Vec<Process> = ours().cloned().collect();
        self.last_serial += 1;
        let serial = self.last_serial;
        let follow = Follow {
            agent: id.clone(),
            serial,
            tool: agent.tool.clone(),
            programs: programs.clone(),
            root: journal_root(&agent.record).to_path_buf(),
            launched_at: agent.record.lifecycle.updated_at,
            is_headless,
            asked: asked(agent),
        };
        // What the last programs said is taken for news no longer, and when too much waits, the next look tries again.
        self.known.remove(id);
        if self.asks.try_send(Ask::Follow(Box::new(follow))).is_ok() {
            self.known.insert(id.clone(), Known { serial, programs, is_read: false });
        }
    }

    /// An agent's status has changed.
    pub(super) fn moved(&mut self, id: &AgentId, world: &World) {
        if let Some(agent) = world.agents.get(id).filter(|agent| !agent.tool.transcripts.is_empty())
            && self.known.contains_key(id)
        {
            self.ask(Ask::Look(id.clone(), asked(agent)));
        }
    }

    /// The agent is not there any more, or is another than it was.
    pub(super) fn forget(&mut self, id: &AgentId) {
        if self.known.remove(id).is_some() {
            self.ask(Ask::Forget(id.clone()));
        }
    }

    /// Something at that path appeared, changed or went.
    pub(super) fn changed(&mut self, path: &Path) {
        if !self.known.is_empty() {
            self.ask(Ask::Changed(path.to_owned()));
        }
    }

    /// Changes may have been missed.
    pub(super) fn again(&mut self) {
        if !self.known.is_empty() {
            self.ask(Ask::Again);
        }
    }

    /// Whether what was read is still news.
    pub(super) fn is_current(&self, id: &AgentId, serial: Serial) -> bool {
        self.known.get(id).is_some_and(|known| known.serial == serial)
    }

    /// Everything of these programs has been read once.
    pub(super) fn read(&mut self, id: &AgentId, serial: Serial) {
        if let Some(known) = self.known.get_mut(id).filter(|known| known.serial == serial) {
            known.is_read = true;
        }
    }

    /// Whether everything that is followed has been read once.
    pub(super) fn are_read(&self) -> bool {
        self.known.values().all(|known| known.is_read)
    }

    fn ask(&mut self, ask: Ask) {
        let is_heard = (!self.missed || self.asks.try_send(Ask::Again).is_ok()) && self.asks.try_send(ask).is_ok();
        self.missed = !is_heard;
    }
}

fn asked(agent: &Agent) -> Option<Asked> {
    Some(Asked { prompt: agent.prompt().clone(), at: agent.asked_at()? })
}

/// One agent, on the thread's side.
struct Followed {
    serial: Serial,
    /// Which programs they are: pid and start time.
    programs: Vec<(i32, u64)>,
    sources: Vec<Box<dyn Source>>,
}

impl Followed {
    /// Takes back what its sources said, in the name of its successor; `false` when nobody listens any more.
    fn end(self, agent: &AgentId, serial: Serial, events: &Events) -> bool {
        self.sources.iter().filter_map(|source| source.name()).all(|source| {
            let agent = agent.clone();
            events.blocking_send(Event::Reported { agent, serial, source, report: None }).is_ok()
        })
    }

    /// Reads those of its sources that `changed` concerns, or all; `false` when nobody listens any more.
    fn read(&mut self, agent: &AgentId, changed: Option<&Path>, events: &Events) -> bool {
        let serial = self.serial;
        let concerned = |source: &&mut Box<dyn Source>| changed.is_none_or(|path| source.concerns(path));
        self.sources.iter_mut().filter(concerned).all(|source| {
            let news = source.read();
            tell(agent, serial, source.name(), news, events)
        })
    }

    /// Has all of its sources look because its status has changed; `false` when nobody listens any more.
    fn look(&mut self, agent: &AgentId, asked: Option<&Asked>, events: &Events) -> bool {
        let serial = self.serial;
        self.sources.iter_mut().all(|source| {
            let news = source.look(asked.cloned());
            tell(agent, serial, source.name(), news, events)
        })
    }
}

fn tell(agent: &AgentId, serial: Serial, source: Option<&'static str>, news: News, events: &Events) -> bool {
    let agent = agent.clone();
    let event = match (news, source) {
        (News::Says(report), Some(source)) => Event::Reported { agent, serial, source, report: report.map(Box::new) },
        (News::Turned(turns), _) => Event::Turned { agent, serial, turns },
        (News::Wrote(transcript), _) => Event::Transcribed { agent, serial, transcript },
        (News::Nothing | News::Says(_), _) => return true,
    };
    events.blocking_send(event).is_ok()
}

fn run(mut asked: mpsc::Receiver<Ask>, places: &Places, events: &Events) {
    let mut all: HashMap<AgentId, Followed> = HashMap::new();
    let claims = Claims::default();
    while let Some(ask) = asked.blocking_recv() {
        let goes_on = match ask {
            Ask::Follow(follow) => {
                let (agent, serial) = (follow.agent.clone(), follow.serial);
                let before = all.remove(&agent);
                let programs: Vec<_> =
                    follow.programs.iter().map(|program| (program.pid, program.start_time)).collect();
                // What one of them has said stays its word when another joins it, or it calls itself otherwise.
                let others = |before: &Followed| !before.programs.iter().any(|program| programs.contains(program));
                let again = before.as_ref().is_some_and(others);
                let sources = sources_of(&follow, places, &claims, again);
                let mut followed = Followed { serial, programs, sources };
                let goes_on = before.is_none_or(|before| before.end(&agent, serial, events))
                    && followed.read(&agent, None, events)
                    && events.blocking_send(Event::Followed { agent: agent.clone(), serial }).is_ok();
                all.insert(agent, followed);
                goes_on
            }
            Ask::Forget(id) => {
                all.remove(&id);
                true
            }
            Ask::Changed(path) => all.iter_mut().all(|(id, followed)| followed.read(id, Some(&path), events)),
            Ask::Look(id, asked) => all.get_mut(&id).is_none_or(|followed| followed.look(&id, asked.as_ref(), events)),
            Ask::Again => all.iter_mut().all(|(id, followed)| followed.read(id, None, events)),
        };
        if !goes_on {
            return;
        }
    }
}
