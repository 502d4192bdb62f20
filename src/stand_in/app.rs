//! What the stand-in does with what it receives: a state machine without a clock.
//!
//! Input and the time come in; rows ([`super::view`]), log records, a window title
//! and the exit code are read off it.

use super::keys::{Input, Key};
use super::line::Style;
use super::log::{Outcome, Record, Target};
use super::mischief::{Kind, LATE, Mischief, STRAY};
use super::script::{self, Beat};
use super::text;
use super::transcript::{Entry, INDENT, Transcript};
use super::words;
use super::written::Pages;
use std::collections::VecDeque;
use std::time::Duration;

/// A second Ctrl-C within this time ends the program.
pub(super) const EXIT_WINDOW: Duration = Duration::from_secs(1);
/// A draft that would be longer than this many bytes does not grow.
pub(super) const MAX_DRAFT: usize = 8 << 20;
/// Prompts that wait for their turn; more are refused and stay in the draft.
const MAX_QUEUED: usize = 100;
/// The exit code of a program that ends in the middle of a paste.
const DIED: u8 = 9;
/// Numbered lines between two looks at the keyboard.
const LINES_AT_ONCE: u32 = 200;
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

    fn target(&self) -> Target {
        match &self.phase {
            Phase::Turn(Turn { question: Some(_), .. }) => Target::Question,
            _ => Target::Composer,
        }
    }

    fn paste(&mut self, pasted: &str, dropped: usize) {
        let mischief = if matches!(self.phase, Phase::Idle) { self.mischief.next() } else { None };
        match mischief {
            Some(Kind::Dialog) => self.stray_dialog(),
            Some(Kind::Die) => return self.end(DIED),
            Some(Kind::Swallow) => self.swallows = true,
            Some(Kind::Popup) => self.popup = true,
            Some(Kind::Fold) => self.folded = true,
            Some(Kind::Late) | None => {}
        }
        let into = self.target();
        self.records.push(Record::Paste { bytes: pasted.len(), dropped, into });
        if into == Target::Composer {
            // A terminal sends the newlines of a paste as carriage returns unless it is told not to.
            let text = pasted.replace("\r\n", "\n").replace('\r', "\n");
            match mischief {
                Some(Kind::Late) => self.arriving = Some((self.now + LATE, text)),
                _ => self.type_text(&text),
            }
        }
    }

    /// Opens a dialog that belongs to no turn and goes away by itself.
    fn stray_dialog(&mut self) {
        let command = "a stray dialog".to_owned();
        self.records.push(Record::Asked { command: command.clone() });
        self.stray_until = Some(self.now + STRAY);
        self.phase = Phase::Turn(Turn {
            number: 0,
            began: self.now,
            due: self.now + STRAY,
            beats: VecDeque::new(),
            answering: false,
            question: Some(Question { command, selected: 0 }),
        });
    }

    fn key(&mut self, key: Key) {
        if self.target() == Target::Question {
            return self.key_in_question(key);
        }
        let armed = self.armed.take();
        match key {
            Key::Char(c) => self.type_text(c.encode_utf8(&mut [0; 4])),
            Key::Newline => self.type_text("\n"),
            Key::Enter => self.submit(),
            Key::Backspace => {
                let end = text::clusters(&self.draft).last().map_or(0, str::len);
                self.draft.truncate(self.draft.len() - end);
            }
            Key::Ctrl('u') => self.draft.clear(),
            Key::Up if self.draft.is_empty() => self.draft.clone_from(&self.last_prompt),
            Key::Escape | Key::Ctrl('c') if matches!(self.phase, Phase::Turn(_)) => self.interrupt(),
            Key::Ctrl('c') if armed.is_some() => self.end(0),
            Key::Ctrl('c') => self.armed = Some(self.now + EXIT_WINDOW),
            _ => self.ignore(key),
        }
    }

    fn key_in_question(&mut self, key: Key) {
        let Phase::Turn(Turn { question: Some(question), .. }) = &mut self.phase else { return };
        let denial = CHOICES.len() - 1;
        match key {
            Key::Up => question.selected = question.selected.saturating_sub(1),
            Key::Down => question.selected = (question.selected + 1).min(denial),
            Key::Enter => {
                let selected = question.selected;
                self.answer(selected);
            }
            Key::Escape | Key::Ctrl('c') => self.answer(denial),
            Key::Char(digit @ '1'..='3') => self.answer(digit as usize - '1' as usize),
            _ => self.ignore(key),
        }
    }

    fn ignore(&mut self, key: Key) {
        let into = self.target();
        self.records.push(Record::Ignored { key: format!("{key:?}"), into });
    }

    fn type_text(&mut self, typed: &str) {
        if self.draft.len() + typed.len() <= MAX_DRAFT {
            self.draft.push_str(typed);
        } else {
            words::complain(&mut self.transcript, "The draft is full: send it, or clear it with ctrl-u.");
        }
    }

    fn submit(&mut self) {
        if std::mem::take(&mut self.swallows) || std::mem::take(&mut self.popup) {
            return;
        }
        match self.draft.trim() {
            "" => return,
            "/help" => return self.command(|app| words::help(&mut app.transcript)),
            "/exit" => return self.command(|app| app.end(0)),
            _ => {}
        }
        let queued = matches!(self.phase, Phase::Turn(_));
        if queued && self.queue.len() == MAX_QUEUED {
            return words::complain(
                &mut self.transcript,
                "The queue is full: wait until a turn ends, then press enter again.",
            );
        }
        let prompt = std::mem::take(&mut self.draft);
        self.folded = false;
        self.last_prompt.clone_from(&prompt);
        self.records.push(Record::Prompt {
            bytes: prompt.len(),
            sha1: script::sha1(&prompt),
            text: prompt.clone(),
            queued,
        });
        if queued {
            self.queue.push_back(prompt);
        } else {
            self.begin(&prompt);
        }
    }

    fn command(&mut self, run: fn(&mut Self)) {
        let text = std::mem::take(&mut self.draft);
        self.records.push(Record::Command { text: text.trim().to_owned() });
        run(self);
    }

    fn begin(&mut self, prompt: &str) {
        words::echo(&mut self.transcript, prompt);
        self.pages.begin(prompt);
        self.turns += 1;
        self.records.push(Record::TurnBegan { turn: self.turns });
        self.phase = Phase::Turn(Turn {
            number: self.turns,
            began: self.now,
            due: self.now,
            beats: script::beats(prompt, self.pace),
            answering: false,
            question: None,
        });
    }

    fn interrupt(&mut self) {
        words::interrupted(&mut self.transcript);
        self.end_turn(Outcome::Interrupted);
    }

    fn end_turn(&mut self, outcome: Outcome) {
        if let Phase::Turn(turn) = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.transcript.space();
            self.pages.end(outcome);
            self.records.push(Record::TurnEnded { turn: turn.number, outcome });
        }
        if let Some(prompt) = self.queue.pop_front() {
            self.begin(&prompt);
        }
    }

    fn answer(&mut self, choice: usize) {
        let Phase::Turn(turn) = &mut self.phase else { return };
        let Some(question) = turn.question.take() else { return };
        self.stray_until = None;
        turn.due = self.now;
        turn.answering = false;
        let text = CHOICES[choice];
        self.records.push(Record::Answer { choice: choice + 1, text });
        words::answered(&mut self.transcript, text, &question.command);
    }

    /// Plays every beat that is due; stops early so that a flood leaves time to draw and to listen.
    fn advance(&mut self) {
        loop {
            match &mut self.phase {
                Phase::Starting { until } if *until <= self.now => {
                    self.phase = Phase::Idle;
                    self.records.push(Record::Ready);
                    words::greet(&mut self.transcript, &self.name);
                }
                Phase::Turn(turn) if turn.question.is_none() && turn.due <= self.now => {
                    let Some(beat) = turn.beats.pop_front() else {
                        self.end_turn(Outcome::Finished);
                        continue;
                    };
                    let flood = matches!(beat, Beat::Lines { .. });
                    self.play(beat);
                    if flood {
                        break;
                    }
                }
                _ => break,
            }
        }
    }

    fn play(&mut self, beat: Beat) {
        let Phase::Turn(turn) = &mut self.phase else { return };
        let first_of_answer = !std::mem::replace(&mut turn.answering, true);
        let mark = if first_of_answer { "● " } else { INDENT };
        match beat {
            Beat::Pause(time) => {
                turn.due = self.now + time;
                turn.answering = !first_of_answer;
            }
            Beat::Word { text, first: false } => {
                turn.due = self.now + self.pace;
                self.pages.say(" ", &text);
                self.transcript.extend(&text);
            }
            Beat::Word { text, first: true } => {
                turn.due = self.now + self.pace;
                self.transcript.space();
                self.pages.say("\n\n", &text);
                self.transcript.push(Entry::new(text, Style::Plain).marked(mark, Style::Accent));
            }
            Beat::Quote(text) => {
                self.pages.say("\n", text);
                words::block(&mut self.transcript, text, mark, Style::Plain);
            }
            Beat::Lines { next, last } => {
                let end = last.min(next.saturating_add(LINES_AT_ONCE - 1));
                if end < last {
                    turn.beats.push_front(Beat::Lines { next: end + 1, last });
                }
                for number in next..=end {
                    let line = format!("line {number}");
                    self.pages.say("\n", &line);
                    self.transcript.push(Entry::new(line, Style::Plain));
                }
            }
            Beat::Ask(command) => {
                self.pages.pause();
                self.records.push(Record::Asked { command: command.clone() });
                turn.question = Some(Question { command: text::printable(&command), selected: 0 });
                self.armed = None;
            }
            Beat::Fail => {
                words::complain(&mut self.transcript, words::FAILURE);
                self.end_turn(Outcome::Failed);
            }
            Beat::Exit(code) => self.end(code),
            Beat::Title(on) => self.titles = on,
        }
    }
}
