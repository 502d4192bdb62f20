//! Which log is whose. Only what the program itself states counts, or what it was given: a file that names its session,
//! a hook of its launch, a descriptor it has open, an argument, or else the one log that holds the prompt it was
//! given. Never the newest file; what is not certain binds nothing.

use super::Follow;
use super::claims::{Claim, Claims};
use super::place::{Place, Places};
use crate::model::Process;
use crate::model::transcript::Format;
use crate::process;
use crate::store::reports::{self, hooks_path, read_status};
use crate::tool::{By, Tool, TranscriptFile, reported_transcript};
use crate::transcript::{Log, find, matches};
use jiff::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The most processes below an agent's programs that are asked for their session.
const MAX_CHILDREN: usize = 8;
/// Times of files are kept more coarsely than ours.
const COARSE: Duration = Duration::from_secs(1);

/// What is known of one agent's log.
pub(super) enum Found {
    /// It is there.
    File(PathBuf, Format),
    /// It is another than before, and is not there yet.
    NotYet,
    /// Nothing is known that was not known before.
    Nothing,
}

pub(super) struct Binder {
    tool: Arc<Tool>,
    programs: Vec<Process>,
    /// What they had started at the last thorough look.
    children: Vec<Process>,
    places: Places,
    claims: Claims,
    /// Where processes name their sessions.
    sessions: HashMap<i32, Place>,
    hooks: reports::Tail,
    launched_at: Timestamp,
    reported: Option<PathBuf>,
}

impl Binder {
    /// `again` says that other programs were followed before: what their hooks have reported is theirs.
    pub(super) fn new(follow: &Follow, places: &Places, claims: &Claims, again: bool) -> Self {
        let mut hooks = reports::Tail::new(hooks_path(&follow.root));
        if again {
            hooks.read_new();
        }
        Self {
            tool: follow.tool.clone(),
            programs: follow.programs.clone(),
            children: Vec::new(),
            places: places.clone(),
            claims: claims.clone(),
            sessions: HashMap::new(),
            hooks,
            launched_at: follow.launched_at,
            reported: None,
        }
    }

    /// Whether a change at `path` may be one of what binds.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        self.hooks.path() == path || self.sessions.values().any(|place| place.concerns(path))
    }

    /// Looks which log it is. Only a thorough look asks what is open and searches logs; `log` is the one so far.
    pub(super) fn find(&mut self, claim: &Rc<Claim>, log: Option<&Log>, thoroughly: bool) -> Found {
        let tool = self.tool.clone();
        for definition in &tool.transcripts {
            let found = match definition.by {
                By::Session => self.by_session(definition, thoroughly),
                By::Hook => self.by_hook(definition),
                By::Argument => self.by_argument(definition),
                By::Open if thoroughly => self.by_open(definition),
                By::Prompt if thoroughly => self.by_prompt(definition, claim, log),
                By::Open | By::Prompt => Found::Nothing,
            };
            if !matches!(found, Found::Nothing) {
                return found;
            }
        }
        Found::Nothing
    }

    fn by_session(&mut self, definition: &TranscriptFile, thoroughly: bool) -> Found {
        for program in self.programs.clone() {
            if let Some(found) = self.session_of(definition, &program) {
                return found;
            }
        }
        // Some programs start themselves once more, and that process speaks for both.
        if thoroughly {
            self.children = self.in_front();
            let is_known = |pid: &i32| self.programs.iter().chain(&self.children).any(|it| it.pid == *pid);
            self.sessions.retain(|pid, _| is_known(pid));
        }
        let children = self.children.clone();
        children.iter().find_map(|child| self.session_of(definition, child)).unwrap_or(Found::Nothing)
    }

    /// The log of the session that a process names, if it names one.
    fn session_of(&mut self, definition: &TranscriptFile, program: &Process) -> Option<Found> {
        let home = self.home(definition, program.pid)?;
        if let Entry::Vacant(vacant) = self.sessions.entry(program.pid) {
            vacant.insert(self.places.hold(definition.session_file(&home, program.pid)?)?);
        }
        let bytes = read_status(self.sessions.get_mut(&program.pid)?.settle()?)?;
        let session = definition.session(&bytes, program.start_time)?;
        // One session has one log; a second of its name would be of another directory.
        let path = definition.files_of(&home, &session).and_then(|pattern| find(&pattern, None).pop());
        Some(path.map_or(Found::NotYet, |path| Found::File(path, definition.format)))
    }

    /// What the programs have started and is in front with them.
    fn in_front(&self) -> Vec<Process> {
        let is_known = |pid: i32| self.programs.iter().any(|program| program.pid == pid);
        let below = self.programs.first().and_then(|first| process::programs(first.pid)).unwrap_or_default();
        below.in_front().filter(|child| !is_known(child.pid)).take(MAX_CHILDREN).cloned().collect()
    }

    fn by_hook(&mut self, definition: &TranscriptFile) -> Found {
        if let Some(lines) = self.hooks.read_new()
            && Timestamp::try_from(lines.written).is_ok_and(|at| at >= self.launched_at)
            && let Some(path) = reported_transcript(lines.bytes.split(|byte| *byte == b'\n'))
        {
            self.reported = Some(path);
        }
        let Some(path) = self.reported.clone() else { return Found::Nothing };
        let is_one = self.programs.iter().any(|it| self.patterns(definition, it.pid).any(|it| matches(&it, &path)));
        match is_one {
            true if path.is_file() => Found::File(path, definition.format),
            true => Found::NotYet,
            false => Found::Nothing,
        }
    }

    fn by_argument(&self, definition: &TranscriptFile) -> Found {
        let named = |program: &Process| {
            let path = definition.argument(&program.argv)?;
            Some(process::directory(program.pid)?.join(path))
        };
        self.programs.iter().find_map(named).map_or(Found::Nothing, |path| Found::File(path, definition.format))
    }

    fn by_open(&self, definition: &TranscriptFile) -> Found {
        let open = |program: &Process| {
            let patterns: Vec<PathBuf> = self.patterns(definition, program.pid).collect();
            let is_log =
                move |open: &process::Open| open.is_written && patterns.iter().any(|it| matches(it, &open.path));
            process::open_files(program.pid).into_iter().filter(is_log).map(|open| open.path)
        };
        let mut files: Vec<PathBuf> = self.programs.iter().flat_map(open).collect();
        files.sort();
        files.dedup();
        match &files[..] {
            [file] => Found::File(file.clone(), definition.format),
            _ => Found::Nothing,
        }
    }

    fn by_prompt(&self, definition: &TranscriptFile, claim: &Rc<Claim>, log: Option<&Log>) -> Found {
        let Some(asked) = claim.asked().filter(|asked| asked.at >= self.launched_at) else { return Found::Nothing };
        if log.is_some_and(|log| asked.find_in(&log.transcript()).is_some()) {
            return Found::Nothing;
        }
        let since = SystemTime::from(asked.at).checked_sub(COARSE);
        let files = self.programs.iter().filter_map(|program| {
            let home = self.home(definition, program.pid)?;
            Some(find(&definition.files(&home)?, since))
        });
        let mut files: Vec<PathBuf> = files.flatten().collect();
        files.sort();
        files.dedup();
        let holding = files.into_iter().filter_map(|path| {
            let mut log = Log::recent(path, definition.format);
            log.refresh();
            Some(log.transcript()).filter(|transcript| asked.find_in(transcript).is_some())
        });
        match &holding.collect::<Vec<_>>()[..] {
            [one] if !self.claims.is_contested(claim, one) => Found::File(one.path.to_path_buf(), definition.format),
            _ => Found::Nothing,
        }
    }

    /// The pattern of a program's logs, and the same behind symbolic links.
    fn patterns(&self, definition: &TranscriptFile, pid: i32) -> impl Iterator<Item = PathBuf> {
        let home = self.home(definition, pid);
        let real = home.as_ref().and_then(|home| std::fs::canonicalize(home).ok());
        home.into_iter().chain(real).filter_map(|home| definition.files(&home))
    }

    /// A program's home; never one in our own mount.
    fn home(&self, definition: &TranscriptFile, pid: i32) -> Option<PathBuf> {
        let open = || process::open_files(pid).into_iter().map(|open| open.path).collect();
        definition.home(|name| process::variable(pid, name), open).filter(|home| self.places.are_clear_of(home))
    }
}
