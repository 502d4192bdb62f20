//! `troop wait`: the files of `wait/` without a mount.

use super::args::Common;
use super::context::Context;
use super::signals;
use crate::error::{Error, Kind, Result};
use crate::model::{Awaited, Condition, Line, Wait};
use crate::port::Port;
use jiff::Timestamp;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Between two looks at what no publication changes; only so that a limit has a name.
const LOOK: Duration = Duration::from_secs(3600);

/// Waits until `condition` holds for the agent called `name` and prints the line, at most for `timeout`.
pub(super) fn run(common: &Common, name: &str, condition: Condition, timeout: Option<Duration>) -> Result<()> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    // Before the loop connects to a server: a client that is cut off may end that with all its agents.
    let (ends, ended) = channel();
    signals::forward(None, ends.clone())?;
    let (daemon, _, view) = Context::new(common)?.one(name)?;
    let wait = Wait::begin(condition, &view);
    let port = daemon.port().clone();
    let looks = move || {
        let _ = ends.send(Some(wait_until(&port, &wait, deadline)));
    };
    let thread = std::thread::Builder::new().name("troop-waits".to_owned());
    thread.spawn(looks).map_err(|error| Error::io("cannot start a thread to wait", &error))?;
    let Ok(Some(line)) = ended.recv() else {
        return Err(Error::new(Kind::TimedOut, format!("a signal ended the wait for {name} before {condition} held")));
    };
    let line = line.ok_or_else(|| {
        let seconds = timeout.unwrap_or_default().as_secs_f64();
        Error::new(Kind::TimedOut, format!("{condition} did not hold for {name} within {seconds} s"))
    })?;
    super::print(|out| writeln!(out, "{line}"))?;
    if line.condition == condition {
        return Ok(());
    }
    Err(Error::new(Kind::Gone, format!("{name} went before {condition} held; launch it again")))
}

/// The line, or none when the deadline came first.
fn wait_until(port: &Port, wait: &Wait, deadline: Option<Instant>) -> Option<Line> {
    let mut snapshot = port.snapshot();
    loop {
        let now = Timestamp::now();
        let again = match wait.look(&snapshot, now) {
            Awaited::Come(line) => return Some(line),
            Awaited::NotYet(again) => again,
        };
        let by_itself = again.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return None;
        }
        let limit = [by_itself, left].into_iter().flatten().fold(LOOK, Duration::min);
        snapshot = port.wait_newer(snapshot.version, limit);
    }
}
