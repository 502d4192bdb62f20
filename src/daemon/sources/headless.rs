//! The turns that are processes of their own, as their directories tell. Everybody sees the same there, whoever began a turn.

use super::place::{Place, Places};
use super::{Follow, News};
use crate::headless::Stream;
use crate::model::ChatSession;
use crate::model::HeadlessTurns;
use crate::model::headless::{Headless, MAX_SHOWN, TurnStanding, Verdict};
use crate::store::TurnDir;
use crate::store::conversation::next_turn;
use crate::store::turn_dir::{Run, STDOUT, VERDICT, artifacts};
use crate::tool;
use crate::transcript::{self, Tail};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) struct Source {
    root: PathBuf,
    definition: Arc<tool::Headless>,
    /// The directory of all turns.
    all: Place,
    places: Places,
    shown: Vec<(Arc<str>, Arc<Path>)>,
    /// Held so that the newest directory is watched, also before anything is in it.
    newest: Option<(PathBuf, Place)>,
    last: Option<Last>,
    told: Option<HeadlessTurns>,
}

/// The last turn.
struct Last {
    dir: TurnDir,
    run: Option<Run>,
    tail: Tail,
    stream: Stream,
}

impl Source {
    pub(super) fn of(follow: &Follow, places: &Places) -> Option<Self> {
        let definition = follow.tool.headless.clone().filter(|_| follow.is_headless)?;
        let all = places.hold(artifacts(&follow.root).join("turn"))?;
        Some(Self {
            root: follow.root.clone(),
            definition: Arc::new(definition),
            all,
            places: places.clone(),
            shown: Vec::new(),
            newest: None,
            last: None,
            told: None,
        })
    }

    fn turns(&mut self) -> HeadlessTurns {
        // Watched before it is read, so that nothing falls in between.
        self.all.settle();
        let dirs = TurnDir::all(&self.root);
        if let Some(newest) = dirs.last().filter(|dir| self.newest.as_ref().is_none_or(|(path, _)| path != dir.path()))
        {
            self.newest = self.places.hold(newest.file(VERDICT)).map(|place| (newest.path().to_owned(), place));
        }
        if let Some((_, place)) = &mut self.newest {
            place.settle();
        }
        self.list(&dirs);
        let Some(dir) = dirs.into_iter().rev().find(TurnDir::is_prepared) else { return self.none() };
        if self.last.as_ref().is_none_or(|last| last.dir != dir) {
            let run = dir.run();
            let definition = run.as_ref().and_then(|run| serde_json::from_value(run.definition.clone()).ok());
            let definition = definition.map_or_else(|| self.definition.clone(), Arc::new);
            let tail = Tail::new(dir.file(STDOUT));
            self.last = Some(Last { dir, run, tail, stream: Stream::new(definition) });
        }
        let Some(last) = &mut self.last else { return HeadlessTurns::default() };
        last.read(self.shown.clone().into(), &self.root)
    }

    fn none(&mut self) -> HeadlessTurns {
        let last = Headless { session_id: session(&self.root), ..Headless::default() };
        HeadlessTurns { last, ..HeadlessTurns::default() }
    }

    /// Which turn was begun with which prompt: read once for each, and again while it is not written down.
    fn list(&mut self, dirs: &[TurnDir]) {
        let shown = &dirs[dirs.len().saturating_sub(MAX_SHOWN)..];
        let known = std::mem::take(&mut self.shown);
        let row = |dir: &TurnDir| {
            let row = known.iter().find(|(_, path)| **path == *dir.path());
            row.cloned().or_else(|| Some((dir.run()?.prompt_id.into(), dir.path().into())))
        };
        self.shown = shown.iter().filter_map(row).collect();
    }
}

impl Last {
    fn read(&mut self, artifacts: Arc<[(Arc<str>, Arc<Path>)]>, root: &Path) -> HeadlessTurns {
        let Self { dir, run, tail, stream } = self;
        if run.is_none() {
            *run = dir.run();
        }
        // The verdict first: whatever the program has printed is there before it.
        let verdict = dir.verdict();
        tail.read(|news| match news {
            transcript::News::Line(line) => drop(stream.line(line)),
            transcript::News::Anew => {}
        });
        if verdict.is_some() {
            let mut torn = Vec::new();
            tail.take_torn(&mut torn);
            stream.line(&torn);
        }
        let started = dir.started();
        let began = started.as_ref().map(|started| started.at).or_else(|| {
            let text = dir.process()?.launched_at_utc;
            text.parse().ok()
        });
        let is_active = verdict.is_none();
        let pids = started.filter(|_| is_active).map(|started| (started.runner.pid, started.child.pid));
        let Verdict { standing, returncode, error } =
            verdict.unwrap_or(Verdict { standing: TurnStanding::Active, returncode: None, error: None });
        let turn_id = run.as_ref().map(|run| run.turn_id.clone());
        HeadlessTurns {
            last: Headless {
                turn_index: dir.index(),
                session_id: stream.session().map(str::to_owned).or_else(|| session(root)),
                active_turn_id: turn_id.filter(|_| is_active),
                standing: Some(standing),
                runner_pid: pids.map(|(runner, _)| runner),
                child_pid: pids.map(|(_, child)| child),
                started_at_utc: began,
                doing: stream.doing().filter(|_| is_active),
                exit_code: returncode,
                error,
            },
            prompt_id: run.as_ref().map(|run| run.prompt_id.as_str().into()),
            answer: stream.answer().into(),
            artifacts,
        }
    }
}

/// The conversation that the next turn goes on with, as the manifest has it.
fn session(root: &Path) -> Option<String> {
    match next_turn(root).ok()?.chat {
        ChatSession::Exact(id) => Some(id),
        ChatSession::New | ChatSession::Last => None,
    }
}

impl super::Source for Source {
    fn concerns(&self, path: &Path) -> bool {
        self.all.concerns(path) || path.starts_with(artifacts(&self.root))
    }

    fn read(&mut self) -> News {
        let turns = self.turns();
        if self.told.as_ref() == Some(&turns) {
            return News::Nothing;
        }
        self.told = Some(turns.clone());
        News::Turned(Box::new(turns))
    }

    fn name(&self) -> Option<&'static str> {
        None
    }
}
