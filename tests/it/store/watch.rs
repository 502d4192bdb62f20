//! The watch sees what other processes do.

use super::*;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use troop::store::scan::RECORD_FILE;
use troop::store::wire::encode_record;
use troop::store::{Change, Watch};

/// Far more than it takes; a limit and not a measurement.
const LIMIT: Duration = Duration::from_secs(20);

fn start(roots: &[PathBuf]) -> (Watch, Receiver<Change>) {
    let (sender, changes) = channel();
    (Watch::start(roots, move |change| drop(sender.send(change))).unwrap(), changes)
}

/// Waits for changes until `is_enough` says of the world that it is as wanted.
fn until(changes: &Receiver<Change>, mut is_enough: impl FnMut(&Change) -> bool) {
    loop {
        let change = changes.recv_timeout(LIMIT).expect("a change is reported");
        if is_enough(&change) {
            return;
        }
    }
}

fn shell(script: &str, arguments: &[&Path]) {
    assert!(Command::new("sh").args(["-ec", script, "sh"]).args(arguments).status().unwrap().success());
}

/// A file with the record in it, outside of the registry.
fn prepared(fixture: &Fixture, record: &Record) -> PathBuf {
    let path = fixture.base.join(format!("prepared-{}", record.generation));
    std::fs::write(&path, encode_record(record).unwrap()).unwrap();
    path
}

#[test]
fn a_record_of_another_process_is_seen_when_it_appears_changes_and_goes() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.live_agents()).unwrap();
    let (_watch, changes) = start(&[fixture.base.join("registry")]);
    let record = active("alice");
    let dir = fixture.live_agents().join(record.id.as_str());
    let is_about_it = |change: &Change| *change == Change::Record(record.id.to_string());
    let there = || fixture.registry.read(&record.id).ok().flatten().map(|entry| entry.record.generation);

    shell("mkdir \"$1\"; cp \"$2\" \"$1/record.json\"", &[&dir, &prepared(&fixture, &record)]);
    until(&changes, |change| is_about_it(change) && there() == Some(record.generation.clone()));

    // As Houmao replaces: a temporary file and a rename.
    let second = Record { generation: "second".into(), ..record.clone() };
    shell(
        "cp \"$2\" \"$1/record.json.0.tmp\"; mv \"$1/record.json.0.tmp\" \"$1/record.json\"",
        &[&dir, &prepared(&fixture, &second)],
    );
    until(&changes, |change| is_about_it(change) && there().as_deref() == Some("second"));

    shell("rm -r \"$1\"", &[&dir]);
    until(&changes, |change| is_about_it(change) && there().is_none());

    // The same directory once more, in one go.
    shell("mkdir \"$1\"; cp \"$2\" \"$1/record.json\"", &[&dir, &prepared(&fixture, &record)]);
    until(&changes, |change| is_about_it(change) && there() == Some(record.generation.clone()));
    shell("cp \"$2\" \"$1/record.json\"", &[&dir, &prepared(&fixture, &second)]);
    until(&changes, |change| is_about_it(change) && there().as_deref() == Some("second"));
}

#[test]
fn a_registry_that_is_not_there_yet_is_awaited() {
    let fixture = Fixture::new();
    let (_watch, changes) = start(&[fixture.base.join("registry")]);
    let record = active("alice");
    fixture.registry.publish(&record, &troop::store::Expect::New, now()).unwrap();
    until(&changes, |_| fixture.registry.read(&record.id).unwrap().is_some());
    // Gone with everything, and made anew: seen again.
    std::fs::remove_dir_all(fixture.base.join("registry")).unwrap();
    until(&changes, |_| !fixture.live_agents().exists());
    fixture.registry.publish(&record, &troop::store::Expect::New, now()).unwrap();
    until(&changes, |_| fixture.registry.read(&record.id).unwrap().is_some());
    let stopped = fixture.registry.stop(&record.id, &record.generation, "operator_stop", now()).unwrap();
    until(&changes, |change| {
        *change == Change::Record(record.id.to_string())
            && fixture.registry.read(&record.id).unwrap().is_some_and(|entry| entry.record == stopped)
    });
}

#[test]
fn a_burst_of_agents_misses_none() {
    let fixture = Fixture::new();
    let (_watch, changes) = start(&[fixture.base.join("registry")]);
    let names: Vec<String> = (0..200).map(|n| format!("agent-{n}")).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for name in &names {
                let record = active(name);
                fixture.plant(record.id.as_str(), &encode_record(&record).unwrap());
            }
        });
        let mut missing: std::collections::HashSet<String> =
            names.iter().map(|name| active(name).id.to_string()).collect();
        let mut look = |id: &str| {
            if fixture.registry.read(&AgentId(id.into())).ok().flatten().is_some() {
                missing.remove(id);
            }
            missing.is_empty()
        };
        until(&changes, |change| match change {
            Change::Record(id) => look(id),
            Change::Rescan => fixture.registry.scan().entries.iter().any(|entry| look(entry.record.id.as_str())),
            Change::Path(path) => panic!("{path:?} was not asked for"),
        });
    });
}

#[test]
fn one_more_directory_can_be_watched_and_left() {
    let fixture = Fixture::new();
    let (watch, changes) = start(&[fixture.base.join("registry")]);
    let extra = fixture.base.join("extra");
    std::fs::create_dir(&extra).unwrap();
    watch.also(extra.as_path().into()).unwrap();
    std::fs::write(extra.join("file"), "x").unwrap();
    until(&changes, |change| *change == Change::Path(extra.join("file")));
    watch.forget(&extra);
    std::fs::write(extra.join("unseen"), "x").unwrap();
    // Seen after it, so the other would have come before.
    fixture.registry.publish(&active("alice"), &troop::store::Expect::New, now()).unwrap();
    until(&changes, |change| {
        assert_ne!(*change, Change::Path(extra.join("unseen")));
        fixture.registry.find("alice").is_ok()
    });
}

#[test]
fn leaving_a_directory_in_which_a_registry_is_awaited_keeps_that_awaited() {
    let fixture = Fixture::new();
    let (watch, changes) = start(&[fixture.base.join("registry")]);
    watch.also(fixture.base.as_path().into()).unwrap();
    watch.forget(&fixture.base);
    let record = active("alice");
    fixture.registry.publish(&record, &troop::store::Expect::New, now()).unwrap();
    until(&changes, |_| fixture.registry.read(&record.id).unwrap().is_some());
}

#[test]
fn reading_is_no_change() {
    let fixture = Fixture::new();
    let record = active("alice");
    fixture.registry.publish(&record, &troop::store::Expect::New, now()).unwrap();
    let (_watch, changes) = start(&[fixture.base.join("registry")]);
    fixture.registry.scan();
    std::fs::read_dir(fixture.live_agents()).unwrap().for_each(drop);
    fixture.plant("marker", b"{}");
    until(&changes, |change| {
        assert_ne!(*change, Change::Record(record.id.to_string()));
        *change == Change::Record("marker".into())
    });
}

#[test]
fn dropping_the_watch_ends_it() {
    let fixture = Fixture::new();
    let (watch, changes) = start(&[fixture.base.join("registry")]);
    drop(watch);
    assert!(changes.recv().is_err(), "the sender is gone with the thread");
}

#[test]
fn more_than_the_kernel_keeps_becomes_one_look_at_everything() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.live_agents()).unwrap();
    let kept: usize =
        std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    let (sender, changes) = std::sync::mpsc::sync_channel(0);
    let _watch = Watch::start(&[fixture.base.join("registry")], move |change| drop(sender.send(change))).unwrap();
    for n in 0..=kept {
        // Two names, because the same once more right after itself is kept as one.
        std::fs::write(fixture.live_agents().join(["one", "two"][n % 2]), "").unwrap();
    }
    let record = active("alice");
    fixture.plant(record.id.as_str(), &encode_record(&record).unwrap());
    until(&changes, |change| *change == Change::Rescan);
    // What appeared meanwhile is watched since.
    std::fs::remove_file(fixture.live_agents().join(record.id.as_str()).join(RECORD_FILE)).unwrap();
    until(&changes, |change| *change == Change::Record(record.id.to_string()));
}

#[test]
fn a_renamed_directory_is_watched_under_its_new_name_only() {
    let fixture = Fixture::new();
    let record = active("alice");
    fixture.plant("before", &encode_record(&record).unwrap());
    let (_watch, changes) = start(&[fixture.base.join("registry")]);
    std::fs::rename(fixture.live_agents().join("before"), fixture.live_agents().join("after")).unwrap();
    until(&changes, |change| *change == Change::Record("after".into()));
    std::fs::write(fixture.live_agents().join("after").join(RECORD_FILE), "{}").unwrap();
    std::fs::create_dir(fixture.live_agents().join("marker")).unwrap();
    let mut said = Vec::new();
    until(&changes, |change| {
        said.push(change.clone());
        *change == Change::Record("marker".into())
    });
    assert!(said.contains(&Change::Record("after".into())), "{said:?}");
}
