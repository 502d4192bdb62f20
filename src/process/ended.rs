//! The end of a process as an event.

use super::walk::start_time;
use crate::error::{Error, Kind, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits until that very process has ended, at once when it is not there: a pid that
/// another process has by now does not count. [`Kind::Unavailable`] where the kernel
/// has no pidfd (before Linux 5.3), and then the caller has to look from time to time.
///
/// There is no limit of its own: the caller decides how long it wants to know.
pub async fn ended(pid: i32, started: u64) -> Result<()> {
    let Some(id) = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
        return Err(Error::new(Kind::Invalid, format!("{pid} is not the id of a process")));
    };
    let unavailable = |e: std::io::Error| {
        Error::new(Kind::Unavailable, format!("the end of process {pid} cannot be awaited on this system: {e}"))
    };
    let pidfd = match pidfd_open(id, PidfdFlags::NONBLOCK) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(unavailable(error.into())),
    };
    // Only now: the descriptor stays with whoever has the pid at this moment.
    if start_time(pid) != Some(started) {
        return Ok(());
    }
    #[expect(deprecated, reason = "its successor is unsafe for types that change their descriptor; OwnedFd does not")]
    let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE).map_err(unavailable)?;
    pidfd.readable().await.map_err(unavailable)?.retain_ready();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sleeper() -> (std::process::Child, i32, u64) {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let started = start_time(pid).unwrap();
        (child, pid, started)
    }

    #[tokio::test]
    async fn an_end_is_noticed_when_it_comes() {
        let (mut child, pid, started) = sleeper();
        let end = ended(pid, started);
        tokio::pin!(end);
        tokio::select! {
            biased;
            result = &mut end => panic!("it has not ended: {result:?}"),
            () = tokio::task::yield_now() => {}
        }
        drop(child.stdin.take());
        end.await.unwrap();
        child.wait().unwrap();
        // And again, now that it is gone.
        ended(pid, started).await.unwrap();
    }

    #[tokio::test]
    async fn a_successor_with_the_same_pid_does_not_count() {
        let (mut child, pid, started) = sleeper();
        ended(pid, started + 1).await.unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn no_process_has_such_an_id() {
        assert_eq!(ended(0, 1).await.unwrap_err().kind(), Kind::Invalid);
        assert_eq!(ended(-1, 1).await.unwrap_err().kind(), Kind::Invalid);
    }
}
