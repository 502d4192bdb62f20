//! Journals that are moved aside: every event once and in order, whoever reads and whatever is killed.

use super::journal::{append, event, texts};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::Path;
use troop::model::Event;
use troop::store::Journal;
use troop::store::journal::{HISTORY_FILE, Limits, MAX_EVENT_BYTES};

/// Files of about three events.
const SMALL: Limits = Limits { file_bytes: 600, old_files: 3 };

fn open(dir: &Path, limits: Limits) -> Journal {
    Journal::open_with(dir, limits).unwrap()
}

fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

/// The journal's files, the oldest first.
fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_by_key(|name| {
        std::cmp::Reverse(name.strip_prefix("history.jsonl.").map_or(0, |n| n.parse::<u32>().unwrap()))
    });
    names
}

#[test]
fn the_bound_is_kept_and_the_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path(), SMALL);
    for n in 1..=60 {
        assert_eq!(append(&mut journal, &format!("event {n}")), n);
        let size = |name: &String| fs::metadata(dir.path().join(name)).unwrap().len();
        let names = files(dir.path());
        assert!(names.len() <= 4 && names.iter().all(|name| size(name) <= SMALL.file_bytes), "{names:?}");
    }
    assert_eq!(files(dir.path()), ["history.jsonl.3", "history.jsonl.2", "history.jsonl.1", "history.jsonl"]);
    let on_disk: String =
        files(dir.path()).iter().map(|name| fs::read_to_string(dir.path().join(name)).unwrap()).collect();
    let numbers: Vec<u64> = on_disk.lines().map(|line| serde_json::from_str::<Event>(line).unwrap().seq).collect();
    assert_eq!(numbers, (61 - numbers.len() as u64..=60).collect::<Vec<_>>());
    assert_eq!(seqs(&open(dir.path(), SMALL).load_tail(u64::MAX).unwrap()), numbers);
    assert_eq!(append(&mut open(dir.path(), SMALL), "again"), 61);
}

#[test]
fn one_event_may_fill_a_file_and_no_more_than_32_mib_are_kept() {
    let limits = Limits::default();
    assert_eq!((limits.file_bytes, limits.old_files), (MAX_EVENT_BYTES as u64, 3));
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path(), SMALL);
    let large = "x".repeat(5000);
    for text in ["a", &large, "b"] {
        append(&mut journal, text);
    }
    assert_eq!(files(dir.path()).len(), 3);
    assert_eq!(texts(&open(dir.path(), SMALL).load_tail(u64::MAX).unwrap()), ["a", &large, "b"]);
}

#[test]
fn the_tail_goes_back_into_older_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path(), SMALL);
    for n in 0..9 {
        append(&mut journal, &n.to_string());
    }
    let tail = |bytes| seqs(&journal.load_tail(bytes).unwrap());
    let current = fs::metadata(journal.path()).unwrap().len();
    let in_current = tail(current).len();
    assert!(in_current < 9 && tail(current + 1).len() == in_current);
    assert_eq!(tail(current + 300).len(), in_current + 1);
    assert_eq!(tail(u64::MAX), (1..=9).collect::<Vec<_>>());
}

/// Every state of the directory that a process killed between two steps leaves.
#[test]
fn a_process_killed_while_it_moves_files_leaves_no_hole_and_no_double() {
    for steps in 0..=4 {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path(), SMALL);
        let mut reader = open(dir.path(), SMALL);
        let mut written = 0;
        while files(dir.path()).len() < 4 {
            written = append(&mut journal, "x");
        }
        // The lock of a killed process is gone, and what it did stays: the first renames, in its order.
        let moves = [(2, 3), (1, 2), (0, 1)];
        let name = |n: u32| dir.path().join(if n == 0 { HISTORY_FILE.into() } else { format!("history.jsonl.{n}") });
        let kept: Vec<Event> = reader.read_new().unwrap();
        assert_eq!(seqs(&kept), (1..=written).collect::<Vec<_>>());
        for (from, to) in moves.into_iter().take(steps) {
            fs::rename(name(from), name(to)).unwrap();
        }
        if steps == 4 {
            // And the new file, still empty.
            fs::write(name(0), "").unwrap();
        }
        let mut other = open(dir.path(), SMALL);
        let tail = seqs(&other.load_tail(u64::MAX).unwrap());
        assert!(tail.windows(2).all(|pair| pair[1] == pair[0] + 1), "{steps}: {tail:?}");
        assert_eq!(tail.last(), Some(&written), "{steps}");
        assert_eq!(append(&mut other, "other"), written + 1, "{steps}");
        assert_eq!(append(&mut journal, "mine"), written + 2, "{steps}");
        for _ in 0..8 {
            append(&mut other, "more");
        }
        assert_eq!(seqs(&reader.read_new().unwrap()), (written + 1..=written + 10).collect::<Vec<_>>(), "{steps}");
        assert_eq!(seqs(&journal.read_new().unwrap()).len(), 9, "{steps}");
        let names = files(dir.path());
        assert!(names.len() <= 4, "{names:?}");
    }
}

#[test]
fn a_torn_last_line_of_a_file_that_is_moved_counts_when_only_its_newline_is_missing() {
    for (torn, counts) in
        [(serde_json::to_vec(&Event { seq: 2, ..event("two") }).unwrap(), true), (b"{\"seq\":2,".to_vec(), false)]
    {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, mut reader) = (open(dir.path(), SMALL), open(dir.path(), SMALL));
        append(&mut journal, "one");
        fs::OpenOptions::new().append(true).open(journal.path()).unwrap().write_all(&torn).unwrap();
        fs::rename(journal.path(), dir.path().join("history.jsonl.1")).unwrap();
        let next = if counts { 3 } else { 2 };
        assert_eq!(append(&mut open(dir.path(), SMALL), "next"), next);
        assert_eq!(append(&mut journal, "mine"), next + 1);
        assert_eq!(seqs(&reader.read_new().unwrap()), (1..=next + 1).collect::<Vec<_>>());
        assert_eq!(seqs(&open(dir.path(), SMALL).load_tail(u64::MAX).unwrap()), (1..=next + 1).collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_moved_refuses_the_event_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path(), SMALL);
    let mut other = open(dir.path(), SMALL);
    fs::create_dir_all(dir.path().join("history.jsonl.3/something")).unwrap();
    let mut last = 0;
    let refused = loop {
        let mut event = event("x");
        match journal.append(&mut event) {
            Ok(()) => last = event.seq,
            Err(error) => break error,
        }
    };
    assert!(refused.sentence().contains("cannot move aside"), "{refused}");
    assert_eq!(seqs(&other.read_new().unwrap()), (1..=last).collect::<Vec<_>>());
    fs::remove_dir_all(dir.path().join("history.jsonl.3")).unwrap();
    assert_eq!(append(&mut journal, "y"), last + 1);
}

#[test]
fn a_number_that_was_given_elsewhere_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path(), SMALL);
    append(&mut journal, "one");
    let mut later = Event { seq: 5, ..event("five") };
    journal.append(&mut later).unwrap();
    assert_eq!((later.seq, append(&mut journal, "six")), (5, 6));
}

#[test]
fn many_writers_and_readers_across_many_files() {
    const WRITERS: u64 = 3;
    const EVENTS: u64 = 100;
    // So many are kept that no reader can be too slow.
    let limits = Limits { file_bytes: 2000, old_files: 200 };
    let dir = tempfile::tempdir().unwrap();
    let mut readers: Vec<Journal> = (0..2).map(|_| open(dir.path(), limits)).collect();
    let mut seen = vec![Vec::new(); 2];
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let mut journal = open(dir.path(), limits);
                scope.spawn(move || {
                    let mut numbers = Vec::new();
                    for n in 0..EVENTS {
                        numbers.push(append(&mut journal, &format!("{writer}-{n}")));
                        numbers.extend(seqs(&journal.read_new().unwrap()));
                    }
                    numbers.extend(seqs(&journal.read_new().unwrap()));
                    numbers.sort_unstable();
                    numbers.dedup();
                    numbers.len()
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            for (reader, seen) in readers.iter_mut().zip(&mut seen) {
                seen.extend(seqs(&reader.read_new().unwrap()));
            }
        }
        for writer in writers {
            assert!(writer.join().unwrap() as u64 >= EVENTS);
        }
    });
    for (reader, seen) in readers.iter_mut().zip(&mut seen) {
        seen.extend(seqs(&reader.read_new().unwrap()));
        assert_eq!(*seen, (1..=WRITERS * EVENTS).collect::<Vec<_>>());
    }
    assert!(files(dir.path()).len() > 20);
}

/// What one of several processes does next.
#[derive(Debug, Clone)]
enum Step {
    Append(usize, usize),
    Read(usize),
    Reopen(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, 0..300usize).prop_map(|(who, size)| Step::Append(who, size)),
        2 => (0..3usize).prop_map(Step::Read),
        1 => (0..3usize).prop_map(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_event_comes_once_and_in_order_to_everybody(steps in prop::collection::vec(step(), 1..80), keeps_all: bool) {
        let limits = Limits { file_bytes: 700, old_files: if keeps_all { 100 } else { 2 } };
        let dir = tempfile::tempdir().unwrap();
        let mut journals: Vec<Journal> = (0..3).map(|_| open(dir.path(), limits)).collect();
        // What each process has seen or written since it was opened, and where that begins.
        let mut seen: Vec<Vec<u64>> = vec![Vec::new(); 3];
        let mut from = [0u64; 3];
        let mut last = 0;
        let merge = |seen: &mut Vec<u64>, new: Vec<u64>, own: &mut Vec<u64>| {
            // Its own are not given back to it, and everything comes in order.
            prop_assert!(new.windows(2).all(|pair| pair[0] < pair[1]) && new.iter().all(|seq| !own.contains(seq)), "{new:?} {own:?}");
            seen.extend(new);
            Ok(())
        };
        let mut own: Vec<Vec<u64>> = vec![Vec::new(); 3];
        for step in steps {
            match step {
                Step::Append(who, size) => {
                    let seq = append(&mut journals[who], &"x".repeat(size));
                    prop_assert_eq!(seq, last + 1);
                    last = seq;
                    own[who].push(seq);
                }
                Step::Read(who) => {
                    let new = seqs(&journals[who].read_new().unwrap());
                    merge(&mut seen[who], new, &mut own[who])?;
                }
                Step::Reopen(who) => {
                    journals[who] = open(dir.path(), limits);
                    let tail = seqs(&journals[who].load_tail(u64::MAX).unwrap());
                    prop_assert_eq!(tail.last().copied().unwrap_or(0), last);
                    prop_assert!(tail.windows(2).all(|pair| pair[1] == pair[0] + 1));
                    (seen[who], own[who], from[who]) = (Vec::new(), Vec::new(), last);
                }
            }
        }
        for who in 0..3 {
            let new = seqs(&journals[who].read_new().unwrap());
            merge(&mut seen[who], new, &mut own[who])?;
            let mut all = [seen[who].clone(), own[who].clone()].concat();
            all.sort_unstable();
            if keeps_all {
                prop_assert_eq!(all, (from[who] + 1..=last).collect::<Vec<_>>());
            } else {
                // A reader that is too slow misses what is gone, and sees nothing twice.
                prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }
}
