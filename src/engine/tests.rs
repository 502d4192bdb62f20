//! Facts in, snapshots and effects out.

mod elsewhere;

use super::*;
use crate::command::{Command, Launch, TroopVerb, Verb};
use crate::error::Kind;
use crate::model::record::{Backend, Lease};
use crate::model::{AgentId, AgentName, Lifecycle, LifecycleState, Presets, Record, Snapshot, Status, Transcript};
use crate::tool::Tools;
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + seconds).unwrap()
}

fn record(id: &str, name: &str, state: LifecycleState) -> Record {
    let live = state.is_live();
    Record {
        id: AgentId(id.into()),
        name: name.to_owned(),
        generation: "g1".into(),
        lifecycle: Lifecycle {
            state,
            relaunchable: state == LifecycleState::Stopped,
            updated_at: at(0),
            stopped_at: (!live).then(|| at(0)),
            stop_reason: None,
        },
        backend: Backend::LocalInteractive,
        tool: "stand-in".to_owned(),
        manifest_path: Path::new(&format!("/sessions/{id}/manifest.json")).into(),
        session_root: None,
        agent_def_dir: None,
        session: live.then(|| format!("HOUMAO-{name}-1")),
        last_session: format!("HOUMAO-{name}-1"),
        lease: live.then(|| Lease { published_at: at(0), expires_at: at(0) + SignedDuration::from_hours(1) }),
        gateway: None,
        mailbox: None,
    }
}

fn world(records: Vec<Record>) -> World {
    let (tools, _) = Tools::with_overrides(&[]);
    let mut world = World::new(tools, Presets::default(), PathBuf::from("/home"));
    for record in records {
        learn(&mut world, record);
    }
    world
}

fn learn(world: &mut World, record: Record) {
    let path = Path::new(&format!("/registry/{}/record.json", record.id)).into();
    let fact = Fact::Record { record: Box::new(record), path, manifest: Err("there is none".to_owned()) };
    world.take(fact, at(0));
}

fn published(world: &mut World, now: Timestamp) -> Snapshot {
    world.publish(now).expect("something has changed")
}

fn names(listing: &std::collections::BTreeMap<Arc<str>, Arc<crate::model::AgentView>>) -> Vec<&str> {
    listing.keys().map(AsRef::as_ref).collect()
}

#[test]
fn live_and_stopped_agents_are_listed_and_the_rest_are_not() {
    let mut expired = record("e", "expired", LifecycleState::Active);
    expired.lease = Some(Lease { published_at: at(-9), expires_at: at(-1) });
    let mut world = world(vec![
        record("a", "alice", LifecycleState::Active),
        record("b", "bob", LifecycleState::Stopped),
        record("c", "carol", LifecycleState::Retired),
        expired,
    ]);
    let snapshot = published(&mut world, at(1));
    assert_eq!((names(&snapshot.agents), names(&snapshot.stopped)), (vec!["alice"], vec!["bob"]));
    assert_eq!(snapshot.stopped["bob"].status(), Status::Gone);
    assert!(world.publish(at(1)).is_none(), "nothing has changed since");
}

#[test]
fn two_live_agents_of_one_name_are_told_apart_by_id() {
    let mut world = world(vec![
        record("aaaaaaaa11", "x", LifecycleState::Active),
        record("bbbbbbbb22", "x", LifecycleState::Active),
        record("cccccccc33", "x", LifecycleState::Stopped),
    ]);
    let snapshot = published(&mut world, at(1));
    assert_eq!(names(&snapshot.agents), ["x~aaaaaaaa", "x~bbbbbbbb"]);
    assert_eq!(names(&snapshot.stopped), ["x"]);
    world.take(Fact::NoRecord(AgentId("aaaaaaaa11".into())), at(2));
    assert_eq!(names(&published(&mut world, at(2)).agents), ["x"], "the one that is left has the name");
}

#[test]
fn slots_are_never_used_again() {
    let mut world = world(vec![record("a", "alice", LifecycleState::Active)]);
    let first = published(&mut world, at(1)).agents["alice"].slot;
    world.take(Fact::NoRecord(AgentId("a".into())), at(2));
    published(&mut world, at(2));
    learn(&mut world, record("a", "alice", LifecycleState::Active));
    let again = published(&mut world, at(3)).agents["alice"].slot;
    assert_ne!(first, again, "tail -F has to see another file");
    let mut relaunched = record("a", "alice", LifecycleState::Active);
    relaunched.generation = "g2".into();
    learn(&mut world, relaunched);
    assert_ne!(published(&mut world, at(4)).agents["alice"].slot, again);
}

#[test]
fn launches_are_checked_before_anything_is_done() {
    let mut world = world(vec![
        record("a", "alice", LifecycleState::Active),
        record("b", "bob", LifecycleState::Stopped),
        record("c", "carol", LifecycleState::Retired),
    ]);
    published(&mut world, at(1));
    let launch = |name: &str, tool: Option<&str>| {
        let mut launch = Launch::new(AgentName::new(name).unwrap());
        launch.options.tool = tool.map(str::to_owned);
        Command::launch(launch)
    };
    for (name, tool, kind) in [
        ("alice", None, Kind::Exists),
        ("bob", None, Kind::Exists),
        ("dave", Some("nope"), Kind::NotFound),
        ("dave", Some("generic"), Kind::Invalid),
    ] {
        assert_eq!(plan(&world, launch(name, tool), at(1)).unwrap_err().kind(), kind, "{name} {tool:?}");
    }
    let effects = plan(&world, launch("carol", None), at(1)).unwrap();
    let [Effect::Launch(order)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((order.tool.as_str(), order.cwd.as_path()), ("stand-in", std::path::Path::new("/home")));
}

#[test]
fn one_verb_that_cannot_be_refuses_them_all() {
    let mut world = world(vec![record("a", "alice", LifecycleState::Active)]);
    published(&mut world, at(1));
    let agent = AgentId("a".into());
    let verbs = vec![Verb::Resize { cols: 80, rows: 24 }, Verb::Interrupt];
    let refused = plan(&world, Command::Control { agent: agent.clone(), verbs }, at(1)).unwrap_err();
    assert_eq!(refused.kind(), Kind::Busy, "{refused}");
    let verbs = vec![TroopVerb::Rescan, TroopVerb::Launch(Box::new(Launch::new(AgentName::new("alice").unwrap())))];
    assert!(plan(&world, Command::Troop { verbs }, at(1)).is_err());
    let twice = (0..2).map(|_| TroopVerb::Launch(Box::new(Launch::new(AgentName::new("new").unwrap()))));
    let twice = plan(&world, Command::Troop { verbs: twice.collect() }, at(1)).unwrap_err();
    assert_eq!(twice.kind(), Kind::Exists, "{twice}");
    assert_eq!(plan(&world, Command::Retire { agent }, at(1)).unwrap_err().kind(), Kind::Busy);
}

#[test]
fn a_session_that_is_missing_is_gone_once_the_launch_is_old() {
    let mut world = world(vec![record("a", "alice", LifecycleState::Active)]);
    let id = AgentId("a".into());
    world.take(Fact::Terminal(id.clone(), crate::model::Terminal::NoSession), at(1));
    assert_eq!(published(&mut world, at(1)).agents["alice"].status(), Status::Starting);
    let notes = world.tick(at(31));
    assert!(matches!(&notes[..], [(_, _, crate::model::EventKind::Status { to: Status::Gone, .. })]), "{notes:?}");
    assert_eq!(published(&mut world, at(31)).agents["alice"].status(), Status::Gone);
    assert!(plan(&world, Command::Retire { agent: id.clone() }, at(31)).is_ok());
    let prompt = Command::Prompt { agent: id, text: "x".to_owned() };
    assert_eq!(plan(&world, prompt, at(31)).unwrap_err().kind(), Kind::Gone);
}

#[test]
fn a_log_belongs_to_one_life() {
    let mut world = world(vec![record("i", "a", LifecycleState::Active)]);
    let id = AgentId("i".into());
    let log = Arc::new(Transcript {
        path: Path::new("/log").into(),
        session: None,
        has_ends: true,
        exchanges: Arc::default(),
    });
    world.take(Fact::Transcript(id.clone(), Some(log.clone())), at(1));
    assert_eq!(published(&mut world, at(1)).agents["a"].transcript.as_ref(), Some(&log));
    world.take(
        Fact::Accepted(
            id.clone(),
            Accepted { prompt_id: "p".into(), text: "go".into(), actor: crate::model::Actor::Observed },
        ),
        at(2),
    );
    assert_eq!((&**world.agents[&id].prompt(), world.agents[&id].asked_at()), ("go", Some(at(2))));
    learn(&mut world, Record { generation: "g2".into(), ..record("i", "a", LifecycleState::Active) });
    assert_eq!(published(&mut world, at(3)).agents["a"].transcript, None);
}
