//! `troop stand-in`: a small interactive agent that needs no account.
//!
//! It is the default tool, the demo and the agent of the tests: a real program in
//! raw mode with bracketed paste, a composer, a working line, questions, errors and
//! answers, that does what its prompts say (`/help` lists the script words). It
//! draws on the ordinary screen, so that scrollback grows as with other agents.
//!
//! The core is pure: `keys` decodes bytes, `app` is the state machine,
//! `view` gives rows and `paint` the bytes for the terminal. `terminal` is
//! the edge.

mod app;
mod keys;
mod line;
mod log;
mod mischief;
mod paint;
mod script;
mod terminal;
mod text;
mod transcript;
mod view;
mod words;
mod written;

#[cfg(test)]
mod tests;

use crate::error::Result;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The name it shows when it is given none.
const NAME: &str = "stand-in";
/// The exit code of a stand-in that could not run.
const FAILED: u8 = 1;

/// The arguments of `troop stand-in`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Append one JSON line to FILE for each thing received
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Append one JSON line to FILE for each prompt, message and end of a turn
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Milliseconds between the words of an answer
    #[arg(long, value_name = "MS", default_value_t = 30)]
    pace: u64,
    /// Milliseconds until it takes input
    #[arg(long, value_name = "MS", default_value_t = 0)]
    start_delay: u64,
    /// The name it shows in its window title
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it does to some of the pastes it gets
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    mischief: Vec<mischief::Kind>,
    /// Which pastes those are
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Draw on the alternate screen
    #[arg(long)]
    alternate: bool,
    /// What it is told before anybody prompts it; it only writes that into its log
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    role: Option<String>,
    /// Which model it would use; for the log too
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Go on with that conversation; for the log too
    #[arg(long, value_name = "last|ID")]
    resume: Option<String>,
}

/// How a stand-in behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where one JSON line is appended for each thing received: `{"t":SECONDS,"event":"prompt","text":…}`.
    pub log: Option<PathBuf>,
    /// Where its conversation is appended, as other programs keep theirs: `{"t":SECONDS,"event":"user","text":…}`.
    pub transcript: Option<PathBuf>,
    /// Time between the words of an answer.
    pub pace: Duration,
    /// Time until it takes input; what is sent before waits in the terminal.
    pub start_delay: Duration,
    /// The name it shows in its window title; `stand-in` when there is none.
    pub name: Option<String>,
    /// What happens to some pastes.
    mischief: mischief::Mischief,
    /// Whether it draws on the alternate screen.
    pub alternate: bool,
    /// What it was told at its start: it goes into the log.
    told: Option<log::Record>,
}

impl From<Args> for Options {
    fn from(args: Args) -> Self {
        Self {
            log: args.log,
            transcript: args.transcript,
            pace: Duration::from_millis(args.pace),
            start_delay: Duration::from_millis(args.start_delay),
            name: args.name,
            mischief: mischief::Mischief::new(args.mischief, args.seed),
            alternate: args.alternate,
            told: (args.role.is_some() || args.model.is_some() || args.resume.is_some()).then_some(log::Record::Told {
                role: args.role,
                model: args.model,
                resume: args.resume,
            }),
        }
    }
}

/// Runs the stand-in on the terminal of standard input and output until it ends.
///
/// Returns its exit code: 0 after `/exit` or Ctrl-C twice, that of `sim:exit`, 128 and
/// the signal's number after SIGTERM, SIGHUP or SIGINT, and 1 with a sentence on
/// standard error when there is no terminal or the log cannot be written.
pub fn run(options: Options) -> ExitCode {
    match try_run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "troop stand-in: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn try_run(options: &Options) -> Result<u8> {
    let open = |path: &Option<PathBuf>| path.as_deref().map(log::Log::open).transpose();
    let (log, conversation) = (open(&options.log)?, open(&options.transcript)?);
    let terminal = terminal::Terminal::open(options.alternate)?;
    let name = options.name.as_deref().unwrap_or(NAME);
    let mut app = app::App::new(name, options.pace, options.start_delay, terminal::size());
    app.mischief = options.mischief.clone();
    app.records.extend(options.told.clone());
    terminal.run(&mut app, log, conversation)
}
