//! The terminal: taken over and, whatever happens, given back as it was.

use super::inbox::{Inbox, Message, Other, Signal};
use crate::error::{Error, Kind, Result};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::{Position, Rect};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{BufWriter, IsTerminal, Read, Stdout, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the end of what was typed is waited for; crossterm reads nothing when it may not wait at all.
const DRAIN: Duration = Duration::from_millis(1);
/// A frame is written at once.
const FRAME_BYTES: usize = 64 << 10;
/// How much of what a program says when it fails is kept.
const MAX_SAID: u64 = 4 << 10;

/// Whether the terminal is ours at the moment.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// A terminal that shows frames; dropping it gives it back.
pub struct Terminal {
    frames: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Terminal {
    /// Takes over the terminal on standard input and output. Refused when one of them is no terminal.
    ///
    /// A panic anywhere in the program gives it back first, because then nothing is dropped.
    pub fn open() -> Result<Self> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return Err(Error::new(
                Kind::Unavailable,
                "the dashboard needs a terminal on its standard input and output; for scripts there is troop list --watch",
            ));
        }
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        let out = BufWriter::with_capacity(FRAME_BYTES, stdout());
        let frames = ratatui::Terminal::new(CrosstermBackend::new(out)).map_err(failed)?;
        enter()?;
        Ok(Self { frames })
    }

    /// Shows what `draw` draws; only what differs from the frame before is written.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        self.frames.draw(draw).map(drop).map_err(failed)
    }

    /// Forgets what is shown: the next frame is written whole.
    pub(super) fn forget(&mut self) -> Result<()> {
        // Not `clear`, which asks the terminal where its cursor is, and waits for the answer among the keys.
        let size = self.frames.size().map_err(failed)?;
        self.frames.resize(Rect::from((Position::ORIGIN, size))).map_err(failed)
    }

    /// Everything that was typed or pasted since the last call.
    pub(super) fn events(&self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while event::poll(DRAIN).map_err(failed)? {
            events.push(event::read().map_err(failed)?);
        }
        Ok(events)
    }

    /// Writes what is no picture, such as a bell.
    pub(super) fn say(&self, text: &str) {
        let _ = write!(stdout(), "{text}").and_then(|()| stdout().flush());
    }

    /// Stops the program as Ctrl-Z does, with the terminal as it was; goes on when it is continued.
    pub(super) fn suspend(&mut self) -> Result<()> {
        leave();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP)
            .map_err(|error| Error::io("cannot stop the program", &error.into()))?;
        self.resume()
    }

    /// Takes the terminal over again, whatever was done to it meanwhile.
    pub(super) fn resume(&mut self) -> Result<()> {
        leave();
        enter()?;
        self.forget()
    }

    /// Runs a program on the terminal until it ends, then takes the terminal over again. Meanwhile a signal to end ends the
    /// program too, and is among the messages that are given back with how the program ended.
    pub(super) fn run(&mut self, mut command: Command, inbox: &Inbox) -> Result<(Result<()>, Vec<Message>)> {
        leave();
        let ran = run_child(&mut command, inbox);
        self.resume()?;
        ran
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave();
    }
}

fn run_child(command: &mut Command, inbox: &Inbox) -> Result<(Result<()>, Vec<Message>)> {
    let program = command.get_program().to_string_lossy().into_owned();
    let not_run = |error: std::io::Error| Error::io(format!("cannot run {program}"), &error);
    let mut child = match command.stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return Ok((Err(not_run(error)), Vec::new())),
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::new(Kind::Io, format!("{program} has no process id")))?;
    let mut kept = Vec::new();
    // It can have ended already, but not be waited for by anybody else.
    if let Ok(ended) = pidfd_open(pid, PidfdFlags::empty()) {
        while inbox.wait(ended.as_fd(), None)? == Other::Quiet {
            let is_new = kept.len();
            kept.extend(inbox.take());
            if kept[is_new..].iter().any(|message| matches!(message, Message::Signal(Signal::End))) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
    }
    let status = child.wait().map_err(not_run)?;
    let mut said = String::new();
    if let Some(err) = child.stderr.take() {
        let _ = err.take(MAX_SAID).read_to_string(&mut said);
    }
    let ended = if status.success() {
        Ok(())
    } else {
        let said = said.lines().last().map_or_else(|| status.to_string(), str::to_owned);
        Err(Error::new(Kind::Io, format!("{program} ended: {said}")))
    };
    Ok((ended, kept))
}

fn enter() -> Result<()> {
    IS_OURS.store(true, Ordering::SeqCst);
    enable_raw_mode().map_err(failed)?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide).map_err(failed)
}

/// Gives the terminal back, once; a terminal that is gone cannot be given back.
fn leave() {
    if IS_OURS.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("cannot use the terminal", &error)
}
