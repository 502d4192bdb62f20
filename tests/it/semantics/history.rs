//! History: what is written down, where, for how long, and by whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use troop::model::{Actor, Event, EventKind};
use troop::store::Journal;

use super::world::{LIMIT, World};
use crate::support::disk::SmallDisk;
use crate::support::{Sandbox, wait_for, wait_until};

/// `history` and `history.jsonl` are only ever appended to, and a reader that has reached the end gets
/// what is added later from the same descriptor. `tail -f` works; it has to look for itself, because
/// changes that agents make raise no inotify events. Each line of `history.jsonl` is a JSON object whose
/// `seq` is one more than that of the line before; where it is not, events are missing on disk.
#[test]
fn history_only_grows() {
    let world = World::with("a");
    let mut open = File::open(world.at("agents/a/history.jsonl")).unwrap();
    let mut read = String::new();
    open.read_to_string(&mut read).unwrap();
    let mut tail = world.shell("sh", "exec tail -n +1 -s 0.05 -f agents/a/history");
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("launched stand-in"), "{first}");
    let mut versions = vec![world.read("agents/a/history")];
    for n in 0..3 {
        world.write("agents/a/prompt", &format!("number {n}\nof three"));
        world.next_prompt("a", n);
        versions.push(world.read("agents/a/history"));
    }
    for pair in versions.windows(2) {
        assert!(pair[1].starts_with(&pair[0]) && pair[1].len() > pair[0].len(), "{pair:#?}");
    }
    let followed = lines.map(Result::unwrap).find(|line| line.contains("prompt: number 2"));
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert!(followed.is_some());
    // The prompt's second line is indented: one event stays one block.
    assert!(versions[3].contains("prompt: number 2\n    of three\n"), "{}", versions[3]);

    open.read_to_string(&mut read).unwrap();
    let events = world.history("agents/a");
    assert!(world.read("agents/a/history.jsonl").starts_with(&read) && read.contains("number 2"), "{read}");
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], n + 1, "{event}");
        assert_eq!(event["agent"], "a");
        event["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
}

/// A history that is full, with 128 KiB in one of its two formats, is moved aside as logrotate does it with a
/// log: its names lead to new files with other inode numbers, in which the next event is the first, `history.1`
/// and `history.jsonl.1` lead to those before, and what was there before is let go. Whoever has a file open
/// reads it to its end, whatever its name leads to by now. So `tail -F` gives every event once, and a
/// byte offset is a place in the file of one inode number. An event larger than that has a file to itself.
#[test]
fn a_full_history_is_moved_aside() {
    const PART: u64 = 128 << 10;
    let world = World::with("a");
    assert!(!world.names("agents/a").iter().any(|name| name.ends_with(".1")));
    let mut first = File::open(world.at("agents/a/history.jsonl")).unwrap();
    let mut text = File::open(world.at("agents/a/history")).unwrap();
    let mut tail = Follower::start(&world, "agents/a/history.jsonl");
    let mut journal = Journal::open(&journal_dir(&world, "a")).unwrap();
    let mut inodes = BTreeSet::from([first.metadata().unwrap().ino()]);
    let (mut last, mut before) = (0, None);
    // Somebody else writes; six events fill a part.
    for n in 0..20 {
        let mut event = event(&format!("{n} {}", "x".repeat(20_000)));
        journal.append(&mut event).unwrap();
        last = event.seq;
        tail.wait_for(last);
        let ino = fs::metadata(world.at("agents/a/history.jsonl")).unwrap().ino();
        if inodes.insert(ino) {
            before = Some(ino);
        }
    }
    assert!(inodes.len() > 3 && before.is_some(), "{inodes:?}");
    assert_eq!(tail.end(), (1..=last).collect::<Vec<_>>(), "tail -F gives every event once");

    // What is shown is the end without a hole, in two files of true sizes.
    for name in ["history.1", "history", "history.jsonl.1", "history.jsonl"] {
        let about = fs::metadata(world.at("agents/a").join(name)).unwrap();
        assert!(about.len() <= PART && about.len() == world.read(&format!("agents/a/{name}")).len() as u64, "{name}");
        assert!(world.names("agents/a").contains(&name.to_owned()));
    }
    let shown = seqs(&(world.read("agents/a/history.jsonl.1") + &world.read("agents/a/history.jsonl")));
    assert_eq!(shown, (last + 1 - shown.len() as u64..=last).collect::<Vec<_>>());
    assert!(shown.len() > 6);
    let texts = world.read("agents/a/history.1") + &world.read("agents/a/history");
    assert_eq!(texts.matches("  keys ").count(), shown.len());
    // Moved aside, a file is the same file.
    let moved = fs::metadata(world.at("agents/a/history.jsonl.1")).unwrap().ino();
    assert!(inodes.contains(&moved) && moved != fs::metadata(world.at("agents/a/history.jsonl")).unwrap().ino());

    // The first one, let go by all names, is there for who has it open.
    let about = first.metadata().unwrap();
    let mut read = String::new();
    first.read_to_string(&mut read).unwrap();
    assert_eq!((about.ino(), about.len()), (*inodes.iter().min().unwrap(), read.len() as u64));
    let seen = seqs(&read);
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>());
    read.clear();
    text.read_to_string(&mut read).unwrap();
    assert!(read.contains("launched stand-in") && read.len() as u64 == text.metadata().unwrap().len());

    // One event larger than a part.
    journal.append(&mut event(&"y".repeat(300_000))).unwrap();
    wait_for("the large event", LIMIT, || world.read("agents/a/history.jsonl").len() > 300_000);
    assert_eq!(world.history("agents/a").len(), 1);
}

/// On disk an agent's history is `session/troop/history.jsonl`, to which every troop process appends under a
/// lock. At 8 MiB it is moved aside to `history.jsonl.1`, and that one to `.2` and `.3`: an agent has at most
/// 32 MiB, and what is older is removed. Numbers never repeat, across files, processes and mounts. When it is
/// mounted, what is in the last MiB is shown; lines that are no events are passed over, there or by anybody who
/// reads the file.
#[test]
fn history_on_disk() {
    let mut world = World::with("a");
    world.write("agents/a/prompt", "before");
    world.next_prompt("a", 0);
    world.mount().end(nix::sys::signal::Signal::SIGKILL);
    let dir = journal_dir_on_disk(&world);
    // Killed in the middle of a line, and rubbish of others.
    File::options().append(true).open(dir.join("history.jsonl")).unwrap().write_all(b"\n[]\n{\"seq\":9").unwrap();
    let mut journal = Journal::open(&dir).unwrap();
    let mut last = 0;
    for n in 0..45 {
        let mut event = event(&format!("{n} {}", "x".repeat(1_000_000)));
        journal.append(&mut event).unwrap();
        last = event.seq;
    }
    let size = |name: &str| fs::metadata(dir.join(name)).map_or(0, |about| about.len());
    for name in ["history.jsonl", "history.jsonl.1", "history.jsonl.2", "history.jsonl.3"] {
        assert!((1_000_000..=8 << 20).contains(&size(name)), "{name}: {}", size(name));
    }
    assert!(!dir.join("history.jsonl.4").exists());
    world.mount_again();
    world.wait_status("a", "ready");
    let shown = |world: &World| {
        let before = fs::read_to_string(world.at("agents/a/history.jsonl.1")).unwrap_or_default();
        before + &world.read("agents/a/history.jsonl")
    };
    assert!(seqs(&shown(&world)).contains(&last), "{:?}", seqs(&shown(&world)));
    world.write("agents/a/prompt", "after");
    world.next_prompt("a", 1);
    let numbers = seqs(&shown(&world));
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers[0] <= last, "{numbers:?}");
    let after = world.history("agents/a").into_iter().find(|event| event["text"] == "after").unwrap();
    assert!(after["seq"].as_u64() > Some(last), "{after}");
    // Moved aside while it is mounted, by somebody else.
    for n in 0..10 {
        journal.append(&mut event(&format!("more {n} {}", "x".repeat(1_000_000)))).unwrap();
    }
    world.write("agents/a/prompt", "at last");
    world.next_prompt("a", 2);
    let on_disk = seqs(&fs::read_to_string(dir.join("history.jsonl")).unwrap());
    assert_eq!(world.history("agents/a").last().unwrap()["seq"].as_u64(), on_disk.last().copied());
}

/// `history.jsonl` at the top has the events of every agent there is a record of, each line as it is in the agent's
/// own file, in the order in which they become known; what was on disk when it was mounted comes first, by time. It is moved
/// aside to `history.jsonl.1` at 1 MiB. `seq` counts for each agent: with `agent_id` it says which events a
/// program knows already when it begins anew, after a mount or a move; until then the byte offset does.
#[test]
fn one_history_of_all_agents() {
    let mut world = World::with("a");
    world.launch("b");
    let mut tail = Follower::start(&world, "history.jsonl");
    for n in 0..2 {
        for agent in ["a", "b"] {
            world.write(&format!("agents/{agent}/prompt"), &format!("number {n}"));
            world.next_prompt(agent, n);
        }
    }
    world.write("agents/b/control", "stop\n");
    world.wait_there("stopped/b");
    // All lines of both, each as it is there, and each agent's in its order.
    let check = |world: &World| {
        let own = |path: &str| world.read(&format!("{path}/history.jsonl"));
        let complete = || {
            let (all, a, b) = (world.read("history.jsonl"), own("agents/a"), own("stopped/b"));
            let of = |name: &str| -> String {
                let mark = format!("\"agent\":\"{name}\"");
                all.lines().filter(|line| line.contains(&mark)).map(|line| format!("{line}\n")).collect()
            };
            if of("a") == a && of("b") == b && all.len() == a.len() + b.len() { Ok(all) } else { Err((all, a, b)) }
        };
        wait_until("both histories in one", LIMIT, complete)
    };
    let all = check(&world);
    assert_eq!(fs::metadata(world.at("history.jsonl")).unwrap().len(), all.len() as u64);
    let lines = all.lines().count();
    wait_for("tail -F", LIMIT, || tail.lines().len() >= lines);
    assert_eq!(tail.lines()[..lines].join("\n") + "\n", all);
    tail.end();
    assert!(!world.names("").contains(&"history.jsonl.1".to_owned()));

    // Mounted again it begins with what is on disk, by time.
    world.mount().end(nix::sys::signal::Signal::SIGTERM);
    world.mount_again();
    world.wait_status("a", "ready");
    let again = check(&world);
    let times = |text: &str| -> Vec<jiff::Timestamp> {
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|event| event["at"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert!(times(&again).is_sorted(), "{again}");
    assert!(again.lines().count() >= lines);

    // A record that goes and comes back brings nothing twice.
    let record = fs::read_link(world.at("agents/a/record")).unwrap();
    let bytes = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    world.wait_gone("agents/a");
    fs::write(&record, bytes).unwrap();
    world.wait_there("agents/a");
    wait_for("its history", LIMIT, || world.read("agents/a/history.jsonl").contains("number 1"));
    world.wait_status("a", "ready");
    let all = world.read("history.jsonl");
    let distinct: BTreeSet<&str> = all.lines().collect();
    assert_eq!(distinct.len(), all.lines().count(), "{all}");

    // Full, it is moved aside.
    let mut journal = Journal::open(&journal_dir(&world, "a")).unwrap();
    for n in 0..3 {
        journal.append(&mut event(&format!("{n} {}", "x".repeat(400_000)))).unwrap();
    }
    world.wait_there("history.jsonl.1");
    let moved = world.read("history.jsonl.1");
    assert!(moved.starts_with(&all) && moved.len() <= 1 << 20, "{}", moved.len());
}

/// Every event says who: `mount`, with the user, the process that wrote and what that calls itself (as far as the
/// kernel lets it be seen: the shell, for `echo x > prompt`); `cli`, with the user and the process of the command;
/// or `observed`, which nobody did: it follows from records, tmux and the screen.
#[test]
fn who_did_what() {
    let world = World::with("a");
    for shell in ["sh", "bash"] {
        world.sent(shell, &format!("echo from {shell} > agents/a/prompt"));
        let prompt = world.history("agents/a").into_iter().rfind(|event| event["event"] == "prompt").unwrap();
        let actor = &prompt["actor"];
        assert_eq!((&actor["via"], &actor["program"]), (&"mount".into(), &shell.into()), "{prompt}");
        assert_eq!(actor["uid"], nix::unistd::getuid().as_raw());
        let words = format!("mount uid={} pid={} ({shell})  prompt: from {shell}\n", actor["uid"], actor["pid"]);
        assert!(world.read("agents/a/history").contains(&words), "{words}\n{}", world.read("agents/a/history"));
    }
    // A name is what a process says it is.
    let script = world.sandbox().work().join("evil");
    fs::write(&script, "#!/bin/sh\nprintf 'x\\033]0;y' > /proc/$$/comm; echo from evil > agents/a/prompt\n").unwrap();
    world.sent("sh", &format!("sh {}", script.display()));
    assert!(
        world.read("agents/a/history").contains("(x]0;y)  prompt: from evil"),
        "{}",
        world.read("agents/a/history")
    );
    let before = world.prompts("a").len();
    assert_eq!(world.troop(&["prompt", "a", "from", "the", "command", "line"]).code, Some(0));
    world.next_prompt("a", before);
    let text = world.read("agents/a/history");
    assert!(
        text.lines().any(|line| line.contains("  cli uid=") && line.ends_with("prompt: from the command line")),
        "{text}"
    );
    assert!(text.lines().any(|line| line.contains("  observed  status ")), "{text}");
}

/// A disk that is full or cannot be written stops no agent, and no prompt, key or interrupt. The history goes on in the
/// memory of the mount, with what was done there and seen, and says at the first event that it could not write (`journal_failed`) and why; at the first that it
/// can write again it says how many are missing on disk (`journal_resumed`). `troop doctor` names the disk.
/// Only a new agent cannot be launched there, because there is no room for what describes it.
#[test]
fn a_full_disk() {
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::on(&sandbox.troop_home()) else { return };
    let world = World::mounted(sandbox, &[]);
    // Taken away before the sandbox is, which could not remove what is mounted on.
    let disk = disk;
    world.launch("a");
    world.write("agents/a/prompt", "before");
    world.next_prompt("a", 0);
    let journal = journal_dir(&world, "a").join("history.jsonl");
    disk.fill(&journal);

    world.write("agents/a/prompt", "while it is full");
    assert_eq!(world.next_prompt("a", 1), "while it is full");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    world.write("agents/a/control", "interrupt\n");
    world.wait_status("a", "ready");
    world.write("agents/a/keys", "x\nBSpace\n");
    let doctor = world.troop(&["doctor"]);
    assert!(doctor.out.contains("the disk is full"), "{doctor:?}");
    let launch = world.troop(&["launch", "b", "--", "/bin/sh"]);
    assert!(launch.code != Some(0) && launch.err.contains("No space left"), "{launch:?}");
    assert_eq!(world.names("agents"), ["a"]);
    let counted = |world: &World| -> BTreeMap<String, usize> {
        world.history("agents/a").iter().fold(BTreeMap::new(), |mut counts, event| {
            *counts.entry(event["event"].as_str().unwrap().to_owned()).or_default() += 1;
            counts
        })
    };
    wait_for("the keys in the history", LIMIT, || counted(&world).contains_key("keys"));
    let counts = counted(&world);
    assert_eq!((counts["prompt"], counts["interrupted"], counts["journal_failed"]), (3, 1, 1), "{counts:?}");
    assert!(!counts.contains_key("journal_resumed"), "{counts:?}");
    assert!(world.read("agents/a/history").contains("not written to disk until that works again: cannot append"));
    let on_disk = || seqs(&fs::read_to_string(&journal).unwrap());
    assert!(!fs::read_to_string(&journal).unwrap().contains("while it is full"));

    disk.free();
    let before = world.prompts("a").len();
    world.write("agents/a/prompt", "after");
    world.next_prompt("a", before);
    wait_for("the history to be written", LIMIT, || {
        on_disk().last() == seqs(&world.read("agents/a/history.jsonl")).last()
    });
    let events = world.history("agents/a");
    let resumed: Vec<&Value> = events.iter().filter(|event| event["event"] == "journal_resumed").collect();
    let shown: BTreeSet<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(shown, (1..=events.len() as u64).collect());
    let missing = shown.difference(&on_disk().into_iter().collect()).count();
    assert_eq!(resumed.len(), 1, "{events:#?}");
    assert_eq!(resumed[0]["missing"], missing);
    assert!(fs::read_to_string(&journal).unwrap().contains("after"));
    let doctor = world.troop(&["doctor"]);
    assert!(!doctor.out.contains("the disk is full"), "{doctor:?}");
}

#[test]
fn a_journal_without_numbers_stops_nobody() {
    let world = World::with("a");
    let line = serde_json::to_string(&Event { seq: u64::MAX, ..event("the last one") }).unwrap();
    let path = journal_dir(&world, "a").join("history.jsonl");
    File::options().append(true).open(path).unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    wait_for("the last number", LIMIT, || world.read("agents/a/history").contains("the last one"));
    world.write("agents/a/prompt", "after");
    assert_eq!(world.next_prompt("a", 0), "after");
    let text = world.read("agents/a/history");
    assert!(text.contains("prompt: after") && text.contains("no number left"), "{text}");
}

fn event(text: &str) -> Event {
    Event {
        seq: 0,
        at: jiff::Timestamp::now(),
        agent: "a".into(),
        agent_id: "by-somebody-else".into(),
        actor: Actor::Cli { uid: 1, pid: 2 },
        kind: EventKind::Keys { keys: vec![text.into()] },
    }
}

/// The numbers of the events in `text`; lines that are none are passed over.
fn seqs(text: &str) -> Vec<u64> {
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| event["seq"].as_u64()).collect()
}

fn journal_dir(world: &World, agent: &str) -> PathBuf {
    fs::read_link(world.at("agents").join(agent).join("session")).unwrap().join("troop")
}

/// The journal of the only agent, found without a mount.
fn journal_dir_on_disk(world: &World) -> PathBuf {
    let mut left = vec![world.sandbox().troop_home()];
    while let Some(dir) = left.pop() {
        if dir.join("history.jsonl").exists() {
            return dir;
        }
        left.extend(fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    panic!("no journal");
}

/// A `tail -F` in a shell.
struct Follower {
    tail: Child,
    received: Receiver<String>,
    lines: Vec<String>,
}

impl Follower {
    fn start(world: &World, file: &str) -> Self {
        let script = format!("exec tail -n +1 -s 0.02 --max-unchanged-stats=1 -F {file}");
        let mut tail = world.shell("sh", &script).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        let (sender, received) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { tail, received, lines: Vec::new() }
    }

    fn lines(&mut self) -> &[String] {
        self.lines.extend(self.received.try_iter());
        &self.lines
    }

    #[track_caller]
    fn wait_for(&mut self, seq: u64) {
        wait_until("tail -F", LIMIT, || {
            let last = seqs(self.lines().last().map_or("", String::as_str));
            if last == [seq] { Ok(()) } else { Err((last, seq)) }
        });
    }

    /// The numbers it gave.
    fn end(&mut self) -> Vec<u64> {
        seqs(&self.lines().join("\n"))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.tail.kill();
        let _ = self.tail.wait();
    }
}
