//! What may be cleared away, and why the rest may not: from facts and a time to a list, which is carried out or printed.

use super::recovery;
use crate::model::{LifecycleState, Record};
use crate::tracker::STARTING_LIMIT;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;

/// Whether tmux has the session that a record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    There,
    /// It has not, or there is no server.
    Gone,
    /// The server did not say; why.
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

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The record of an agent.
    Agent {
        /// It.
        record: Box<Record>,
        /// Where it is.
        path: PathBuf,
        /// It lies in a registry that is only read.
        read_only: bool,
        /// Its session, or the one it had last.
        session: Presence,
        /// Its manifest.
        manifest: Readable,
        /// Whether its session root is one of this Home.
        is_here: bool,
        /// Somebody starts or stops it at this moment.
        is_busy: bool,
    },
    /// A session root of this Home that no record names.
    Orphan {
        /// Where it is.
        path: PathBuf,
        /// When something in it last changed.
        changed: Timestamp,
        /// How many prompts wait in its queue.
        queued: usize,
        /// Somebody starts or stops it at this moment.
        is_busy: bool,
        /// A record that cannot be read may name it.
        may_be_named: bool,
    },
    /// Something that nothing uses any more.
    Left {
        /// A directory.
        path: PathBuf,
        /// What it is.
        what: String,
        /// When something in it last changed.
        changed: Timestamp,
    },
    /// A record that cannot be read.
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// What is done about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub action: Action,
    /// The agent's name, if it is one.
    pub name: Option<String>,
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
    /// The record is taken away, and that session root when there is one.
    Remove {
        /// The record, as it was.
        record: Option<Box<Record>>,
        /// The session root.
        root: Option<PathBuf>,
    },
    /// The directory itself is taken away.
    Clear,
}

/// What to do about each thing found; what is younger than `age` stays.
pub fn plan(found: Vec<Found>, age: SignedDuration, now: Timestamp) -> Vec<Line> {
    found.into_iter().map(|found| line(found, age, now)).collect()
}

fn line(found: Found, age: SignedDuration, now: Timestamp) -> Line {
    match found {
        Found::Agent { record, path, read_only, session, manifest, is_here, is_busy } => {
            let name = Some(record.name.clone());
            let kept = if read_only {
                Err("it lies in the older registry, which troop only reads".to_owned())
            } else if is_busy {
                Err("somebody is starting or stopping it".to_owned())
            } else if record.lifecycle.state.is_live() {
                live(&record, &session, manifest, now)
            } else {
                ended(&record, &session, is_here, age, now)
            };
            match kept {
                Err(reason) => Line { action: Action::Keep, name, path, reason },
                Ok((reason, with_root)) => {
                    let root = record.session_root.as_deref().filter(|_| with_root).map(PathBuf::from);
                    Line { action: Action::Remove { record: Some(record), root }, name, path, reason }
                }
            }
        }
        Found::Orphan { path, changed, queued, is_busy, may_be_named } => {
            let keep = |reason: String| Line { action: Action::Keep, name: None, path: path.clone(), reason };
            if is_busy {
                keep("somebody is starting or stopping it".to_owned())
            } else if may_be_named {
                keep("a record that cannot be read may name it; see troop doctor".to_owned())
            } else if now.duration_since(changed) < STARTING_LIMIT {
                // A launch makes the session root before the record.
                keep("somebody may be starting it".to_owned())
            } else if now.duration_since(changed) < age {
                keep(format!(
                    "no record names it, and it changed at {changed:.0}, which is less than {} ago",
                    days(age)
                ))
            } else {
                let prompts = match queued {
                    0 => String::new(),
                    1 => ", nor will anybody take the prompt in its queue".to_owned(),
                    n => format!(", nor will anybody take the {n} prompts in its queue"),
                };
                let reason = format!("no record names it{prompts}");
                Line { action: Action::Remove { record: None, root: Some(path.clone()) }, name: None, path, reason }
            }
        }
        Found::Left { path, what, changed } if now.duration_since(changed) < age => {
            let reason = format!("{what}; it changed at {changed:.0}, which is less than {} ago", days(age));
            Line { action: Action::Keep, name: None, path, reason }
        }
        Found::Left { path, what, .. } => Line { action: Action::Clear, name: None, path, reason: what },
        Found::Unreadable { path, why } => Line { action: Action::Keep, name: None, path, reason: why },
    }
}

/// Why a live record goes, and whether its session root does; or why it stays.
fn live(record: &Record, session: &Presence, manifest: Readable, now: Timestamp) -> Result<(String, bool), String> {
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
        (Presence::Gone, Readable::No) => {
            Ok(("its session is gone, and its manifest cannot be read".to_owned(), false))
        }
    }
}

/// The same for a record that is stopped or retired.
fn ended(
    record: &Record,
    session: &Presence,
    is_here: bool,
    age: SignedDuration,
    now: Timestamp,
) -> Result<(String, bool), String> {
    match session {
        Presence::There => return Err(format!("its session {} is there", record.last_session)),
        Presence::Unknown(why) => return Err(format!("whether its session is there is not known: {why}")),
        Presence::Gone => {}
    }
    if let Some(root) = record.session_root.as_ref().filter(|_| !is_here) {
        return Err(format!("its session is in another Home, {}", root.display()));
    }
    let since = record.lifecycle.stopped_at.unwrap_or(record.lifecycle.updated_at);
    if record.lifecycle.state == LifecycleState::Retired {
        return Ok((format!("retired at {since:.0}"), true));
    }
    if now.duration_since(since) < age {
        return Err(format!("stopped at {since:.0}, which is less than {} ago", days(age)));
    }
    Ok((format!("stopped at {since:.0}"), true))
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
mod tests {
    use super::*;
    use crate::model::AgentId;
    use crate::model::record::{Backend, Lease, Lifecycle};
    use std::path::Path;

    const NOW: Timestamp = Timestamp::constant(1_795_226_700, 0);
    const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

    fn record(state: LifecycleState, seconds_ago: i64) -> Record {
        let at = NOW - SignedDuration::from_secs(seconds_ago);
        let live = state.is_live();
        Record {
            id: AgentId("a".into()),
            name: "a".to_owned(),
            generation: "g".into(),
            lifecycle: Lifecycle {
                state,
                relaunchable: state != LifecycleState::Retired,
                updated_at: at,
                stopped_at: (!live).then_some(at),
                stop_reason: None,
            },
            backend: Backend::LocalInteractive,
            tool: "t".to_owned(),
            manifest_path: Path::new("/home/s/manifest.json").into(),
            session_root: Some(Path::new("/home/s").into()),
            agent_def_dir: None,
            session: live.then(|| "s".to_owned()),
            last_session: "s".to_owned(),
            lease: live.then_some(Lease { published_at: at, expires_at: NOW + WEEK }),
            gateway: None,
            mailbox: None,
        }
    }

    fn decide(record: Record, session: Presence, manifest: Readable, change: impl Fn(&mut Found)) -> Line {
        let mut found = Found::Agent {
            record: Box::new(record),
            path: "/registry/a/record.json".into(),
            read_only: false,
            session,
            manifest,
            is_here: true,
            is_busy: false,
        };
        change(&mut found);
        plan(vec![found], WEEK, NOW).remove(0)
    }

    fn removes(line: &Line) -> Option<(bool, bool)> {
        match &line.action {
            Action::Keep => None,
            Action::Remove { record, root } => Some((record.is_some(), root.is_some())),
            Action::Clear => Some((false, false)),
        }
    }

    #[test]
    fn nothing_live_or_not_understood_goes() {
        use LifecycleState::*;
        const OLD: i64 = 30 * 86_400;
        let (there, gone) = (Presence::There, Presence::Gone);
        let unknown = Presence::Unknown("it hangs".to_owned());
        for (state, ago, session, manifest, wanted) in [
            (Active, OLD, &there, Readable::No, None),
            (Active, OLD, &gone, Readable::Yes, None),
            (Active, OLD, &gone, Readable::Newer, None),
            (Active, OLD, &unknown, Readable::No, None),
            (Active, 5, &gone, Readable::No, None),
            (Active, OLD, &gone, Readable::No, Some((true, false))),
            (Relaunching, 5, &gone, Readable::No, None),
            (Relaunching, OLD, &gone, Readable::No, Some((true, false))),
            (Stopped, 60, &gone, Readable::Yes, None),
            (Stopped, OLD, &there, Readable::Yes, None),
            (Stopped, OLD, &unknown, Readable::Yes, None),
            (Stopped, OLD, &gone, Readable::Yes, Some((true, true))),
            (Retired, 60, &there, Readable::Yes, None),
            (Retired, 60, &gone, Readable::No, Some((true, true))),
        ] {
            let line = decide(record(state, ago), session.clone(), manifest, |_| {});
            assert_eq!(removes(&line), wanted, "{state:?} {ago} {session:?} {manifest:?}: {}", line.reason);
        }
        let old = || record(Stopped, OLD);
        let changes: [fn(&mut Found); 3] = [
            |found| {
                if let Found::Agent { read_only, .. } = found {
                    *read_only = true;
                }
            },
            |found| {
                if let Found::Agent { is_busy, .. } = found {
                    *is_busy = true;
                }
            },
            |found| {
                if let Found::Agent { is_here, .. } = found {
                    *is_here = false;
                }
            },
        ];
        for change in changes {
            assert_eq!(removes(&decide(old(), Presence::Gone, Readable::Yes, change)), None);
        }
    }

    #[test]
    fn what_nothing_uses_goes_when_it_is_old() {
        let left = |ago: i64| {
            let changed = NOW - SignedDuration::from_secs(ago);
            let found = Found::Left { path: "/home/old".into(), what: "state of a retired server".to_owned(), changed };
            plan(vec![found], SignedDuration::from_hours(1), NOW).remove(0)
        };
        assert_eq!((left(60).action, left(7200).action), (Action::Keep, Action::Clear));
        assert_eq!(left(7200).reason, "state of a retired server");
    }

    #[test]
    fn a_session_that_nobody_names_goes_when_it_is_old() {
        let orphan = |ago: i64, is_busy, may_be_named| {
            let changed = NOW - SignedDuration::from_secs(ago);
            let found = Found::Orphan { path: "/home/s".into(), changed, queued: 2, is_busy, may_be_named };
            plan(vec![found], SignedDuration::from_hours(1), NOW).remove(0)
        };
        assert_eq!(removes(&orphan(60, false, false)), None);
        assert_eq!(removes(&orphan(7200, true, false)), None);
        assert_eq!(removes(&orphan(7200, false, true)), None);
        assert_eq!(removes(&orphan(7200, false, false)), Some((false, true)));
        assert!(orphan(7200, false, false).reason.contains("2 prompts"));
        assert!(orphan(60, false, false).reason.ends_with("less than 1 h ago"));
        // Its record may be about to come, whatever age was asked for.
        let fresh = |ago: i64| {
            let changed = NOW - SignedDuration::from_secs(ago);
            let found =
                Found::Orphan { path: "/home/s".into(), changed, queued: 0, is_busy: false, may_be_named: false };
            plan(vec![found], SignedDuration::ZERO, NOW).remove(0)
        };
        assert_eq!((removes(&fresh(29)), removes(&fresh(31))), (None, Some((false, true))));
    }
}
