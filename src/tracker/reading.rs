//! What one look says by itself: what was seen before it does not count.

use crate::model::{Look, Process, Question, Terminal, digest};
use crate::tool::{Found, Shows, Sight, Tool};
use semver::Version;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many rows above the composer tell whether the program has shown something there: a message, and a hint below it.
const TAIL_ROWS: usize = 4;

/// Whether there is a program to have a state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Liveness {
    /// Nobody has looked.
    #[default]
    Unseen,
    /// Looking failed.
    Failed(String),
    /// No session.
    NoSession,
    /// The pane is kept, its process has ended.
    Dead(String),
    /// The pane's process lives, but the tool is not among its programs.
    Ended(String),
    /// The tool lives but does not own the keyboard.
    Behind(String),
    /// The tool lives and owns the keyboard.
    Alive,
}

/// What one look says.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Whether there is a program.
    pub liveness: Liveness,
    /// Every rule that matched, highest priority first.
    pub found: Vec<Found>,
    /// What the program asks, when a rule says that it asks.
    pub question: Option<Question>,
    /// Whether the tool has rules at all.
    pub has_rules: bool,
    /// Whether the composer is on the screen.
    pub has_composer: bool,
    /// Names of the tool's processes that were found.
    pub names: Vec<String>,
    /// What the look is made of, for `probe_snapshot`.
    pub fingerprint: Option<Box<Fingerprint>>,
}

/// The parts of a look that `probe_snapshot` shows, and what tells two looks apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The pane.
    pub pane_id: String,
    /// Its first process.
    pub pane_pid: i32,
    /// Its title.
    pub title: String,
    /// SHA-1 of the screen's text, in hexadecimal.
    pub hash: String,
    /// Its length in characters.
    pub length: usize,
    /// A hash of the rows above the composer: what a person's typing does not change.
    pub body: u64,
    /// A hash of the last of them, which a composer of another height does not change either.
    pub tail: u64,
    /// Columns and rows.
    pub size: (u16, u16),
}

impl Reading {
    /// What decides of all that was found. Rules that need movement count only when the screen is `moving`.
    /// A title that says ready only agrees: it knows of no draft and of no dialog.
    pub fn posture(&self, moving: bool) -> Option<&Found> {
        self.found.iter().find(|found| {
            found.shows.is_posture() && (moving || !found.moving) && !(found.source == "title" && found.shows.is_idle())
        })
    }

    /// Whether a mark of this kind was found.
    pub fn has(&self, mark: Shows) -> bool {
        self.found.iter().any(|found| found.shows == mark)
    }

    /// Whether the title says that the program is ready.
    pub fn title_agrees(&self) -> bool {
        self.found.iter().any(|found| found.source == "title" && found.shows.is_idle())
    }
}

/// Reads one look with a tool's rules; `version` is the release that runs, if it is known.
pub fn read(tool: &Tool, version: Option<&Version>, terminal: &Terminal) -> Reading {
    let liveness = match terminal {
        Terminal::Unseen => Liveness::Unseen,
        Terminal::NoSession => Liveness::NoSession,
        Terminal::NoPane => Liveness::Ended("the agent's pane is not in its session any more".to_owned()),
        Terminal::Failed(why) => Liveness::Failed(why.clone()),
        Terminal::Seen(look) => return read_look(tool, version, look),
    };
    Reading { liveness, has_rules: tool.has_rules(), ..Reading::default() }
}

fn read_look(tool: &Tool, version: Option<&Version>, look: &Look) -> Reading {
    let ours = |process: &&Process| tool.owns(&process.comm, &process.argv);
    let names = look.programs.all.iter().filter(ours).map(|process| process.comm.clone()).collect::<Vec<_>>();
    let liveness = if look.pane.dead {
        Liveness::Dead(match (look.pane.exit_status, look.pane.exit_signal) {
            (_, Some(signal)) => format!("the program was ended by signal {signal}"),
            (Some(status), None) => format!("the program exited with status {status}"),
            (None, None) => "the program has exited".to_owned(),
        })
    } else if names.is_empty() {
        let there = look.programs.all.last().map_or("nothing", |process| &process.comm);
        Liveness::Ended(format!("{} does not run in the pane ({there} does)", tool.name))
    } else if look.programs.in_front().any(|process| tool.owns(&process.comm, &process.argv)) {
        Liveness::Alive
    } else {
        let front = look.programs.in_front().next().map_or("nothing", |process| &process.comm);
        Liveness::Behind(format!("{} is not in the foreground of its terminal ({front} is)", tool.name))
    };
    let (title, screen) = (&look.pane.title, &look.screen);
    let sight = Sight::new(title, &screen.text, &screen.ansi, look.pane.cursor, look.pane.cursor_shown);
    let alive = matches!(liveness, Liveness::Alive);
    let found = if alive { tool.find(&sight, version) } else { Vec::new() };
    let composer = if alive { tool.composer_row(&sight) } else { None };
    let asks = found.iter().find(|found| found.shows.is_posture()).filter(|found| found.shows.is_blocked());
    Reading {
        question: asks.map(|asks| tool.question(&sight, asks)),
        liveness,
        has_rules: tool.has_rules(),
        has_composer: composer.is_some(),
        names,
        fingerprint: Some(Box::new(Fingerprint {
            pane_id: look.pane.id.to_string(),
            pane_pid: look.pane.pid,
            title: look.pane.title.clone(),
            hash: digest::sha1(look.screen.text.as_bytes()),
            length: look.screen.text.chars().count(),
            body: body(&look.screen.text, composer, usize::MAX),
            tail: body(&look.screen.text, composer, TAIL_ROWS),
            size: look.pane.size,
        })),
        found,
    }
}

/// A hash of the last `count` rows above the composer. Blank rows do not count: a composer that grows moves them about.
fn body(text: &str, composer: Option<usize>, count: usize) -> u64 {
    let rows = text.lines().take(composer.unwrap_or(usize::MAX)).filter(|row| !row.trim().is_empty());
    let rows: Vec<&str> = rows.collect();
    let mut hasher = DefaultHasher::new();
    for row in &rows[rows.len().saturating_sub(count)..] {
        row.hash(&mut hasher);
    }
    hasher.finish()
}
