//! Mounting and unmounting for users who may not: fusermount3, which is setuid root.

use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, PidfdFlags};

use crate::error::{Error, Kind, Result};

const PROGRAM: &str = "fusermount3";

/// Looked in after `PATH`, which may be short under a service manager.
const USUAL_PLACES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// The same mount as root makes, in fusermount3's words.
const OPTIONS: &str = "fsname=troop,subtype=troop,nosuid,nodev,noatime";

/// How long fusermount3 may take for what it is asked.
const LIMIT: Duration = Duration::from_secs(10);

/// As much of its complaint as goes into a sentence, in bytes.
const MAX_COMPLAINT: u64 = 1024;

/// Where the program is, or how to install it.
pub(super) fn find() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(USUAL_PLACES.map(PathBuf::from))
        .map(|directory| directory.join(PROGRAM))
        .find(|program| program.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
        .ok_or_else(|| {
            Error::new(
                Kind::Unavailable,
                format!(
                    "{PROGRAM} is not installed, and only root can mount without it; \
                     install the package fuse3 (`sudo apt-get install fuse3`)"
                ),
            )
        })
}

/// Mounts at `path` and gives the connection. fusermount3 sends it over the socket
/// whose number is in `_FUSE_COMMFD` (libfuse, `util/fusermount.c`). That socket is its
/// standard input here: the one descriptor that can be handed down without unsafe
/// code or a race with another fork.
pub(super) fn mount(path: &Path) -> Result<OwnedFd> {
    let doing = format!("mount at {}", path.display());
    let program = find()?;
    let failed = |e: io::Error| Error::io(format!("cannot run {}", program.display()), &e);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_read_timeout(Some(LIMIT)).map_err(failed)?;
    let mut command = Command::new(&program);
    command.args(["-o", OPTIONS, "--"]).arg(path).env("_FUSE_COMMFD", "0").stdin(OwnedFd::from(theirs));
    let child = spawn(&mut command)?;
    // The command holds the other end of the socket; without it the end of the program is the end of the stream.
    drop(command);
    let received = receive(&ours);
    finish(child, &doing)?;
    received.map_err(|e| Error::io(format!("{PROGRAM} did not {doing}"), &e))
}

/// Detaches what is mounted at `path`, lazily. fusermount3 makes its own check that
/// it is a FUSE filesystem of this user.
pub(super) fn unmount(path: &Path) -> Result<()> {
    let child = spawn(Command::new(find()?).args(["-u", "-z", "--"]).arg(path).stdin(Stdio::null()))?;
    finish(child, &format!("unmount {}", path.display()))
}

fn spawn(command: &mut Command) -> Result<Child> {
    let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    spawned.map_err(|e| Error::io(format!("cannot run {PROGRAM}"), &e))
}

fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8];
    rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Waits for the program to end, kills it when it does not, and turns its complaint into a sentence.
fn finish(mut child: Child, doing: &str) -> Result<()> {
    let failed = |e: io::Error| Error::io(format!("cannot wait for {PROGRAM}"), &e);
    let in_time = ends_within(&child, LIMIT).map_err(failed)?;
    if !in_time {
        child.kill().map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if !in_time {
        return Err(Error::new(Kind::TimedOut, format!("{PROGRAM} did not {doing} within {} s", LIMIT.as_secs())));
    }
    if status.success() {
        return Ok(());
    }
    let complaint = complaint(&mut child);
    let hint = if complaint.contains("Operation not permitted") { "; it must be setuid root" } else { "" };
    Err(Error::new(Kind::Unavailable, format!("{PROGRAM} refused to {doing}: {complaint}{hint}")))
}

fn ends_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)];
    Ok(rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&limit)))? > 0)
}

/// What it said on standard error, without its own name before each line.
fn complaint(child: &mut Child) -> String {
    let mut bytes = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MAX_COMPLAINT).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(|line| line.strip_prefix("fusermount3: ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("; ")
}
