//! What may be cleared away, and why the rest may not: from facts and a time to a list, which is carried out or printed.

use super::recovery;
use crate::model::{LifecycleState, Pulse, Record};
use crate::tracker::STARTING_LIMIT;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How long a session root without a record is left alone whatever age was asked for: somebody may be making it.
const FRESH_LIMIT: SignedDuration = SignedDuration::from_mins(1);

/// Whether tmux has the session that a record or a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    There,
    /// It has not, or there is no server.
    Gone,
    /// That cannot be told; why.
    Unknown(String),
}

/// Whether a manifest can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// It can.
    Yes,
    /// There is none, or none that could be meant.
    No,
    /// A newer program wrote it.
    Newer,
}

/// The record of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFound {
    /// It.
    pub record: Box<Record>,
    /// Where it is.
    pub path: PathBuf,
    /// It lies in a registry that is only read.
    pub read_only: bool,
    /// Its session, or the one it had last.
    pub session: Presence,
    /// Its manifest.
    pub manifest: Readable,
    /// The Home that its session root lies in.
    pub home: Option<PathBuf>,
    /// Somebody starts or stops it at this moment.
    pub is_busy: bool,
}

/// A session root that no record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFound {
    /// Where it is.
    pub path: PathBuf,
    /// Its Home.
    pub home: PathBuf,
    /// When something in it last changed.
    pub changed: Timestamp,
    /// How many prompts wait in its queue.
    pub queued: usize,
    /// Somebody starts or stops its agent at this moment.
    pub is_busy: bool,
    /// A record that cannot be read may name it, or one in another registry does; which.
    pub named_by: Option<String>,
    /// The session that its manifest names.
    pub session: Presence,
    /// What of it is troop's.
    pub ours: Ours,
}

/// What of a session root is troop's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// All of it: troop made it.
    All,
    /// A queue, a journal and locks, beside what another program made.
    Beside,
    /// Nothing.
    Nothing,
}

/// Which session roots a Home has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// The Home is not there.
    Gone,
    /// These.
    Roots(Vec<PathBuf>),
    /// They cannot be listed; why.
    Unreadable(String),
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The record of an agent.
    Agent(AgentFound),
    /// A session root that no record names.
    Root(RootFound),
    /// Something that nothing uses any more.
    Left {
        /// A directory.
        path: PathBuf,
        /// The Home it is in.
        home: PathBuf,
        /// What it is.
        what: String,
        /// When something in it last changed.
        changed: Timestamp,
    },
    /// A record, an index or a Home that cannot be read.
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A Home in the index.
    Entry {
        /// Where it is, or was.
        home: PathBuf,
        /// What is in it.
        inside: Inside,
    },
    /// A mount of this user.
    Mount {
        /// Where it is.
        path: PathBuf,
        /// How it answers.
        pulse: Pulse,
    },
}

/// What is done about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub action: Action,
    /// The agent's name, if it is one.
    pub name: Option<String>,
    /// The Home it belongs to, if it does.
    pub home: Option<PathBuf>,
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Keep,
    /// The record is taken away, and with it the session root of that Home when there is one.
    RemoveAgent {
        /// The record, as it was.
        record: Box<Record>,
        /// The session root.
        root: Option<PathBuf>,
    },
    /// The session root is taken away, if it has not changed since.
    RemoveRoot {
        /// When something in it last changed.
        changed: Timestamp,
        /// All of it, or only troop's directory in it.
        whole: bool,
    },
    /// The directory itself is taken away.
    Clear,
    /// The Home is taken out of the index; it stays as it is.
    Forget,
    /// The mount is detached.
    Detach,
}

/// What to do about each thing found, and then about the Homes of the index; what is younger than `age` stays.
pub fn plan(found: Vec<Found>, age: SignedDuration, now: Timestamp) -> Vec<Line> {
    let (entries, things): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| matches!(found, Found::Entry { .. }));
    let mut named = BTreeSet::new();
    let twice: BTreeSet<PathBuf> =
        things.iter().filter_map(root_of).filter(|root| !named.insert(*root)).map(Path::to_owned).collect();
    let mut lines: Vec<Line> = things.into_iter().filter_map(|found| line(found, age, now)).collect();
    for line in &mut lines {
        // What two records name may be of the one that stays.
        if let Action::RemoveAgent { root, .. } = &mut line.action {
            root.take_if(|root| twice.contains(root));
        }
    }
    let going: BTreeSet<PathBuf> = lines.iter().filter_map(removed_root).collect();
    let entries = entries.into_iter().filter_map(|found| match found {
        Found::Entry { home, inside } => Some(entry(home, &inside, &going)),
        _ => None,
    });
    lines.extend(entries);
    lines
}

fn root_of(found: &Found) -> Option<&Path> {
    match found {
        Found::Agent(agent) => agent.record.session_root.as_deref(),
        _ => None,
    }
}

/// The session root that goes as a whole.
fn removed_root(line: &Line) -> Option<PathBuf> {
    match &line.action {
        Action::RemoveAgent { root, .. } => root.clone(),
        Action::RemoveRoot { whole: true, .. } => Some(line.path.clone()),
        _ => None,
    }
}

fn line(found: Found, age: SignedDuration, now: Timestamp) -> Option<Line> {
    let bare = |path: PathBuf, home: Option<PathBuf>, (action, reason): (Action, String)| {
        Some(Line { action, name: None, home, path, reason })
    };
    match found {
        Found::Agent(agent) => Some(of_agent(agent, age, now)),
        Found::Root(root) => {
            let decided = of_root(&root, age, now)?;
            bare(root.path, Some(root.home), decided)
        }
        Found::Left { path, home, what, changed } => {
            let decided = match is_young(changed, age, now) {
                Some(young) => (Action::Keep, format!("{what}; {young}")),
                None => (Action::Clear, what),
            };
            bare(path, Some(home), decided)
        }
        Found::Unreadable { path, why } => bare(path, None, (Action::Keep, why)),
        Found::Mount { path, pulse } => {
            let decided = match pulse {
                Pulse::Alive => (Action::Keep, "it is mounted, and it answers".to_owned()),
                Pulse::Silent => {
                    (Action::Keep, format!("it does not answer; troop umount {} takes it away", path.display()))
                }
                Pulse::Dead => (Action::Detach, "the troop that was mounted there has died".to_owned()),
            };
            bare(path, None, decided)
        }
        Found::Entry { .. } => None,
    }
}

fn of_agent(agent: AgentFound, age: SignedDuration, now: Timestamp) -> Line {
    let AgentFound { record, path, read_only, session, manifest, home, is_busy } = agent;
    let name = Some(record.name.clone());
    let decided = if read_only {
        Err("it lies in the older registry, which troop only reads".to_owned())
    } else if is_busy {
        Err("somebody is starting or stopping it".to_owned())
    } else if record.lifecycle.state.is_live() {
        live(&record, &session, manifest, now).map(|reason| (reason, None))
    } else {
        ended(&record, &session, home.as_deref(), age, now)
            .map(|reason| (reason, record.session_root.as_deref().map(Path::to_owned)))
    };
    let (action, reason) = match decided {
        Err(reason) => (Action::Keep, reason),
        Ok((reason, root)) => (Action::RemoveAgent { record, root }, reason),
    };
    Line { action, name, home, path, reason }
}

/// What becomes of a session root without a record; nothing is said of one that another program made and troop has
/// nothing in.
fn of_root(root: &RootFound, age: SignedDuration, now: Timestamp) -> Option<(Action, String)> {
    let keep = |reason: String| Some((Action::Keep, reason));
    if root.ours == Ours::Nothing {
        return None;
    }
    if root.is_busy {
        return keep("somebody is starting or stopping it".to_owned());
    }
    if let Some(named_by) = &root.named_by {
        return keep(named_by.clone());
    }
    match &root.session {
        Presence::There => return keep("no record names it, and its session is there".to_owned()),
        Presence::Unknown(why) => return keep(format!("whether its session is there is not known: {why}")),
        Presence::Gone => {}
    }
    if let Some(young) = is_young(root.changed, age.max(FRESH_LIMIT), now) {
        return keep(format!("no record names it, and {young}"));
    }
    let prompts = match root.queued {
        0 => String::new(),
        1 => ", nor will anybody take the prompt in its queue".to_owned(),
        n => format!(", nor will anybody take the {n} prompts in its queue"),
    };
    let whole = root.ours == Ours::All;
    let only = if whole { "" } else { "; only its directory troop goes, another program made the rest" };
    Some((Action::RemoveRoot { changed: root.changed, whole }, format!("no record names it{prompts}{only}")))
}

/// What becomes of a Home in the index when those session roots go.
fn entry(home: PathBuf, inside: &Inside, going: &BTreeSet<PathBuf>) -> Line {
    let (action, reason) = match inside {
        Inside::Gone => (Action::Forget, "this Home is not there any more".to_owned()),
        Inside::Unreadable(why) => (Action::Keep, why.clone()),
        Inside::Roots(roots) => match roots.iter().filter(|root| !going.contains(*root)).count() {
            0 => (Action::Forget, "this Home has no session any more, and leaves the index; it stays".to_owned()),
            1 => (Action::Keep, "this Home has a session".to_owned()),
            n => (Action::Keep, format!("this Home has {n} sessions")),
        },
    };
    Line { action, name: None, home: Some(home.clone()), path: home, reason }
}

/// Why a live record goes, or why it stays.
fn live(record: &Record, session: &Presence, manifest: Readable, now: Timestamp) -> Result<String, String> {
    if recovery::is_relaunching(record, now) {
        return Err("it is being relaunched".to_owned());
    }
    match (session, manifest) {
        (Presence::There, _) => Err("it is live".to_owned()),
        (Presence::Unknown(why), _) => Err(format!("whether its session is there is not known: {why}")),
        (Presence::Gone, _) if now.duration_since(record.lifecycle.updated_at) < STARTING_LIMIT => {
            Err("it is starting".to_owned())
        }
        (Presence::Gone, Readable::Yes) => Err("its session is gone, and it can be relaunched".to_owned()),
        (Presence::Gone, Readable::Newer) => Err("a newer program wrote its manifest".to_owned()),
        (Presence::Gone, Readable::No) => Ok("its session is gone, and its manifest cannot be read".to_owned()),
    }
}

/// The same for a record that is stopped or retired, which goes with its session root.
fn ended(
    record: &Record,
    session: &Presence,
    home: Option<&Path>,
    age: SignedDuration,
    now: Timestamp,
) -> Result<String, String> {
    match session {
        Presence::There => return Err(format!("its session {} is there", record.last_session)),
        Presence::Unknown(why) => return Err(format!("whether its session is there is not known: {why}")),
        Presence::Gone => {}
    }
    if let Some(root) = record.session_root.as_ref().filter(|_| home.is_none()) {
        return Err(format!("{} is not where a Home has its sessions", root.display()));
    }
    let since = record.lifecycle.stopped_at.unwrap_or(record.lifecycle.updated_at);
    if record.lifecycle.state == LifecycleState::Retired {
        return Ok(format!("retired at {since:.0}"));
    }
    if now.duration_since(since) < age {
        return Err(format!("stopped at {since:.0}, which is less than {} ago", days(age)));
    }
    Ok(format!("stopped at {since:.0}"))
}

/// That something changed less than `age` ago, if it did.
fn is_young(changed: Timestamp, age: SignedDuration, now: Timestamp) -> Option<String> {
    (now.duration_since(changed) < age)
        .then(|| format!("it changed at {changed:.0}, which is less than {} ago", days(age)))
}

/// A time in the largest unit that it has whole.
fn days(age: SignedDuration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    match units.iter().find(|(length, _)| seconds >= *length && seconds % length == 0) {
        Some((length, unit)) => format!("{} {unit}", seconds / length),
        None => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests;
