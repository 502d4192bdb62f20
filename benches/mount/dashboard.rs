//! The dashboard on a terminal of its own: what it costs when nothing happens, and how long a key takes.

use crate::cost::Groups;
use crate::support::{Fallible, LIMIT, Sandbox, done, median_and_p95, ms, troop_bin};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Until every status is older than a minute, so that durations change once a minute.
const REST: Duration = Duration::from_secs(70);
/// The terminal.
const SIZE: Winsize = Winsize { ws_row: 60, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
/// The key that has everything drawn anew, ^l.
const REDRAW: &[u8] = b"\x0c";
/// After this long without output a frame is whole and the next key is pressed.
const QUIET: u16 = 40;

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (agents, rest, time, keys) = if measuring {
        (100, REST, Duration::from_secs(60), 300)
    } else {
        (2, Duration::ZERO, Duration::from_secs(1), 4)
    };
    let sandbox = Sandbox::new();
    for n in 0..agents {
        done(sandbox.command(troop_bin()).args(["launch", &format!("idle-{n}")]))?;
    }
    let mut dashboard = Dashboard::open(&sandbox)?;
    dashboard.shows(&format!("{agents} ready"))?;
    // What it writes must be read, or it would wait.
    dashboard.drain(rest)?;
    let pid = i32::try_from(dashboard.child.id())?;
    let spent = Groups::dashboard(pid)?.during(|| dashboard.drain(time))?;
    let mut delays =
        (0..keys).map(|n| dashboard.press(if n % 2 == 0 { b"j" } else { b"k" })).collect::<Fallible<Vec<_>>>()?;
    let (median, p95) = median_and_p95(&mut delays);
    Ok(format!(
        "{agents} stand-ins at their composers, {}x{}, {:.0} s; the goal is less than 0.5 % of a core and 30 MiB\n\n{spent}\n\
         From a key to its frame: median {median:.1} ms, 95 of 100 below {p95:.1} ms, {keys} keys; the goal is 30 ms\n",
        SIZE.ws_col,
        SIZE.ws_row,
        time.as_secs_f64()
    ))
}

struct Dashboard {
    child: Child,
    terminal: File,
}

impl Dashboard {
    fn open(sandbox: &Sandbox) -> Fallible<Self> {
        let pty = openpty(Some(&SIZE), None)?;
        let child = sandbox
            .command(troop_bin())
            .arg("dashboard")
            .stdin(Stdio::from(pty.slave.try_clone()?))
            .stdout(Stdio::from(pty.slave))
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, terminal: pty.master.into() })
    }

    /// Waits for output, at most so many milliseconds; none when none came.
    fn read(&mut self, limit: u16) -> Fallible<Option<Vec<u8>>> {
        let mut polled = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::from(limit))? == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; 64 << 10];
        let read = self.terminal.read(&mut bytes)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }

    /// Has it draw everything anew until those words are there: of a frame that follows another only what differs is written.
    fn shows(&mut self, words: &str) -> Fallible<()> {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            self.terminal.write_all(REDRAW)?;
            let mut seen = Vec::new();
            while let Some(bytes) = self.read(100)? {
                seen.extend(bytes);
            }
            // A blank is not written but passed over.
            let shown = strip_ansi_escapes::strip_str(String::from_utf8_lossy(&seen)).replace(' ', "");
            if shown.contains(&words.replace(' ', "")) {
                return Ok(());
            }
        }
        Err(format!("the dashboard never showed {words:?}").into())
    }

    /// Reads whatever comes for that long.
    fn drain(&mut self, time: Duration) -> Fallible<()> {
        let deadline = Instant::now() + time;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            self.read(u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX))?;
        }
        Ok(())
    }

    /// Milliseconds from a key to the first bytes of the frame that shows it; a frame is one write.
    fn press(&mut self, key: &[u8]) -> Fallible<f64> {
        while self.read(QUIET)?.is_some() {}
        let start = Instant::now();
        self.terminal.write_all(key)?;
        let shown = self.read(u16::MAX)?;
        shown.map(|_| ms(start.elapsed())).ok_or_else(|| "a key showed nothing".into())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.terminal.write_all(b"q");
        // It ends when it has given the terminal back, which somebody must read.
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.read(10);
        }
    }
}
