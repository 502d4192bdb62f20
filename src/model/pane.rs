//! What one look at an agent's terminal shows.

use super::screen::Screen;

/// A tmux pane id, `%7`: never reused while its server lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaneId(String);

impl PaneId {
    /// `%` and digits; anything else is `None`, because the text goes into tmux commands.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('%')?;
        (!digits.is_empty() && digits.len() <= 10 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| Self(text.to_owned()))
    }

    /// The number behind the `%`.
    pub fn number(&self) -> &str {
        &self.0[1..]
    }

    /// The id as tmux writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PaneId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The facts tmux states about a pane, all from one format line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    /// Which pane.
    pub id: PaneId,
    /// The process tmux started in it.
    pub pid: i32,
    /// The process has ended and the pane is kept (`remain-on-exit`).
    pub dead: bool,
    /// Its exit status, when it is dead and was not killed by a signal.
    pub exit_status: Option<i32>,
    /// The signal that killed it.
    pub exit_signal: Option<i32>,
    /// The title the program set (OSC 0 or 2).
    pub title: String,
    /// Cursor column and row, from 0.
    pub cursor: (u16, u16),
    /// Whether the program shows its cursor.
    pub cursor_shown: bool,
    /// Columns and rows.
    pub size: (u16, u16),
    /// The alternate screen is shown.
    pub alternate: bool,
    /// Input is switched off (`select-pane -d`): pastes vanish.
    pub input_off: bool,
    /// Copy mode or another mode is on top: keys do not reach the program.
    pub in_mode: bool,
    /// tmux's idea of the foreground command.
    pub command: String,
    /// Lines that have scrolled off the top.
    pub history: u32,
    /// Whether the program takes a paste as one; none when this tmux cannot tell (before 3.7).
    pub bracketed_paste: Option<bool>,
}

impl Pane {
    /// A pane of which no more is known than its id and its process: alive, without title, command, history or size,
    /// its cursor shown at the top left.
    pub fn new(id: PaneId, pid: i32) -> Self {
        Self {
            id,
            pid,
            dead: false,
            exit_status: None,
            exit_signal: None,
            title: String::new(),
            cursor: (0, 0),
            cursor_shown: true,
            size: (0, 0),
            alternate: false,
            input_off: false,
            in_mode: false,
            command: String::new(),
            history: 0,
            bracketed_paste: None,
        }
    }
}

/// One process as /proc shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: with the pid it identifies a process until reboot.
    pub start_time: u64,
    /// `/proc/PID/comm`.
    pub comm: String,
    /// `/proc/PID/cmdline`.
    pub argv: Vec<String>,
}

/// The programs of a pane: what descends from its first process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Programs {
    /// The pane's process and every descendant of it, parents first.
    pub all: Vec<Process>,
    /// The pids of those in the terminal's foreground process group that are not stopped.
    pub foreground: Vec<i32>,
}

impl Programs {
    /// The processes that own the keyboard.
    pub fn in_front(&self) -> impl Iterator<Item = &Process> {
        self.all.iter().filter(|p| self.foreground.contains(&p.pid))
    }
}

/// One look at a pane: facts, screen and programs of the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// tmux's facts.
    pub pane: Pane,
    /// What it shows.
    pub screen: Screen,
    /// What runs in it; empty when nothing does.
    pub programs: Programs,
}

/// What is known of an agent's terminal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Terminal {
    /// Nobody has looked yet.
    #[default]
    Unseen,
    /// tmux has no such session, no server runs, or of a session that was joined the pane is gone.
    NoSession,
    /// The session is there, and none of its panes is the agent's.
    NoPane,
    /// Asking failed, with the reason.
    Failed(String),
    /// It is there.
    Seen(Box<Look>),
}
