//! Asking through one descriptor.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use troop::model::{Status, TurnOutcome};

use super::world::{LIMIT, Said, World, errno, have, said};
use crate::support::made::Made;
use crate::support::{Sandbox, wait_for};

fn open(made: &Made) -> File {
    OpenOptions::new().read(true).write(true).open(made.at("ask")).unwrap()
}

/// Runs a script in the agent's directory, and ends each of its turns with an answer.
fn sh(made: &Made, shell: &str, script: &str) -> Said {
    let mut command = Command::new(shell);
    command.arg("-c").arg(script).current_dir(made.at("."));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| said(command.output().unwrap()));
        let mut answered = made.prompts().len();
        while !running.is_finished() {
            if made.prompts().len() > answered {
                made.set(Status::Active);
                std::thread::sleep(Duration::from_millis(50));
                answered = made.prompts().len();
                made.end_turn(TurnOutcome::Success, Some(&format!("answer to {}", made.prompts()[answered - 1])));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        running.join().unwrap()
    })
}

/// `ask` takes a prompt and gives the answer through one descriptor that is open for both:
/// `exec 3<>ask; echo hi >&3; cat <&3`. What is written is a prompt as with `prompt`, committed by a flush
/// or by the first read; the read waits until its turn has ended, gives the answer, and then the end of the
/// file. After that, or in place of reading, the next prompt can be written.
#[test]
fn asking() {
    let made = Made::new();
    let sandbox = Sandbox::new();
    for shell in ["bash", "dash"] {
        if !have(&sandbox, shell) {
            continue;
        }
        for (script, answers) in [
            ("exec 3<>ask; echo hi >&3; cat <&3", "answer to hi\n"),
            // A program of the shell's wrote and closed its copy: the read commits it.
            ("exec 3<>ask; /bin/echo hi >&3; cat <&3; exec 3>&-", "answer to hi\n"),
            ("exec 3<>ask; { echo a; /bin/echo b; echo c; } >&3; cat <&3", "answer to a\nb\nc\n"),
            ("exec 3<>ask; echo 1 >&3; cat <&3; echo 2 >&3; cat <&3", "answer to 1\nanswer to 2\n"),
            ("exec 3<>ask; echo hi >&3; read -r a b c <&3; echo $c $b $a", "hi to answer\n"),
        ] {
            let said = sh(&made, shell, script);
            assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), answers, ""), "{shell} {script}");
        }
    }
    let mut ask = open(&made);
    ask.write_all(b"in pieces").unwrap();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let mut text = String::new();
            (&ask).read_to_string(&mut text).map(|_| text)
        });
        wait_for("the prompt", LIMIT, || made.prompts().last().is_some_and(|prompt| prompt == "in pieces"));
        // A write beside a blocked read is answered.
        assert_eq!(errno((&ask).write(b"too early")), libc::EBUSY);
        made.end_turn(TurnOutcome::Success, Some("two\nlines"));
        assert_eq!(read.join().unwrap().unwrap(), "two\nlines\n");
    });
    let mut byte = [0];
    assert_eq!(ask.read(&mut byte).unwrap(), 0);
    // What nobody read of an answer goes when something else is asked.
    for text in ["one", "two"] {
        ask.write_all(text.as_bytes()).unwrap();
        nix::unistd::close(ask.try_clone().unwrap()).unwrap();
        made.end_turn(TurnOutcome::Success, Some(text));
    }
    let mut text = String::new();
    ask.read_to_string(&mut text).unwrap();
    assert_eq!(text, "two\n");
}

/// `ask` is refused like `prompt`, when it is opened and when it is written. It is EINVAL to open it for
/// reading or writing alone, or to read before anything has been asked. Where no answer comes the read fails: EBUSY
/// when nothing could be typed, ETIMEDOUT when nothing proves that the program took it, ESRCH when the
/// agent went, and EIO when the turn was interrupted or failed, or its answer cannot be read. The sentence is
/// in `error`.
#[test]
fn no_answer() {
    let made = Made::new();
    assert_eq!(errno(File::open(made.at("ask"))), libc::EINVAL);
    assert!(fs::read_to_string(made.at("error")).unwrap().contains("exec 3<>ask"));
    assert_eq!(errno(OpenOptions::new().write(true).open(made.at("ask"))), libc::EINVAL);
    let mut byte = [0];
    let mut ask = open(&made);
    assert_eq!(errno(ask.read(&mut byte)), libc::EINVAL);
    for (outcome, number, words) in [
        (TurnOutcome::Refused, libc::EBUSY, "could not be delivered"),
        (TurnOutcome::Unconfirmed, libc::ETIMEDOUT, "nothing proves"),
        (TurnOutcome::Lost, libc::ESRCH, "ended"),
        (TurnOutcome::Interrupted, libc::EIO, "interrupted"),
        (TurnOutcome::KnownFailure, libc::EIO, "showed an error"),
        (TurnOutcome::Success, libc::EIO, "could not be read"),
    ] {
        ask.write_all(b"well?").unwrap();
        nix::unistd::close(ask.try_clone().unwrap()).unwrap();
        made.end_turn(outcome, None);
        assert_eq!(errno(ask.read(&mut byte)), number, "{outcome:?}");
        let error = fs::read_to_string(made.at("error")).unwrap();
        assert!(error.contains(words), "{outcome:?}: {error}");
        assert_eq!(errno(ask.read(&mut byte)), number, "and again");
    }
    // Its bytes are wrong: the write says so, and the read of who did not look.
    assert_eq!(errno(ask.write(b"\x07")), libc::EINVAL);
    let mut empty = open(&made);
    empty.write_all(b" \n").unwrap();
    assert_eq!(errno(empty.read(&mut byte)), libc::EINVAL);
    assert!(fs::read_to_string(made.at("error")).unwrap().contains("empty"));
    for status in [Status::Active, Status::Blocked, Status::Pending] {
        made.set(status);
        let refused = OpenOptions::new().read(true).write(true).open(made.at("ask"));
        assert_eq!(errno(refused), libc::EBUSY);
    }
    made.set(Status::Gone);
    assert_eq!(errno(OpenOptions::new().read(true).write(true).open(made.at("ask"))), libc::ESRCH);

    made.set(Status::Ready);
    let mut ask = open(&made);
    ask.write_all(b"well?").unwrap();
    nix::unistd::close(ask.try_clone().unwrap()).unwrap();
    made.replace();
    assert_eq!(errno(ask.read(&mut byte)), libc::ESRCH);
}

#[test]
fn an_answer_can_be_polled_for() {
    let made = Made::new();
    let mut ask = open(&made);
    let revents = |ask: &File| {
        let mut fds = [PollFd::new(ask.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).unwrap();
        fds[0].revents().unwrap()
    };
    assert_eq!(revents(&ask), PollFlags::POLLOUT);
    ask.write_all(b"well?").unwrap();
    nix::unistd::close(ask.try_clone().unwrap()).unwrap();
    assert_eq!(revents(&ask), PollFlags::POLLOUT);
    let wake = {
        let ask = ask.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut fds = [PollFd::new(ask.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(10_000u16)).unwrap();
            fds[0].revents().unwrap()
        })
    };
    std::thread::sleep(Duration::from_millis(50));
    made.end_turn(TurnOutcome::Success, Some("yes"));
    assert_eq!(wake.join().unwrap(), PollFlags::POLLIN);
    assert_eq!(revents(&ask), PollFlags::POLLIN | PollFlags::POLLOUT);
}

#[test]
fn a_stand_in_answers() {
    let world = World::with("a");
    for shell in ["bash", "dash"] {
        let said = world.sh(shell, "exec 3<>agents/a/ask; echo 'sim:say=forty-two' >&3; cat <&3");
        assert_eq!((said.code, said.out.as_str()), (Some(0), "forty two\n"), "{said:?}");
    }
}
