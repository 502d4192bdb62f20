//! What goes and what stays.

use super::*;
use crate::model::AgentId;
use crate::model::record::{Backend, Lease, Lifecycle};

const NOW: Timestamp = Timestamp::constant(1_795_226_700, 0);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// A month, in seconds.
const OLD: i64 = 30 * 86_400;

fn ago(seconds: i64) -> Timestamp {
    NOW - SignedDuration::from_secs(seconds)
}

fn record(state: LifecycleState, seconds_ago: i64) -> Record {
    let at = ago(seconds_ago);
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

fn agent(record: Record, session: Presence, manifest: Readable) -> AgentFound {
    AgentFound {
        record: Box::new(record),
        path: "/registry/a/record.json".into(),
        read_only: false,
        session,
        manifest,
        home: Some("/home".into()),
        is_busy: false,
    }
}

fn root(seconds_ago: i64) -> RootFound {
    RootFound {
        path: "/home/s".into(),
        home: "/home".into(),
        changed: ago(seconds_ago),
        queued: 2,
        is_busy: false,
        named_by: None,
        session: Presence::Gone,
        ours: Ours::All,
    }
}

#[track_caller]
fn decide(found: Found, age: SignedDuration) -> Line {
    let [line] = <[Line; 1]>::try_from(plan(vec![found], age, NOW)).unwrap();
    line
}

/// Whether an agent's record goes, and its session root.
fn removes(line: &Line) -> Option<(bool, bool)> {
    match &line.action {
        Action::RemoveAgent { root, .. } => Some((true, root.is_some())),
        Action::RemoveRoot { whole, .. } => Some((false, *whole)),
        _ => None,
    }
}

#[test]
fn nothing_live_or_not_understood_goes() {
    use LifecycleState::*;
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
        let line = decide(Found::Agent(agent(record(state, ago), session.clone(), manifest)), WEEK);
        assert_eq!(removes(&line), wanted, "{state:?} {ago} {session:?} {manifest:?}: {}", line.reason);
    }
    let old = || agent(record(Stopped, OLD), Presence::Gone, Readable::Yes);
    for found in [
        AgentFound { read_only: true, ..old() },
        AgentFound { is_busy: true, ..old() },
        AgentFound { home: None, ..old() },
    ] {
        assert_eq!(removes(&decide(Found::Agent(found), WEEK)), None);
    }
}

#[test]
fn a_root_that_two_records_name_stays() {
    let retired = || Found::Agent(agent(record(LifecycleState::Retired, OLD), Presence::Gone, Readable::Yes));
    let live = Found::Agent(agent(record(LifecycleState::Active, OLD), Presence::There, Readable::Yes));
    let lines = plan(vec![retired(), live], WEEK, NOW);
    assert_eq!(lines.iter().map(removes).collect::<Vec<_>>(), [Some((true, false)), None]);
}

#[test]
fn what_nothing_uses_goes_when_it_is_old() {
    let left = |seconds: i64| {
        let what = "state of a retired server".to_owned();
        decide(Found::Left { path: "/home/old".into(), home: "/home".into(), what, changed: ago(seconds) }, HOUR)
    };
    assert_eq!((left(60).action, left(7200).action), (Action::Keep, Action::Clear));
    assert_eq!(left(7200).reason, "state of a retired server");
}

#[test]
fn a_session_that_nobody_names_goes_when_it_is_old_and_not_there() {
    let decided = |root: RootFound| decide(Found::Root(root), HOUR);
    assert_eq!(removes(&decided(root(60))), None);
    assert!(decided(root(60)).reason.ends_with("less than 1 h ago"));
    assert_eq!(removes(&decided(root(7200))), Some((false, true)));
    assert!(decided(root(7200)).reason.contains("2 prompts"));
    for stays in [
        RootFound { is_busy: true, ..root(7200) },
        RootFound { named_by: Some("a record names it".to_owned()), ..root(7200) },
        RootFound { session: Presence::There, ..root(7200) },
        RootFound { session: Presence::Unknown("it hangs".to_owned()), ..root(7200) },
    ] {
        assert_eq!(removes(&decided(stays.clone())), None, "{stays:?}");
    }
    // Somebody may be making it, whatever age was asked for.
    assert_eq!(removes(&decide(Found::Root(root(5)), SignedDuration::ZERO)), None);
    assert_eq!(removes(&decide(Found::Root(root(61)), SignedDuration::ZERO)), Some((false, true)));
    // Of what another program made only what is troop's.
    let beside = decided(RootFound { ours: Ours::Beside, ..root(7200) });
    assert_eq!(removes(&beside), Some((false, false)));
    assert_eq!(plan(vec![Found::Root(RootFound { ours: Ours::Nothing, ..root(7200) })], HOUR, NOW), []);
}

#[test]
fn a_home_leaves_the_index_when_nothing_is_left_in_it() {
    let entry = |inside: Inside| Found::Entry { home: "/home".into(), inside };
    let roots = |names: &[&str]| Inside::Roots(names.iter().map(PathBuf::from).collect());
    assert_eq!(decide(entry(Inside::Gone), WEEK).action, Action::Forget);
    assert_eq!(decide(entry(roots(&[])), WEEK).action, Action::Forget);
    assert_eq!(decide(entry(Inside::Unreadable("no".to_owned())), WEEK).action, Action::Keep);
    assert_eq!(decide(entry(roots(&["/home/s"])), WEEK).action, Action::Keep);

    // Whichever way the last of it goes, and only when all of it goes.
    let retired = Found::Agent(agent(record(LifecycleState::Retired, OLD), Presence::Gone, Readable::Yes));
    for (going, last) in [
        (Found::Root(root(OLD)), Action::Forget),
        (retired, Action::Forget),
        (Found::Root(root(60)), Action::Keep),
        (Found::Root(RootFound { ours: Ours::Beside, ..root(OLD) }), Action::Keep),
    ] {
        let lines = plan(vec![entry(roots(&["/home/s"])), going], WEEK, NOW);
        assert_eq!((lines.len(), &lines[1].action), (2, &last), "{lines:?}");
    }
    let two = plan(vec![entry(roots(&["/home/s", "/home/t"])), Found::Root(root(OLD))], WEEK, NOW);
    assert_eq!(two[1].reason, "this Home has a session");
}

#[test]
fn only_a_dead_mount_is_detached() {
    for (pulse, wanted) in [(Pulse::Alive, Action::Keep), (Pulse::Silent, Action::Keep), (Pulse::Dead, Action::Detach)]
    {
        assert_eq!(decide(Found::Mount { path: "/mnt".into(), pulse }, WEEK).action, wanted);
    }
}
