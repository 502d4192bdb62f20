//! Ends a turn from any process: the one that began it need not be there any more.

use super::super::clock::now;
use super::super::crash;
use super::super::deliver::pressed;
use super::super::effects::{Hands, Target};
use super::judge::{Standing, standing};
use super::{blocking, lock};
use crate::error::{Error, Kind, Result};
use crate::model::Pressed;
use crate::process;
use crate::store::TurnDir;
use crate::store::managed::{ActiveTurn, Managed};
use crate::store::turn_dir::Known;
use crate::store::wire::time_text;
use crate::tool::headless::Interrupting;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// How long a program may take to end after its signal before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long what runs it may take to write down that it has ended.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

impl Hands {
    /// Sends the program of the turn that goes on the signal that it takes for an interrupt, and kills it if it does not
    /// end. As with Ctrl-C everything that it has started gets the signal too.
    pub(in super::super) async fn interrupt_turn(&self, target: &Target) -> Result<Pressed> {
        let signal = match target.tool.headless.as_ref().map(|headless| headless.interrupt) {
            Some(Interrupting::Term) => Signal::SIGTERM,
            _ => Signal::SIGINT,
        };
        let held = lock(&target.root).await?;
        let (root, name) = (target.root.clone(), target.name.clone());
        let child = blocking(move || {
            let idle = || Error::new(Kind::Busy, format!("{name} is not working, so there is nothing to interrupt"));
            let turn = TurnDir::last(&root).ok_or_else(idle)?;
            match standing(&turn, false) {
                Standing::Over => Err(idle()),
                Standing::Starting => {
                    Err(Error::new(Kind::Busy, format!("the turn of {name} is just starting; try again")))
                }
                Standing::Runs { process, .. } => {
                    turn.interrupt(now())?;
                    if let Some(run) = turn.run() {
                        let managed = Managed::at(run.managed_dir);
                        if let Some(active) = managed.active().filter(|active| active.turn_id == run.turn_id) {
                            let at = Some(time_text(now()));
                            managed.set_active(&ActiveTurn { interrupt_requested_at_utc: at, ..active })?;
                        }
                    }
                    drop(held);
                    Ok((turn.started().map_or(process, |started| started.child), process))
                }
            }
        });
        let (child, runner) = child.await?;
        crash::here("headless.interrupting");
        let pressed_at = now();
        send(child, signal);
        let mut keys = vec![signal.as_str().to_owned()];
        let ended = |known: Known, limit| tokio::time::timeout(limit, process::ended(known.pid, known.start_time));
        if ended(child, GRACE).await.is_err() {
            send(child, Signal::SIGKILL);
            keys.push(Signal::SIGKILL.as_str().to_owned());
            let _ = ended(child, GRACE).await;
        }
        let gone = process::start_time(child.pid) != Some(child.start_time);
        let _ = ended(runner, WRITE_LIMIT).await;
        let presses = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let reason = (!gone).then(|| format!("the program of {} was killed and is still there", target.name));
        Ok(pressed("interrupt".to_owned(), keys, presses, pressed_at, reason))
    }
}

/// Signals a program and everything it has started, if it is still the one that was meant.
pub(super) fn send(program: Known, signal: Signal) {
    let programs = process::programs(program.pid).unwrap_or_default();
    if programs.all.first().is_none_or(|first| first.start_time != program.start_time) {
        return;
    }
    for known in programs.all.iter().rev() {
        if process::start_time(known.pid) == Some(known.start_time) {
            let _ = kill(Pid::from_raw(known.pid), signal);
        }
    }
}
