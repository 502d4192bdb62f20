//! What the stand-in does with what it receives: a state machine without a clock.
//!
//! Input and the time come in; rows ([`super::view`]), log records, a window title
//! and the exit code are read off it.

mod turn;
pub(super) mod typing;

use super::keys::Input;
use super::log::Record;
use super::mischief::Mischief;
use super::script::Beat;
use super::text;
use super::transcript::Transcript;
use super::written::Pages;
use std::collections::VecDeque;
use std::time::Duration;

/// A second Ctrl-C within this time ends the program.
pub(super) const EXIT_WINDOW: Duration = Duration::from_secs(1);
/// The choices of a question; the last is a denial.
pub(super) const CHOICES: [&str; 3] = ["Yes", "Yes, always", "No"];

/// The size of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Columns, at least 1.
    pub(super) columns: usize,
    /// Rows, at least 1.
    pub(super) rows: usize,
}

/// What the program is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing is read yet.
    Starting {
        /// When it takes input.
        until: Duration,
    },
    /// It waits for a prompt.
    Idle,
    /// It works on one.
    Turn(Turn),
    /// It ends with this code.
    Over(u8),
}

/// One turn.
#[derive(Debug)]
pub(super) struct Turn {
    number: u64,
    /// When it began.
    pub(super) began: Duration,
    due: Duration,
    beats: VecDeque<Beat>,
    answering: bool,
    /// What it waits for, if it waits for a person.
    pub(super) question: Option<Question>,
}

/// A question that is open.
#[derive(Debug)]
pub(super) struct Question {
    /// The command it is about.
    pub(super) command: String,
    /// The choice that Enter takes, from 0.
    pub(super) selected: usize,
}

/// The whole state.
#[derive(Debug)]
pub(super) struct App {
    /// The name in the title and the greeting.
    pub(super) name: String,
    /// What was said.
    pub(super) transcript: Transcript,
    /// What was typed and not sent.
    pub(super) draft: String,
    /// Prompts that wait for their turn.
    pub(super) queue: VecDeque<String>,
    /// What it is doing.
    pub(super) phase: Phase,
    /// The latest time it was told.
    pub(super) now: Duration,
    /// The size of the screen.
    pub(super) size: Size,
    /// Until when a second Ctrl-C ends the program.
    pub(super) armed: Option<Duration>,
    /// What happens to some pastes.
    pub(super) mischief: Mischief,
    /// A paste that shows late: when, and what.
    arriving: Option<(Duration, String)>,
    /// Enter is lost this time.
    swallows: bool,
    /// A list under the draft takes Enter.
    pub(super) popup: bool,
    /// The draft is shown as a note of its length.
    pub(super) folded: bool,
    /// When a dialog that belongs to no turn goes away.
    stray_until: Option<Duration>,
    pace: Duration,
    last_prompt: String,
    turns: u64,
    titles: bool,
    pub(super) records: Vec<Record>,
    /// The log of its conversation.
    pub(super) pages: Pages,
}

impl App {
    /// A program that takes input `start_delay` after time zero.
    pub(super) fn new(name: &str, pace: Duration, start_delay: Duration, size: Size) -> Self {
        let mut app = Self {
            name: text::fit(&text::printable(name), 64),
            transcript: Transcript::new(size.columns),
            draft: String::new(),
            queue: VecDeque::new(),
            phase: Phase::Starting { until: start_delay },
            now: Duration::ZERO,
            size,
            armed: None,
            mischief: Mischief::new(Vec::new(), 0),
            arriving: None,
            swallows: false,
            popup: false,
            folded: false,
            stray_until: None,
            pace,
            last_prompt: String::new(),
            turns: 0,
            titles: true,
            records: Vec::new(),
            pages: Pages::default(),
        };
        app.pages.session();
        app.records.push(Record::Start { name: app.name.clone(), pid: std::process::id() });
        app.advance();
        app
    }

    /// Takes one thing from the terminal.
    pub(super) fn receive(&mut self, input: Input, now: Duration) {
        self.tick(now);
        if self.exit_code().is_some() {
            return;
        }
        match input {
            Input::Paste { text, dropped } => self.paste(&text, dropped),
            Input::Key(key) => self.key(key),
        }
        self.advance();
    }

    /// Lets what is due happen.
    pub(super) fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if self.armed.is_some_and(|until| until <= self.now) {
            self.armed = None;
        }
        if self.arriving.as_ref().is_some_and(|(at, _)| *at <= self.now)
            && let Some((_, text)) = self.arriving.take()
        {
            self.type_text(&text);
        }
        if self.stray_until.is_some_and(|until| until <= self.now) {
            (self.stray_until, self.phase) = (None, Phase::Idle);
        }
        self.advance();
    }

    /// Takes the new size of the screen.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
        self.transcript.resize(size.columns);
    }

    /// Ends the program with `code`.
    pub(super) fn end(&mut self, code: u8) {
        if self.exit_code().is_none() {
            self.phase = Phase::Over(code);
            self.records.push(Record::Exit { code });
        }
    }

    /// When [`App::tick`] has something to do next, if ever.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let next = match &self.phase {
            Phase::Starting { until } => Some(*until),
            Phase::Turn(turn) if turn.question.is_none() => {
                let worked = self.now.saturating_sub(turn.began).as_secs();
                Some(turn.due.min(turn.began + Duration::from_secs(worked + 1)))
            }
            _ => None,
        };
        let arriving = self.arriving.as_ref().map(|(at, _)| *at);
        [next, self.armed, arriving, self.stray_until].into_iter().flatten().min()
    }

    /// Whether the terminal is read now; while it starts the input waits in the terminal.
    pub(super) fn reads_input(&self) -> bool {
        !matches!(self.phase, Phase::Starting { .. })
    }

    /// The code to end with, once it is over.
    pub(super) fn exit_code(&self) -> Option<u8> {
        if let Phase::Over(code) = self.phase { Some(code) } else { None }
    }

    /// The window title, empty when titles are off or it is over.
    pub(super) fn title(&self) -> String {
        let (glyph, what) = match &self.phase {
            _ if !self.titles => return String::new(),
            Phase::Over(_) => return String::new(),
            Phase::Starting { .. } => ('◌', "starting"),
            Phase::Idle => ('○', "ready"),
            Phase::Turn(turn) if turn.question.is_some() => ('◆', "asks"),
            Phase::Turn(_) => ('●', "working"),
        };
        format!("{glyph} {} {what}", self.name)
    }

    /// What happened since the last call.
    pub(super) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }
}
