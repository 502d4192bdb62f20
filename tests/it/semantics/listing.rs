//! Listings: right while agents come and go, stable, and cheap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::sync::atomic::{AtomicBool, Ordering};

use super::tree::everything;
use super::world::{LIMIT, World, plant, record};
use crate::support::{Sandbox, wait_for};

/// Writes the records of agents whose sessions are gone.
fn plant_many(sandbox: &Sandbox, ids: impl Iterator<Item = String>) {
    for id in ids {
        let bytes = record(&id, &format!("agent-{id}"), &format!("no-session-{id}"), sandbox.path()).to_string();
        plant(sandbox, &id, bytes.as_bytes());
    }
}

/// While agents come and go, a listing shows every agent that was there all the time exactly once.
#[test]
fn listings_while_agents_come_and_go() {
    const STAY: usize = 400;
    const COME_AND_GO: usize = 40;
    const LISTINGS: usize = 60;
    let sandbox = Sandbox::new();
    plant_many(&sandbox, (0..STAY).map(|n| format!("stay{n}")));
    let world = World::mounted(sandbox, &[]);
    wait_for("every agent", LIMIT, || world.names("agents").len() == STAY);
    let stay: BTreeSet<String> = world.names("agents").into_iter().collect();
    let over = AtomicBool::new(false);
    let (mut came, mut went) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                plant_many(world.sandbox(), (0..COME_AND_GO).map(|n| format!("come{n}")));
                for n in 0..COME_AND_GO {
                    let dir = world.sandbox().registry().join(format!("live_agents/come{n}"));
                    fs::remove_dir_all(dir).unwrap();
                }
            }
        });
        let mut last = 0;
        let mut listing = 0;
        while listing < LISTINGS || came == 0 || went == 0 {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for entry in fs::read_dir(world.at("agents")).unwrap() {
                *seen.entry(entry.unwrap().file_name().into_string().unwrap()).or_default() += 1;
            }
            if let Some(name) = stay.iter().find(|name| seen.get(*name) != Some(&1)) {
                over.store(true, Ordering::Relaxed);
                panic!("{name} was listed {:?} times", seen.get(name));
            }
            (came, went) = (came + usize::from(seen.len() > last), went + usize::from(seen.len() < last));
            last = seen.len();
            listing += 1;
            assert!(listing < 100 * LISTINGS, "nothing came or went");
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// A file keeps its inode number while it is mounted, a history that is moved aside under its new name.
/// No two files share one, and a new agent never gets the number of an old one.
#[test]
fn inode_numbers() {
    let world = World::new();
    world.launch("a");
    world.launch("b");
    let numbers = || -> BTreeMap<_, u64> {
        let files = everything(&world.at("")).into_iter();
        files.map(|path| (path.clone(), fs::symlink_metadata(&path).unwrap().ino())).collect()
    };
    let first = numbers();
    let distinct: BTreeSet<u64> = first.values().copied().collect();
    assert_eq!(distinct.len(), first.len());
    for entry in fs::read_dir(world.at("agents")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.ino(), first[&entry.path()]);
    }
    world.write("agents/a/prompt", "hello");
    world.next_prompt("a", 0);
    world.write("agents/b/control", "stop\n");
    world.wait_gone("agents/b");
    fs::remove_dir(world.at("stopped/b")).unwrap();
    world.launch("b");
    let second = numbers();
    for (path, number) in &first {
        if path.starts_with(world.at("agents/b")) {
            assert_ne!(second[path], *number, "{}", path.display());
        } else if path.file_name().unwrap() != "b" && !path.starts_with(world.at("by-id")) {
            assert_eq!(second.get(path), Some(number), "{}", path.display());
        }
    }
}

/// `ls -l agents` with a thousand agents takes the kernel at most twenty requests.
#[test]
fn a_listing_is_cheap() {
    const AGENTS: usize = 1000;
    const REQUESTS: usize = 20;
    let mut sandbox = Sandbox::new();
    sandbox.set("TROOP_LOG", "troop::fuse=trace");
    plant_many(&sandbox, (0..AGENTS).map(|n| format!("{n:04}")));
    let mut world = World::mounted(sandbox, &[]);
    wait_for("every agent", LIMIT, || world.names("agents").len() == AGENTS);
    let is_request = |line: &&str| line.contains(" op=\"");
    let before = world.mount().log().lines().filter(is_request).count();
    assert!(before > 0, "{}", world.mount().log());
    let said = world.sh("sh", "ls -l agents");
    let log = world.mount().log();
    let requests: Vec<&str> = log.lines().filter(is_request).skip(before).collect();
    assert_eq!(said.out.lines().filter(|line| line.starts_with("drwx------ ")).count(), AGENTS);
    assert!(!requests.is_empty() && requests.len() <= REQUESTS, "{} requests: {requests:#?}", requests.len());
}
