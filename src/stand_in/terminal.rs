//! The edge: a terminal in raw mode, signals, and the one loop that waits.

use super::app::{App, Size};
use super::keys::Decoder;
use super::log::Log;
use super::paint::{Document, Painter};
use super::view;
use crate::error::{Error, Kind, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{read, write};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

/// After this long without another byte an Escape is the key and not the beginning of a sequence.
const ESCAPE_WAIT: Duration = Duration::from_millis(25);
/// Bytes taken from the terminal at once.
const READ: usize = 64 << 10;
/// What a terminal that does not know its size is taken for.
const UNKNOWN_SIZE: Size = Size { columns: 80, rows: 24 };
/// The largest screen that is drawn.
const MAX_SIZE: Size = Size { columns: 1000, rows: 500 };
/// A program ended by a signal answers with this and the signal's number, as shells report it.
const SIGNALLED: u8 = 128;

/// Bracketed paste on, cursor hidden.
const ENTER: &str = "\x1b[?2004h\x1b[?25l";
/// Both undone, colours and title reset.
const LEAVE: &str = "\x1b[0m\x1b[?2004l\x1b[?25h\x1b]2;\x07";

/// Over to the alternate screen and back.
const ALTERNATE: [&str; 2] = ["\x1b[?1049h\x1b[H", "\x1b[?1049l"];

/// A terminal in raw mode; dropping it gives back what was there before.
#[derive(Debug)]
pub(super) struct Terminal {
    signals: SignalFd,
    alternate: bool,
}

impl Terminal {
    /// Takes over the terminal on standard input and output.
    ///
    /// Refused when one of them is no terminal.
    pub(super) fn open(alternate: bool) -> Result<Self> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            let why = "the stand-in needs a terminal on its standard input and output: run it in one, or in tmux";
            return Err(Error::new(Kind::Unavailable, why));
        }
        let mut wanted = SigSet::empty();
        for signal in [Signal::SIGWINCH, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
            wanted.add(signal);
        }
        let failed = |error: Errno| Error::io("cannot wait for signals", &error.into());
        wanted.thread_block().map_err(failed)?;
        let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        crossterm::terminal::enable_raw_mode().map_err(|error| Error::io("cannot control the terminal", &error))?;
        let terminal = Self { signals, alternate };
        if alternate {
            put(ALTERNATE[0])?;
        }
        put(ENTER)?;
        Ok(terminal)
    }

    /// Runs `app` until it is over and returns its exit code.
    pub(super) fn run(&self, app: &mut App, mut log: Option<Log>) -> Result<u8> {
        let clock = Instant::now();
        let (mut painter, mut bytes) = Painter::start(app.size);
        let mut decoder = Decoder::default();
        let mut escape_due = None;
        let mut title = String::new();
        let mut heard = SystemTime::now();
        loop {
            draw(app, &mut painter, &mut title, &mut bytes);
            let drawn = put(&bytes);
            bytes.clear();
            // After the picture, so that who reads a line here finds it on the screen; and
            // without the picture when the terminal is gone.
            let records = app.take_records();
            if let Some(log) = &mut log {
                records.iter().try_for_each(|record| log.append(record, heard))?;
            }
            drawn?;
            if let Some(code) = app.exit_code() {
                put("\r\n")?;
                return Ok(code);
            }

            let due = [app.next_due(), escape_due].into_iter().flatten().min();
            let woken = self.wait(app.reads_input(), due.map(|due| due.saturating_sub(clock.elapsed())))?;
            heard = SystemTime::now();
            let now = clock.elapsed();
            app.tick(now);
            if woken.signal {
                self.obey(app, &mut painter)?;
            }
            let inputs = match woken.input {
                true => match take() {
                    Some(bytes) => decoder.feed(&bytes),
                    None => {
                        app.end(SIGNALLED + Signal::SIGHUP as u8);
                        Vec::new()
                    }
                },
                false if escape_due.is_some_and(|due| due <= now) => decoder.settle(),
                false => Vec::new(),
            };
            for input in inputs {
                if input == super::keys::Input::Key(super::keys::Key::Ctrl('l')) {
                    painter.forget();
                }
                app.receive(input, now);
            }
            escape_due = match (decoder.undecided(), woken.input) {
                (true, true) => Some(now + ESCAPE_WAIT),
                (true, false) => escape_due,
                (false, _) => None,
            };
        }
    }

    fn wait(&self, input: bool, time: Option<Duration>) -> Result<Woken> {
        let stdin = std::io::stdin();
        let wanted = if input { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), wanted)];
        // Rounded up: a wait that ends early would only be repeated.
        let time = time.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, time) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Error::io("cannot wait for input", &error.into())),
        }
        let ready = |at: usize| fds[at].revents().is_some_and(|flags| !flags.is_empty());
        Ok(Woken { signal: ready(0), input: ready(1) })
    }

    fn obey(&self, app: &mut App, painter: &mut Painter) -> Result<()> {
        while let Some(info) =
            self.signals.read_signal().map_err(|error| Error::io("cannot read a signal", &error.into()))?
        {
            match Signal::try_from(info.ssi_signo as i32) {
                Ok(Signal::SIGWINCH) => {
                    painter.forget();
                    app.resize(size());
                }
                Ok(signal) => app.end(SIGNALLED + signal as u8),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that went away has nothing to restore.
        let _ = put(LEAVE);
        if self.alternate {
            let _ = put(ALTERNATE[1]);
        }
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

struct Woken {
    signal: bool,
    input: bool,
}

/// The size of the terminal, within what can be drawn.
pub(super) fn size() -> Size {
    match crossterm::terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => {
            Size { columns: usize::from(columns).min(MAX_SIZE.columns), rows: usize::from(rows).min(MAX_SIZE.rows) }
        }
        _ => UNKNOWN_SIZE,
    }
}

fn draw(app: &App, painter: &mut Painter, title: &mut String, bytes: &mut String) {
    let live = view::live(app);
    let transcript = &app.transcript;
    let document = Document { forgotten: transcript.forgotten(), rows: transcript.rows(), live: &live };
    bytes.push_str(&painter.paint(&document, app.size));
    let now = app.title();
    if now != *title {
        bytes.push_str(&format!("\x1b]2;{now}\x07"));
        *title = now;
    }
}

/// What the terminal sent; `None` when it is gone.
fn take() -> Option<Vec<u8>> {
    let mut bytes = vec![0; READ];
    match read(std::io::stdin(), &mut bytes) {
        Ok(0) => None,
        Ok(count) => {
            bytes.truncate(count);
            Some(bytes)
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Some(Vec::new()),
        Err(_) => None,
    }
}

/// Writes all of `text`, in one write as long as the terminal takes it.
fn put(text: &str) -> Result<()> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match write(std::io::stdout(), rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(Error::io("cannot write to the terminal", &error.into())),
        }
    }
    Ok(())
}
