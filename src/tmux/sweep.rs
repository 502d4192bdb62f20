//! Clearing away control clients whose owner has died.
//!
//! The clients of a process that was killed are on their way out when its successor
//! comes, and to meet them there crashes the server (see [`door`](super::door)). And
//! some never go: when both ends of a client's input and output are closed at once
//! while a pane is writing, tmux 3.3a keeps it for ever, the program waiting for
//! the server and the server for its output to be taken.
//! So the first client of a process at a server removes them all and waits until they are gone.

use super::client::is_ours;
use super::socket::{Socket, output};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::Duration;
use tokio::time::Instant;

/// How long killed clients may take to go.
const GOING_DEADLINE: Duration = Duration::from_secs(2);

/// How often they are looked at.
const RETRY: Duration = Duration::from_millis(2);

/// Ends the abandoned clients of a server, and does not return before it has noticed.
/// To be called by whoever is alone at the door.
pub(super) async fn sweep(socket: &Socket) {
    if !socket.path().exists() {
        return;
    }
    let mut command = socket.command();
    command.args(["-N", "list-clients", "-F", "#{client_pid} #{client_flags}"]);
    // Without an answer there is no server, and connecting to it will tell.
    let Ok(listed) = output(command).await else { return };
    let mut clients: Vec<_> = String::from_utf8_lossy(&listed.stdout).lines().filter_map(abandoned).collect();
    for client in &clients {
        // One that has ended meanwhile is as good.
        let _ = pidfd_send_signal(client, Signal::KILL);
    }
    let deadline = Instant::now() + GOING_DEADLINE;
    let any = !clients.is_empty();
    while !clients.is_empty() && Instant::now() < deadline {
        clients.retain(|client| !has_event(client, PollFlags::IN));
        tokio::time::sleep(RETRY).await;
    }
    if any {
        tokio::time::sleep(super::door::SETTLING).await;
    }
}

/// The process of a client with our flags whose input nobody can write to any more.
fn abandoned(line: &str) -> Option<OwnedFd> {
    let (pid, flags) = line.split_once(' ')?;
    if !is_ours(flags) {
        return None;
    }
    let process = pidfd_open(Pid::from_raw(pid.parse().ok().filter(|pid| *pid > 0)?)?, PidfdFlags::empty()).ok()?;
    let input = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(format!("/proc/{pid}/fd/0"))
        .ok()?;
    if !input.metadata().ok()?.file_type().is_fifo() {
        return None;
    }
    has_event(&input, PollFlags::HUP).then_some(process)
}

/// Whether a descriptor is ready in that way now.
fn has_event(descriptor: impl std::os::fd::AsFd, event: PollFlags) -> bool {
    let mut ends = [PollFd::new(&descriptor, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut ends, Some(&now)).is_ok() && ends[0].revents().contains(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn only_ours_and_only_without_an_owner() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let line = |flags: &str| format!("{pid} {flags}");
        let ours = line("attached,focused,control-mode,pause-after=5,UTF-8");
        assert!(abandoned(&ours).is_none(), "its input is open");
        drop(child.stdin.take());
        assert!(abandoned(&ours).is_some());
        for other in
            ["attached,control-mode,UTF-8", "attached,control-mode,pause-after=50", "attached,pause-after=5,UTF-8", ""]
        {
            assert!(abandoned(&line(other)).is_none(), "{other}");
        }
        for other in ["", "x", "0 control-mode,pause-after=5", "-1 control-mode,pause-after=5"] {
            assert!(abandoned(other).is_none(), "{other}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
