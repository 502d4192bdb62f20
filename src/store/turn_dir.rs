//! `<session root>/manifest.turn-artifacts/turn-0001/`: the files of one turn that was a process of its own (the
//! reference, section 2.1), and beside Houmao's some of ours, whose names begin with `troop-`.
//!
//! A turn that has a verdict is over, and nothing changes in its directory any more. One without is the last, or waits
//! to be judged by whoever admits the next.

use super::atomic::{PRIVATE_FILE, write_replace};
use super::dir::{make_private, read_regular};
use super::machine::Machine;
use super::wire::{time_text, to_json};
use crate::error::{Error, Kind, Result};
use crate::model::headless::{TurnStanding, Verdict};
use jiff::Timestamp;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory of all turns in a session root.
pub const ARTIFACTS: &str = "manifest.turn-artifacts";
/// What the program printed.
pub const STDOUT: &str = "stdout.jsonl";
/// What it complained of.
pub const STDERR: &str = "stderr.log";
/// What it exited with; written last, once there is nothing more to come.
pub const EXIT_CODE: &str = "exitcode";
/// Who runs it.
pub const PROCESS: &str = "process.json";
/// The lines of standard output in Houmao's words.
pub const CANONICAL: &str = "canonical-events.jsonl";
/// What is to be run.
const RUN: &str = "troop-run.json";
/// What was asked.
const PROMPT: &str = "troop-prompt";
/// Who runs it, so that no other process is taken for it.
const STARTED: &str = "troop-started.json";
/// Somebody has interrupted it.
const INTERRUPT: &str = "troop-interrupt";
/// How it ended.
pub const VERDICT: &str = "troop-verdict.json";

/// The most turns that are looked for in one session root.
const MAX_TURNS: usize = 100_000;
/// How often the next number is tried while others take them.
const MAX_TRIES: u64 = 64;
/// The most bytes of one of our files; a prompt has a megabyte at most.
const MAX_BYTES: u64 = 2 << 20;
/// How much of the end of standard error is read for its last line.
const COMPLAINT_BYTES: u64 = 4096;

/// What is to be run, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// 1.
    pub schema_version: u32,
    /// Its record in `managed_agents/*/turns/`.
    pub turn_id: String,
    /// Which turn of the session root it is.
    pub turn_index: u64,
    /// The prompt's id in receipts.
    pub prompt_id: String,
    /// When that was accepted.
    pub accepted_at_utc: Timestamp,
    /// Where the agent is managed.
    pub managed_dir: PathBuf,
    /// The agent's session root.
    pub session_root: PathBuf,
    /// Where the program works.
    pub cwd: PathBuf,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whether the prompt is its standard input.
    pub prompt_on_stdin: bool,
    /// How its lines are read: `[headless]` of its definition.
    pub definition: serde_json::Value,
}

/// `process.json`. The words are Houmao's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFile {
    /// What runs it.
    pub runner_pid: i32,
    /// The program.
    pub child_pid: i32,
    /// When it was started, to the second.
    pub launched_at_utc: String,
}

/// A process and when it started: with both it is no other, until the machine starts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its id.
    pub pid: i32,
    /// Field 22 of its `/proc/PID/stat`.
    pub start_time: u64,
}

/// Who runs a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// What runs it.
    pub runner: Known,
    /// The program.
    pub child: Known,
    /// When it was started.
    pub at: Timestamp,
    /// In which start of which machine; process ids and start times begin anew with each.
    pub machine: Option<Machine>,
}

impl Started {
    /// Whether processes of those numbers may be these.
    pub fn is_of_this_boot(&self) -> bool {
        self.machine.as_ref().is_none_or(Machine::is_here)
    }
}

/// The directory of one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnDir {
    path: PathBuf,
    index: u64,
}

/// Where the turns of a session root are.
pub fn artifacts(session_root: &Path) -> PathBuf {
    session_root.join(ARTIFACTS)
}

impl TurnDir {
    /// The directory at that path; `None` when that is no turn's name.
    pub fn at(path: &Path) -> Option<Self> {
        let digits = path.file_name()?.to_str()?.strip_prefix("turn-")?;
        let index = digits.parse().ok().filter(|index| format!("{index:04}") == digits)?;
        Some(Self { path: path.to_owned(), index })
    }

    /// Every turn of a session root, in order.
    pub fn all(session_root: &Path) -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir(artifacts(session_root)) else { return Vec::new() };
        let mut all: Vec<Self> =
            entries.flatten().take(MAX_TURNS).filter_map(|entry| Self::at(&entry.path())).collect();
        all.sort_by_key(|turn| turn.index);
        all
    }

    /// The last turn of a session root that is more than a directory: whoever made that may have died at once.
    pub fn last(session_root: &Path) -> Option<Self> {
        Self::all(session_root).into_iter().rev().find(Self::is_prepared)
    }

    /// Whether it says what is to be run, or what runs.
    pub fn is_prepared(&self) -> bool {
        [RUN, PROCESS, EXIT_CODE].iter().any(|name| self.file(name).exists())
    }

    /// Makes the directory of the turn after the last, after `least` as well.
    pub fn create(session_root: &Path, least: u64) -> Result<Self> {
        make_private(&artifacts(session_root))?;
        let first = Self::all(session_root).last().map_or(0, |turn| turn.index).max(least) + 1;
        for index in first..first + MAX_TRIES {
            let path = artifacts(session_root).join(format!("turn-{index:04}"));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, index }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(format_args!("cannot make {}", path.display()), &error)),
            }
        }
        Err(Error::new(Kind::Busy, "others begin turns of this agent faster than this one could; try again"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its number in the session root, from 1.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where its prompt is.
    pub fn prompt_path(&self) -> PathBuf {
        self.file(PROMPT)
    }

    /// Writes down what is asked, and what is to be run for it.
    pub fn prepare(&self, run: &Run, prompt: &str) -> Result<()> {
        write_replace(&self.prompt_path(), prompt.as_bytes(), PRIVATE_FILE)?;
        self.write(RUN, run)
    }

    /// What is to be run; `None` for a turn that is not ours.
    pub fn run(&self) -> Option<Run> {
        self.read(RUN)
    }

    /// Writes down who runs it.
    pub fn set_started(&self, started: &Started) -> Result<()> {
        self.write(STARTED, started)?;
        let process = ProcessFile {
            runner_pid: started.runner.pid,
            child_pid: started.child.pid,
            launched_at_utc: time_text(started.at),
        };
        self.write(PROCESS, &process)
    }

    /// Who runs it.
    pub fn started(&self) -> Option<Started> {
        self.read(STARTED)
    }

    /// Who runs it, in Houmao's words.
    pub fn process(&self) -> Option<ProcessFile> {
        self.read(PROCESS)
    }

    /// Writes down what its program exited with.
    pub fn set_exit_code(&self, code: i32) -> Result<()> {
        write_replace(&self.file(EXIT_CODE), format!("{code}\n").as_bytes(), PRIVATE_FILE)
    }

    /// What its program exited with.
    pub fn exit_code(&self) -> Option<i32> {
        String::from_utf8(self.bytes(EXIT_CODE)?).ok()?.trim().parse().ok()
    }

    /// Somebody interrupts it.
    pub fn interrupt(&self, now: Timestamp) -> Result<()> {
        write_replace(&self.file(INTERRUPT), format!("{}\n", time_text(now)).as_bytes(), PRIVATE_FILE)
    }

    /// When it was interrupted, to the second.
    pub fn interrupted_at(&self) -> Option<String> {
        Some(String::from_utf8(self.bytes(INTERRUPT)?).ok()?.trim().to_owned())
    }

    /// How it ended. Of a turn that is not ours the exit code tells, because nobody writes a verdict.
    pub fn verdict(&self) -> Option<Verdict> {
        if let Some(verdict) = self.read(VERDICT) {
            return Some(verdict);
        }
        let code = self.exit_code().filter(|_| !self.file(RUN).exists())?;
        let standing = if code == 0 { TurnStanding::Completed } else { TurnStanding::Failed };
        Some(Verdict { standing, returncode: Some(code), error: None })
    }

    /// Writes down how it ended: the turn is over.
    pub fn set_verdict(&self, verdict: &Verdict) -> Result<()> {
        self.write(VERDICT, verdict)
    }

    /// Makes one of its files to append to.
    pub fn append_to(&self, name: &str) -> Result<File> {
        let path = self.file(name);
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(PRIVATE_FILE).custom_flags(OFlag::O_NOFOLLOW.bits());
        options.open(&path).map_err(|error| Error::io(format_args!("cannot open {}", path.display()), &error))
    }

    /// The last line of standard error that is not blank.
    pub fn complaint(&self) -> Option<String> {
        let mut file = open(&self.file(STDERR))?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(COMPLAINT_BYTES))).ok()?;
        let mut bytes = Vec::new();
        file.take(COMPLAINT_BYTES).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).collect())
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<()> {
        write_replace(&self.file(name), &to_json(value)?, PRIVATE_FILE)
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&self.bytes(name)?).ok()
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        read_regular(open(&self.file(name))?, MAX_BYTES).ok()
    }
}

fn open(path: &Path) -> Option<File> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(TurnDir::last(root.path()), None);
        assert_eq!(TurnDir::create(root.path(), 0).unwrap().index(), 1);
        assert_eq!(TurnDir::create(root.path(), 0).unwrap().index(), 2);
        assert_eq!(TurnDir::create(root.path(), 9).unwrap().path().file_name().unwrap(), "turn-0010");
        std::fs::create_dir(artifacts(root.path()).join("turn-007")).unwrap();
        std::fs::write(artifacts(root.path()).join("note"), "x").unwrap();
        let all: Vec<u64> = TurnDir::all(root.path()).iter().map(TurnDir::index).collect();
        assert_eq!(all, [1, 2, 10]);
        assert_eq!(TurnDir::last(root.path()), None, "nothing is in them");
        std::fs::write(artifacts(root.path()).join("turn-0002").join(PROCESS), "{}").unwrap();
        assert_eq!(TurnDir::last(root.path()).unwrap().index(), 2);
    }

    #[test]
    fn processes_are_no_others_until_the_machine_starts_anew() {
        let root = tempfile::tempdir().unwrap();
        let turn = TurnDir::create(root.path(), 0).unwrap();
        let ours = Known { pid: 1, start_time: 0 };
        let here = Machine::here().unwrap().clone();
        let later = Machine { boot_id: "later".to_owned(), ..here.clone() };
        let renamed = Machine { host: "renamed".to_owned(), ..here.clone() };
        for (machine, wanted) in [(None, true), (Some(here), true), (Some(renamed), true), (Some(later), false)] {
            let started = Started { runner: ours, child: ours, at: Timestamp::UNIX_EPOCH, machine };
            turn.set_started(&started).unwrap();
            assert_eq!(turn.started().as_ref(), Some(&started));
            assert_eq!(started.is_of_this_boot(), wanted, "{started:?}");
        }
    }

    #[test]
    fn a_turn_of_another_program_is_over_with_its_exit_code() {
        let root = tempfile::tempdir().unwrap();
        let turn = TurnDir::create(root.path(), 0).unwrap();
        assert_eq!(turn.verdict(), None);
        std::fs::write(turn.file(EXIT_CODE), "1\n").unwrap();
        assert_eq!(turn.verdict().unwrap().standing, TurnStanding::Failed);
        std::fs::write(turn.file(RUN), "{}").unwrap();
        assert_eq!(turn.verdict(), None, "ours wait for their verdict");
    }

    #[test]
    fn the_last_complaint() {
        let root = tempfile::tempdir().unwrap();
        let turn = TurnDir::create(root.path(), 0).unwrap();
        assert_eq!(turn.complaint(), None);
        std::fs::write(turn.file(STDERR), "one\ntwo \u{1b}[31mred\n\n").unwrap();
        assert_eq!(turn.complaint().as_deref(), Some("two [31mred"));
    }
}
