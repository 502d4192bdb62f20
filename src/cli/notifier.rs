//! How the dashboard tells that an agent waits for a person.

use crate::dashboard::{Message, Notify, Outbox};
use crate::error::{Error, Kind};
use crate::model::Status;
use std::io::ErrorKind;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most commands that run at once; more are left out.
const MAX_RUNNING: usize = 4;
/// How many seconds one may take. It is ended then with all it started.
const LIMIT: &str = "60";
/// What timeout(1) ends with when it had to end the command.
const TIMED_OUT: i32 = 124;

/// From `bell`, `osc9`, `none` or a command to what it means. How a command fails is sent to `to`.
pub(super) fn notifier(how: &str, to: Outbox) -> Notify {
    match how {
        "none" => Notify::Nothing,
        "bell" => Notify::Bell,
        "osc9" => Notify::Osc9 { in_tmux: std::env::var_os("TMUX").is_some() },
        command => {
            let (command, running) = (command.to_owned(), Arc::new(AtomicUsize::new(0)));
            Notify::Call(Box::new(move |name, status| call(&command, name, status, &running, &to)))
        }
    }
}

/// Runs a command for sh and does not wait for it.
///
/// It has a session without a terminal, so that nothing of it can come onto the screen and no key ends it, and its limit is
/// kept by another program, so that it can end what it is about after the dashboard has ended.
fn call(command: &str, name: &str, status: Status, running: &Arc<AtomicUsize>, to: &Outbox) {
    if running.fetch_add(1, Ordering::SeqCst) >= MAX_RUNNING {
        running.fetch_sub(1, Ordering::SeqCst);
        return;
    }
    let child = Command::new("setsid")
        .args(["timeout", LIMIT, "sh", "-c", command])
        .env("TROOP_AGENT", name)
        .env("TROOP_STATUS", status.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let (ended, to) = (running.clone(), to.clone());
    let reap = std::thread::Builder::new().name("troop-notifies".to_owned());
    // A thread that cannot be started leaves the child for init and the count as it is.
    let _ = reap.spawn(move || {
        let failed = match child.and_then(|mut child| child.wait()) {
            Ok(status) => failure(status),
            Err(error) if error.kind() == ErrorKind::NotFound => Some("setsid(1) is not installed".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        ended.fetch_sub(1, Ordering::SeqCst);
        if let Some(why) = failed {
            let error = Error::new(Kind::Io, format!("the command that tells of agents failed: {why}"));
            to.send(Message::Answered(String::new(), Err(error)));
        }
    });
}

/// Why a command that has ended did not do what it should.
fn failure(status: ExitStatus) -> Option<String> {
    match status.code() {
        Some(0) => None,
        Some(TIMED_OUT) => Some(format!("it took longer than {LIMIT} s and was ended")),
        _ => Some(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::Inbox;
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Commands that hang until a file is there; more than the limit are asked for.
    #[test]
    fn commands_that_hang_do_not_pile_up() {
        let dir = tempfile::tempdir().unwrap();
        let (begun, end) = (dir.path().join("begun"), dir.path().join("end"));
        let inbox = Inbox::new().unwrap();
        let command = format!(
            "echo $TROOP_AGENT $TROOP_STATUS >> {}; while ! [ -e {} ]; do sleep 0.01; done; echo noise; exit 3",
            begun.display(),
            end.display()
        );
        let Notify::Call(mut tell) = notifier(&command, inbox.outbox().clone()) else { panic!("no command") };
        let lines = || std::fs::read_to_string(&begun).unwrap_or_default().lines().count();
        for _ in 0..MAX_RUNNING + 3 {
            tell("bob", Status::Blocked);
        }
        wait_until(|| lines() == MAX_RUNNING);
        tell("bob", Status::Blocked);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(std::fs::read_to_string(&begun).unwrap(), "bob blocked\n".repeat(MAX_RUNNING));
        std::fs::write(&end, "").unwrap();
        let mut told = Vec::new();
        wait_until(|| {
            told.extend(inbox.take().map(|message| format!("{message:?}")));
            told.len() == MAX_RUNNING
        });
        assert!(told.iter().all(|message| message.contains("exit status: 3")), "{told:?}");
        // There is room again.
        tell("bob", Status::Ready);
        wait_until(|| lines() == MAX_RUNNING + 1);
    }

    /// What it would write on a terminal has none to go to.
    #[test]
    fn a_command_has_no_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let inbox = Inbox::new().unwrap();
        let command = format!(
            "(: > /dev/tty) 2>/dev/null && has=tty; ps -o pid=,sid=,tty= -p $PPID > {0}.part; echo $has >> {0}.part; mv {0}.part {0}",
            out.display()
        );
        let Notify::Call(mut tell) = notifier(&command, inbox.outbox().clone()) else { panic!("no command") };
        tell("bob", Status::Ready);
        wait_until(|| out.exists());
        let text = std::fs::read_to_string(&out).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!((words.len(), words[0] == words[1], words[2]), (3, true, "?"), "{text}");
    }

    #[test]
    fn a_limit_is_told_as_one() {
        use std::os::unix::process::ExitStatusExt;
        let told = |code: i32| failure(ExitStatus::from_raw(code << 8));
        assert_eq!(told(0), None);
        assert_eq!(told(TIMED_OUT).unwrap(), "it took longer than 60 s and was ended");
        assert_eq!(told(1).unwrap(), "exit status: 1");
    }
}
