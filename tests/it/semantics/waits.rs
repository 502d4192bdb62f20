//! Waiting: the files of `wait/`, `troop wait`, and how a wait ends.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use troop::model::{Status, TurnOutcome};

use super::world::{LIMIT, World, errno, have, said};
use crate::support::made::Made;
use crate::support::user::{USUAL_DEVICE, as_user};
use crate::support::{Sandbox, wait_until};

/// Within that a signal ends a wait where other tests have the processors as well; the second is
/// measured (`scripts/bench waits`).
const SIGNAL_LIMIT: Duration = Duration::from_secs(10);

/// `cat FILE`, once it waits for the filesystem.
#[track_caller]
fn cat(sandbox: &Sandbox, path: &Path) -> Child {
    waiting(sandbox.command("cat").arg(path))
}

#[track_caller]
fn waiting(command: &mut Command) -> Child {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it to wait", LIMIT, || waits_in_the_kernel(child.id()));
    child
}

/// Whether a thread waits for what a FUSE server answers to its read: a signal that a shell handles
/// while it still opens the file does not end the read after it.
fn waits_in_the_kernel(thread: u32) -> Result<(), String> {
    let file = |name: &str| fs::read_to_string(format!("/proc/{thread}/{name}")).unwrap_or_default();
    let (wchan, call) = (file("wchan"), file("syscall"));
    let reads = call.split(' ').next() == Some(&libc::SYS_read.to_string());
    if reads && wchan.contains("request_wait_answer") { Ok(()) } else { Err(format!("{wchan} {call}")) }
}

#[track_caller]
fn out(child: Child) -> String {
    let said = said(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    said.out
}

/// A thread that reads a file and waits, and when it went on.
fn reader(path: &Path) -> JoinHandle<(String, Instant)> {
    let (path, (told, tid)) = (path.to_owned(), std::sync::mpsc::channel());
    let thread = std::thread::spawn(move || {
        let mut file = File::open(path).unwrap();
        told.send(nix::unistd::gettid().as_raw().unsigned_abs()).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (text, Instant::now())
    });
    let tid = tid.recv().unwrap();
    wait_until("it to wait", LIMIT, || waits_in_the_kernel(tid));
    thread
}

/// Reading `ready`, `active`, `blocked`, `settled`, `gone` or `change` in the directory `wait` of an agent
/// waits until that holds, and gives one line: `condition status turn outcome`. Then it ends; opened again it
/// is another wait. What holds already gives its line at once. `settled` is whatever needs a person: ready,
/// blocked, down, gone, or unknown for 30 s. `change` is another status, another last turn, or another outcome
/// of it than when the file was opened. `turn` is the number of the last turn and `outcome` how it ended;
/// `-` stands for none.
#[test]
fn waiting_for_an_agent() {
    let world = World::with("a");
    let sandbox = world.sandbox();
    let is = |line: &str, condition: &str, status: &str| {
        let words: Vec<&str> = line.strip_suffix('\n').unwrap().split(' ').collect();
        assert_eq!((words.len(), words[0], words[1]), (4, condition, status), "{line:?}");
    };
    let at = |condition: &str| world.at("agents/a/wait").join(condition);
    is(&world.read("agents/a/wait/ready"), "ready", "ready");
    is(&world.read("agents/a/wait/settled"), "settled", "ready");
    let [active, blocked, change] = ["active", "blocked", "change"].map(|condition| cat(sandbox, &at(condition)));
    world.write("agents/a/prompt", "sim:work=300 sim:ask sim:work=300");
    is(&out(change), "change", "pending");
    is(&out(active), "active", "active");
    is(&out(blocked), "blocked", "blocked");
    is(&world.read("agents/a/wait/blocked"), "blocked", "blocked");
    is(&world.read("agents/a/wait/settled"), "settled", "blocked");
    let (ready, settled) = (cat(sandbox, &at("ready")), cat(sandbox, &at("change")));
    world.write("agents/a/keys", "1\n");
    is(&out(settled), "change", "active");
    is(&out(ready), "ready", "ready");
    let settled = |world: &World| world.read("agents/a/wait/settled");
    world.write("agents/a/prompt", "sim:exit=3");
    is(&settled(&world), "settled", "down");

    // In pieces, and nothing more after the end.
    let mut file = File::open(at("settled")).unwrap();
    let mut bytes = [0; 3];
    let mut pieces = Vec::new();
    while let count @ 1.. = file.read(&mut bytes).unwrap() {
        pieces.extend_from_slice(&bytes[..count]);
    }
    is(std::str::from_utf8(&pieces).unwrap(), "settled", "down");
    assert_eq!(file.read(&mut bytes).unwrap(), 0);
    for path in ["agents/a/wait/ready", "agents/a/wait/turn/1"] {
        assert_eq!(errno(fs::write(world.at(path), "x")), libc::EPERM, "{path}");
    }
    assert_eq!(errno(fs::metadata(at("happy"))), libc::ENOENT);
}

#[test]
fn unknown_for_long_needs_a_person() {
    let made = Made::new();
    made.set_for(Status::Unknown, 29);
    let start = Instant::now();
    assert_eq!(fs::read_to_string(made.at("wait/settled")).unwrap(), "settled unknown - -\n");
    // Nothing was published: the moment itself woke it.
    assert!(start.elapsed() > Duration::from_millis(200), "{:?}", start.elapsed());
    made.set_for(Status::Unknown, 31);
    assert_eq!(fs::read_to_string(made.at("wait/settled")).unwrap(), "settled unknown - -\n");
}

/// `wait/turn/N` waits until turn N has ended, and shows that turn's number and outcome. It can be opened for
/// every turn that has begun and for the next one; other numbers are ENOENT. The outcomes are `success`,
/// `interrupted`, `known_failure`, `unconfirmed` (nothing proves that the program took the prompt),
/// `refused` (it could not be delivered) and `lost` (the program ended, or was not watched).
#[test]
fn waiting_for_a_turn() {
    let made = Made::new();
    let line = |turn: &str| fs::read_to_string(made.at("wait/turn").join(turn)).unwrap();
    for none in ["0", "2", "01", "+1", "x", ""] {
        let path = made.at("wait/turn").join(format!("./{none}"));
        assert!(fs::metadata(&path).is_err() || none.is_empty(), "{none}");
    }
    let outcomes = [
        (TurnOutcome::Success, "success"),
        (TurnOutcome::Interrupted, "interrupted"),
        (TurnOutcome::KnownFailure, "known_failure"),
        (TurnOutcome::Unconfirmed, "unconfirmed"),
        (TurnOutcome::Refused, "refused"),
        (TurnOutcome::Lost, "lost"),
    ];
    for (n, (outcome, word)) in (1..).zip(outcomes) {
        let (next, change) = (reader(&made.at(&format!("wait/turn/{n}"))), reader(&made.at("wait/change")));
        fs::write(made.at("prompt"), "go").unwrap();
        let ended = if n == 1 { "-".to_owned() } else { format!("{}", n - 1) };
        assert_ne!(ended, n.to_string());
        assert_eq!(change.join().unwrap().0, format!("change pending {n} -\n"));
        made.set(Status::Active);
        assert!(!next.is_finished());
        made.end_turn(outcome, None);
        assert_eq!(next.join().unwrap().0, format!("turn/{n} ready {n} {word}\n"));
        assert_eq!(fs::read_to_string(made.at("wait/ready")).unwrap(), format!("ready ready {n} {word}\n"));
    }
    assert_eq!(line("1"), "turn/1 ready 1 success\n");
    assert!(fs::metadata(made.at("wait/turn/8")).is_err());
    assert!(fs::metadata(made.at("wait/turn/7")).is_ok());
}

/// After a prompt has been accepted, `wait/ready` waits for the end of its turn and is never satisfied by the
/// state from before: `echo x > prompt; cat wait/ready; cat screen` shows what became of it.
#[test]
fn the_state_before_a_prompt_does_not_count() {
    let world = World::with("a");
    for shell in ["bash", "dash"] {
        if !have(world.sandbox(), shell) {
            continue;
        }
        for round in 0..5 {
            let before = world.prompts("a").len();
            let script = format!("echo 'round {round} sim:say=x' > agents/a/prompt && cat agents/a/wait/ready");
            let said = world.sh(shell, &script);
            assert!(said.code == Some(0) && said.out.starts_with("ready ready "), "{said:?}");
            assert_eq!(world.prompts("a").len(), before + 1, "ready before the prompt had arrived");
        }
    }
}

/// A wait belongs to the agent whose file was opened. When that goes, is stopped, or another one takes its
/// name, the wait ends and its line begins with `gone`; only what `settled` waits for includes being gone. So
/// do the waits of an agent that is gone or stopped already, at once.
#[test]
fn a_wait_belongs_to_its_agent() {
    let world = World::with("a");
    world.launch("b");
    world.launch("c");
    let cats = |name: &str, conditions: &[&str]| -> Vec<Child> {
        let path = |condition: &&str| world.at(format!("agents/{name}/wait/{condition}"));
        conditions.iter().map(|condition| cat(world.sandbox(), &path(condition))).collect()
    };
    let went = |cats: Vec<Child>| cats.into_iter().for_each(|cat| assert!(out(cat).starts_with("gone gone ")));
    let waits = cats("a", &["active", "blocked", "gone", "turn/1"]);
    assert_eq!(world.troop(&["stop", "a"]).code, Some(0));
    went(waits);
    for condition in ["ready", "active", "gone", "change"] {
        assert!(world.read(&format!("stopped/a/wait/{condition}")).starts_with("gone gone "), "{condition}");
    }
    assert!(world.read("stopped/a/wait/settled").starts_with("settled gone "));

    // Its record says that it was launched anew.
    let waits = cats("b", &["active", "gone"]);
    let record = fs::canonicalize(world.at("agents/b/record")).unwrap();
    let text = fs::read_to_string(&record).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["generation_id"] = "another".into();
    fs::write(&record, value.to_string()).unwrap();
    waits.into_iter().for_each(|cat| assert_eq!(out(cat), "gone gone - -\n"));

    let (waits, settled) = (cats("c", &["active", "change"]), cats("c", &["blocked"]));
    fs::remove_file(fs::canonicalize(world.at("agents/c/record")).unwrap()).unwrap();
    waits.into_iter().chain(settled).for_each(|cat| assert_eq!(out(cat), "gone gone - -\n"));

    let made = Made::new();
    let wait = reader(&made.at("wait/active"));
    made.replace();
    assert_eq!(wait.join().unwrap().0, "gone gone - -\n");
}

/// Ctrl-C, SIGTERM, SIGKILL and every signal that its reader handles end a wait within a second (of more than 16
/// at once, Ctrl-\ and Ctrl-Z within seven), so `timeout 600 cat wait/ready` is the way to wait for no longer
/// than that. Opened with O_NONBLOCK, a file that would wait is EAGAIN, and so is one more than 4096 waits at once.
#[test]
fn giving_up() {
    check_giving_up();
}

#[test]
fn an_ordinary_user_gives_up() {
    as_user("semantics::waits::an_ordinary_user_gives_up", USUAL_DEVICE, check_giving_up);
}

fn check_giving_up() {
    let world = World::with("a");
    let active = world.at("agents/a/wait/active");
    for signal in [Signal::SIGINT, Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGABRT] {
        let mut cat = cat(world.sandbox(), &active);
        let start = Instant::now();
        kill(Pid::from_raw(cat.id().cast_signed()), signal).unwrap();
        assert_eq!(cat.wait().unwrap().signal(), Some(signal as i32));
        assert!(start.elapsed() < SIGNAL_LIMIT, "{signal}: {:?}", start.elapsed());
    }
    // Many at once, each in its turn.
    let mut cats: Vec<Child> = (0..100).map(|_| cat(world.sandbox(), &active)).collect();
    let start = Instant::now();
    for cat in &cats {
        kill(Pid::from_raw(cat.id().cast_signed()), Signal::SIGKILL).unwrap();
    }
    for cat in &mut cats {
        cat.wait().unwrap();
    }
    assert!(start.elapsed() < SIGNAL_LIMIT, "{:?}", start.elapsed());

    let start = Instant::now();
    assert_eq!(world.sh("sh", "timeout 0.2 cat agents/a/wait/active").code, Some(124));
    assert!(start.elapsed() < Duration::from_millis(200) + SIGNAL_LIMIT, "{:?}", start.elapsed());
    // A program that handles the signal goes on.
    if have(world.sandbox(), "bash") {
        let script = "trap 'echo handled; exit 7' USR1; read line < agents/a/wait/active";
        let bash = waiting(&mut world.shell("bash", script));
        let start = Instant::now();
        kill(Pid::from_raw(bash.id().cast_signed()), Signal::SIGUSR1).unwrap();
        let said = said(bash.wait_with_output().unwrap());
        assert_eq!((said.code, said.out.as_str()), (Some(7), "handled\n"), "{said:?}");
        assert!(start.elapsed() < SIGNAL_LIMIT, "{:?}", start.elapsed());
    }
    // What is ignored disturbs nobody.
    let script = "trap '' USR1; exec cat agents/a/wait/active";
    let ignoring = waiting(&mut world.shell("sh", script));
    kill(Pid::from_raw(ignoring.id().cast_signed()), Signal::SIGUSR1).unwrap();
    // Stopped and continued, it waits on.
    let stopped = cat(world.sandbox(), &active);
    let pid = Pid::from_raw(stopped.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    wait_until("it to stop", LIMIT, || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        if stat.contains(") T ") { Ok(()) } else { Err(stat) }
    });
    kill(pid, Signal::SIGCONT).unwrap();
    wait_until("it to wait again", LIMIT, || waits_in_the_kernel(stopped.id()));

    let nonblocking = |path: &Path| OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap();
    let mut text = String::new();
    assert_eq!(errno(nonblocking(&active).read_to_string(&mut text)), libc::EAGAIN);
    nonblocking(&world.at("agents/a/wait/ready")).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("ready ready "), "{text}");

    world.write("agents/a/prompt", "sim:work=100");
    for cat in [ignoring, stopped] {
        assert!(out(cat).starts_with("active active "));
    }
}

/// poll(2), select(2) and epoll(7) tell when such a file can be read without waiting: when what it waits for
/// has come. Every other file can always be read and written.
#[test]
fn polling() {
    let made = Made::new();
    let revents = |file: &File, limit: u16| {
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(limit)).unwrap();
        fds[0].revents().unwrap()
    };
    let mut active = File::open(made.at("wait/active")).unwrap();
    assert_eq!(revents(&active, 50), PollFlags::empty());
    assert_eq!(revents(&File::open(made.at("wait/ready")).unwrap(), 0), PollFlags::POLLIN);
    assert_eq!(revents(&File::open(made.at("status")).unwrap(), 0), PollFlags::POLLIN);
    std::thread::scope(|scope| {
        let wake = scope.spawn(|| (revents(&active, 10_000), Instant::now()));
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        made.set(Status::Active);
        let (revents, woken) = wake.join().unwrap();
        assert_eq!(revents, PollFlags::POLLIN);
        assert!(woken.duration_since(start) < SIGNAL_LIMIT, "{:?}", woken.duration_since(start));
    });
    // Seen or not, it stays so until it is read.
    made.set(Status::Ready);
    let mut text = String::new();
    assert_eq!(revents(&active, 0), PollFlags::POLLIN);
    active.read_to_string(&mut text).unwrap();
    assert_eq!(text, "active active - -\n");
}

/// What makes its reader wait is found by its name and never listed: `wait` lists nothing, and `ask` is in no
/// listing. So nobody waits by accident who reads all there is.
#[test]
fn nobody_waits_by_accident() {
    let world = World::with("a");
    assert_eq!((world.names("agents/a/wait"), world.names("agents/a/wait/turn")), (vec![], vec![]));
    assert!(!world.names("agents/a").contains(&"ask".to_owned()));
    for name in ["ask", "wait", "wait/ready", "wait/turn", "wait/turn/1"] {
        fs::metadata(world.at("agents/a").join(name)).unwrap();
    }
    for (program, script) in [
        ("grep", "grep -r xyzzy ."),
        ("rg", "rg --hidden --no-ignore xyzzy"),
        ("find", "find . -type f -exec cat {} +"),
        ("tar", "tar cf - . | wc -c"),
        ("cp", "cp -r . $TMPDIR/copied"),
    ] {
        if have(world.sandbox(), program) {
            let said = world.sh("sh", &format!("timeout 20 sh -c '{script}' > /dev/null"));
            assert_ne!(said.code, Some(124), "{script}: {said:?}");
        }
    }
    assert_eq!(world.read("agents/a/status"), "ready\n");
}

/// When the mount ends or is taken away, whoever waits in it gets ESRCH.
#[test]
fn waits_end_with_the_mount() {
    let mut world = World::with("a");
    let active = world.at("agents/a/wait/active");
    let reader = cat(world.sandbox(), &active);
    let start = Instant::now();
    assert_eq!(world.mount().end(Signal::SIGTERM).code(), Some(0));
    let told = said(reader.wait_with_output().unwrap());
    assert!(told.code == Some(1) && told.err.contains("No such process"), "{told:?}");
    assert!(start.elapsed() < SIGNAL_LIMIT, "{:?}", start.elapsed());

    world.mount_again();
    world.wait_status("a", "ready");
    let reader = cat(world.sandbox(), &active);
    let path = world.at("").to_str().unwrap().to_owned();
    assert_eq!(world.troop(&["umount", &path]).code, Some(0));
    let told = said(reader.wait_with_output().unwrap());
    assert!(told.code == Some(1) && told.err.contains("No such process"), "{told:?}");
    // Nobody keeps it any more.
    assert_eq!(world.mount().end(Signal::SIGCONT).code(), Some(0));
}

/// `troop wait NAME --until CONDITION` waits for the same without a mount and prints the same line;
/// `turn:N` stands for `turn/N`. It ends with 0 when that held, with 1 when `--timeout SECONDS` or a signal
/// came first, and with 5 when the agent went.
#[test]
fn waiting_without_a_mount() {
    let mut world = World::with("a");
    let mounted = world.read("agents/a/wait/ready");
    assert_eq!(world.mount().end(Signal::SIGTERM).code(), Some(0));
    let wait = |world: &World, until: &str, timeout: &str| {
        let said = world.troop(&["wait", "a", "--until", until, "--timeout", timeout]);
        (said.code, said.out, said.err)
    };
    let ready = wait(&world, "ready", "30");
    assert_eq!((ready.0, ready.1), (Some(0), mounted));
    let (code, out, err) = wait(&world, "active", "0.3");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("active did not hold for a within 0.3 s"), "{err}");
    assert_eq!(wait(&world, "happy", "1").0, Some(2));
    assert_eq!(wait(&world, "ready", "-1").0, Some(2));

    let until = |until: &str| {
        let mut command = world.sandbox().command(crate::support::sandbox::troop_bin());
        command.args(["wait", "a", "--until", until]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let (blocked, change) = (until("blocked"), until("change"));
    // Until both have looked.
    std::thread::sleep(Duration::from_millis(1500));
    let said_of = |child: Child| said(child.wait_with_output().unwrap());
    assert_eq!(world.troop(&["prompt", "a", "sim:work=200 sim:ask"]).code, Some(0));
    let told = said_of(blocked);
    assert!(told.code == Some(0) && told.out.starts_with("blocked blocked "), "{told:?}");
    let told = said_of(change);
    assert!(told.code == Some(0) && told.out.starts_with("change "), "{told:?}");

    let ended = until("active");
    std::thread::sleep(Duration::from_millis(1500));
    kill(Pid::from_raw(ended.id().cast_signed()), Signal::SIGINT).unwrap();
    let told = said_of(ended);
    assert!(told.code == Some(1) && told.err.contains("a signal ended the wait"), "{told:?}");

    let (active, gone) = (until("active"), until("gone"));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(world.troop(&["stop", "a"]).code, Some(0));
    let told = said_of(active);
    assert!(told.code == Some(5) && told.out.starts_with("gone gone "), "{told:?}");
    let told = said_of(gone);
    assert!(told.code == Some(0) && told.out.starts_with("gone gone "), "{told:?}");
    let stopped = wait(&world, "ready", "1");
    assert_eq!((stopped.0, stopped.1.starts_with("gone gone ")), (Some(5), true));
}
