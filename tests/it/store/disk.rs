//! Journals and locks where the disk takes nothing.

use super::journal::{append, event, texts};
use crate::support::disk::SmallDisk;
use std::time::Duration;
use troop::Kind;
use troop::store::{AgentLock, Journal};

#[test]
fn a_full_disk_tears_no_line_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::on(dir.path()) else { return };
    let (mut journal, mut reader) = (Journal::open(dir.path()).unwrap(), Journal::open(dir.path()).unwrap());
    append(&mut journal, "one");
    disk.fill(journal.path());
    // Room for a part of the line.
    disk.leave(4096);
    let full = std::fs::read(journal.path()).unwrap();
    let refused = journal.append(&mut event(&"x".repeat(9000))).unwrap_err();
    assert!(refused.sentence().contains("cannot append to") && refused.sentence().contains("No space"), "{refused}");
    assert_eq!(std::fs::read(journal.path()).unwrap(), full);
    assert_eq!(texts(&reader.read_new().unwrap()), ["one"]);
    disk.free();
    assert_eq!(append(&mut journal, "two"), 2);
    assert_eq!(texts(&reader.read_new().unwrap()), ["two"]);
    assert_eq!(texts(&Journal::open(dir.path()).unwrap().load_tail(u64::MAX).unwrap()), ["one", "two"]);
}

#[test]
fn what_can_only_be_read_is_read_and_written_when_it_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::on(dir.path()) else { return };
    append(&mut Journal::open(dir.path()).unwrap(), "one");
    disk.set_read_only(true);
    let mut journal = Journal::open(dir.path()).unwrap();
    assert_eq!(texts(&journal.load_tail(u64::MAX).unwrap()), ["one"]);
    let refused = journal.append(&mut event("two")).unwrap_err();
    assert!(refused.sentence().contains("can only be read"), "{refused}");
    disk.set_read_only(false);
    assert_eq!(append(&mut journal, "two"), 2);
    assert_eq!(texts(&Journal::open(dir.path()).unwrap().load_tail(u64::MAX).unwrap()), ["one", "two"]);
}

#[test]
fn an_agent_is_locked_where_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::on(dir.path()) else { return };
    let (with, without) = (dir.path().join("with"), dir.path().join("without"));
    std::fs::create_dir_all(&without).unwrap();
    drop(AgentLock::acquire(&with, Duration::ZERO).unwrap());
    disk.set_read_only(true);
    for root in [with, without] {
        let held = AgentLock::acquire(&root, Duration::ZERO).unwrap();
        assert_eq!(AgentLock::acquire(&root, Duration::ZERO).unwrap_err().kind(), Kind::TimedOut);
        drop(held);
        AgentLock::acquire(&root, Duration::ZERO).unwrap();
    }
}
