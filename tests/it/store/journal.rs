//! Journals: several writers, torn lines, tails.

use super::*;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use troop::Kind;
use troop::model::{Actor, Event, EventKind};
use troop::store::Journal;
use troop::store::journal::{JOURNAL_LOCK_LIMIT, MAX_EVENT_BYTES, MAX_PENDING};

pub fn event(text: &str) -> Event {
    Event {
        seq: 0,
        at: now(),
        agent: "alice".into(),
        agent_id: "id".into(),
        actor: Actor::Cli { uid: 1, pid: 2 },
        kind: EventKind::Prompt { prompt_id: "p".into(), turn: 1, text: text.into() },
    }
}

pub fn append(journal: &mut Journal, text: &str) -> u64 {
    let mut event = event(text);
    journal.append(&mut event).unwrap();
    event.seq
}

pub fn texts(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .map(|event| match &event.kind {
            EventKind::Prompt { text, .. } => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn spoil(journal: &Journal, bytes: &[u8]) {
    std::fs::OpenOptions::new().append(true).open(journal.path()).unwrap().write_all(bytes).unwrap();
}

#[test]
fn events_are_numbered_and_come_back_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("troop");
    let mut journal = Journal::open(&ours).unwrap();
    assert_eq!(journal.load_tail(1000).unwrap(), []);
    assert_eq!([append(&mut journal, "one\nline"), append(&mut journal, "two")], [1, 2]);
    assert_eq!(journal.read_new().unwrap(), [], "our own are not new");
    assert_eq!(std::fs::metadata(&ours).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(journal.path()).unwrap().lines().count(), 2);
    let mut again = Journal::open(&ours).unwrap();
    assert_eq!(texts(&again.load_tail(u64::MAX).unwrap()), ["one\nline", "two"]);
    assert_eq!(again.read_new().unwrap(), []);
    assert_eq!(append(&mut again, "three"), 3);
    assert_eq!(texts(&journal.read_new().unwrap()), ["three"]);
    assert_eq!(append(&mut journal, "four"), 4);
}

#[test]
fn the_tail_begins_at_a_line_and_never_before_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    for text in ["a", "b", "c"] {
        append(&mut journal, text);
    }
    let line = std::fs::metadata(journal.path()).unwrap().len() / 3;
    let tail = |bytes| journal.load_tail(bytes).unwrap();
    assert_eq!(texts(&tail(line)), ["c"]);
    assert_eq!(texts(&tail(line - 1)), Vec::<&str>::new());
    assert_eq!(texts(&tail(2 * line + 1)), ["b", "c"]);
    assert_eq!(texts(&tail(3 * line)), ["a", "b", "c"]);
}

#[test]
fn a_torn_last_line_is_closed_and_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "one");
    spoil(&journal, br#"{"seq":2,"at":"2026-"#);
    let mut writer = Journal::open(dir.path()).unwrap();
    assert_eq!([append(&mut writer, "next"), append(&mut writer, "last")], [2, 3]);
    assert_eq!(texts(&journal.read_new().unwrap()), ["next", "last"]);
    let text = std::fs::read_to_string(journal.path()).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn a_line_that_lacks_only_its_newline_keeps_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "one");
    let mut two = serde_json::to_vec(&Event { seq: 2, ..event("two") }).unwrap();
    spoil(&journal, &two);
    assert_eq!(journal.read_new().unwrap(), [], "it may still be growing");
    assert_eq!(append(&mut journal, "three"), 3);
    assert_eq!(texts(&journal.read_new().unwrap()), ["two"]);
    two.clear();
    let again = Journal::open(dir.path()).unwrap();
    assert_eq!(texts(&again.load_tail(u64::MAX).unwrap()), ["one", "two", "three"]);
}

#[test]
fn rubbish_of_others_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "one");
    spoil(&journal, b"\n\xff\xfe\n{}\n[1]\n{\"seq\":-1}\n");
    let mut other = Journal::open(dir.path()).unwrap();
    assert_eq!(append(&mut other, "two"), 2);
    assert_eq!(texts(&journal.read_new().unwrap()), ["two"]);
}

#[test]
fn what_a_newer_program_writes_keeps_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "one");
    let newer = |seq: u64, key: &str, value: Value| {
        let mut line = serde_json::to_value(Event { seq, ..event("newer") }).unwrap();
        line[key] = value;
        format!("{line}\n").into_bytes()
    };
    // A field that nobody knows yet hides nothing; an event of a kind that nobody knows is passed over.
    spoil(&journal, &newer(2, "mood", serde_json::json!({"of": "a newer program"})));
    spoil(&journal, &newer(3, "event", "dreamt".into()));
    assert_eq!(texts(&journal.read_new().unwrap()), ["newer"]);
    assert_eq!(append(&mut journal, "four"), 4);
    spoil(&journal, &newer(5, "event", "dreamt".into()));
    let mut again = Journal::open(dir.path()).unwrap();
    assert_eq!(texts(&again.load_tail(u64::MAX).unwrap()), ["one", "newer", "four"]);
    assert_eq!(append(&mut again, "six"), 6);
    assert_eq!(append(&mut journal, "seven"), 7);
}

/// 1 GiB without a line, in no room on disk.
#[test]
fn a_huge_journal_is_neither_read_nor_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "one");
    spoil(&journal, b"\n");
    let file = std::fs::OpenOptions::new().write(true).open(journal.path()).unwrap();
    file.set_len(1 << 30).unwrap();
    let began = std::time::Instant::now();
    let mut again = Journal::open(dir.path()).unwrap();
    assert_eq!(again.load_tail(1 << 20).unwrap(), []);
    append(&mut again, "next");
    // It was moved aside as one that is full.
    assert!(std::fs::metadata(again.path()).unwrap().len() < 1000);
    assert_eq!(texts(&again.load_tail(1000).unwrap()), ["next"]);
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn many_writers_share_one_journal() {
    const WRITERS: u64 = 4;
    const EVENTS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let mut watching = Journal::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut journal = Journal::open(dir.path()).unwrap();
            scope.spawn(move || {
                for n in 0..EVENTS {
                    append(&mut journal, &format!("{writer}-{n}"));
                }
            });
        }
    });
    let seen = watching.read_new().unwrap();
    let numbers: Vec<u64> = seen.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=WRITERS * EVENTS).collect::<Vec<_>>());
    let mut texts = texts(&seen);
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len() as u64, WRITERS * EVENTS);
}

#[test]
fn an_event_larger_than_the_limit_is_refused_and_a_large_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "small");
    let refused = journal.append(&mut event(&"x".repeat(MAX_EVENT_BYTES))).unwrap_err();
    assert_eq!(refused.kind(), Kind::TooLarge);
    // A prompt at its limit, all of it escaped.
    let large = "\u{1}".repeat(1024 * 1024);
    assert_eq!(append(&mut journal, &large), 2);
    let mut again = Journal::open(dir.path()).unwrap();
    assert_eq!(append(&mut again, "after"), 3);
    assert_eq!(texts(&again.load_tail(u64::MAX).unwrap()), ["small", &large, "after"]);
}

#[test]
fn a_journal_that_was_removed_or_emptied_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "one");
    std::fs::remove_file(journal.path()).unwrap();
    assert_eq!(append(&mut journal, "two"), 2);
    assert_eq!(texts(&Journal::open(dir.path()).unwrap().load_tail(u64::MAX).unwrap()), ["two"]);
    std::fs::write(journal.path(), "").unwrap();
    assert_eq!(append(&mut journal, "three"), 3);
    assert_eq!(texts(&Journal::open(dir.path()).unwrap().load_tail(u64::MAX).unwrap()), ["three"]);
}

#[test]
fn what_nobody_asks_for_does_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut idle, mut busy) = (Journal::open(dir.path()).unwrap(), Journal::open(dir.path()).unwrap());
    for n in 0..=MAX_PENDING {
        append(&mut busy, &n.to_string());
    }
    append(&mut idle, "mine");
    let seen = idle.read_new().unwrap();
    assert_eq!((seen.len(), seen[0].seq), (MAX_PENDING, 2), "the oldest gave way");
}

#[test]
fn a_process_that_keeps_the_lock_is_waited_for_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    append(&mut journal, "one");
    let file = std::fs::File::open(journal.path()).unwrap();
    let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let mut refused = || {
        let begin = std::time::Instant::now();
        assert_eq!(journal.append(&mut event("two")).unwrap_err().kind(), Kind::TimedOut);
        begin.elapsed()
    };
    assert!(refused() >= JOURNAL_LOCK_LIMIT && refused() < JOURNAL_LOCK_LIMIT);
    drop(held);
    assert_eq!(append(&mut journal, "two"), 2);
    assert_eq!(texts(&Journal::open(dir.path()).unwrap().load_tail(u64::MAX).unwrap()), ["one", "two"]);
}

#[test]
fn a_place_that_takes_no_journal_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert!(Journal::open(&dir.path().join("file/troop")).is_err());
    nix::unistd::mkfifo(&dir.path().join("history.jsonl"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(Journal::open(dir.path()).is_err());
}
