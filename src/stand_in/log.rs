//! What the stand-in received, one JSON line each, for whoever has to prove it.

use crate::error::{Error, Kind, Result};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One thing that was received or that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Record {
    /// The program runs.
    Start {
        /// The name it shows.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// It was started with a role, a model, or a conversation to go on with.
    Told {
        /// The role.
        role: Option<String>,
        /// The model.
        model: Option<String>,
        /// The conversation: `last`, or its id.
        resume: Option<String>,
    },
    /// The composer is there: it takes input.
    Ready,
    /// A bracketed paste ended.
    Paste {
        /// Its bytes.
        bytes: usize,
        /// Bytes over the limit, not among those.
        dropped: usize,
        /// Where it went.
        into: Target,
    },
    /// A prompt was submitted.
    Prompt {
        /// All of it, as it stood in the draft.
        text: String,
        /// Its bytes.
        bytes: usize,
        /// Its SHA-1.
        sha1: String,
        /// Whether another turn was running.
        queued: bool,
    },
    /// A slash command was given.
    Command {
        /// The command.
        text: String,
    },
    /// A turn began.
    TurnBegan {
        /// Its number, from 1.
        turn: u64,
    },
    /// A turn ended.
    TurnEnded {
        /// Its number.
        turn: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A question was put.
    Asked {
        /// The command it is about.
        command: String,
    },
    /// A question was answered.
    Answer {
        /// The number of the choice.
        choice: usize,
        /// Its words.
        text: &'static str,
    },
    /// A key had no meaning where it was pressed.
    Ignored {
        /// The key.
        key: String,
        /// Where it was pressed.
        into: Target,
    },
    /// The program ends.
    Exit {
        /// Its exit code.
        code: u8,
    },
}

/// What has the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// The draft.
    Composer,
    /// The open question.
    Question,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Its script was played to the end.
    Finished,
    /// Somebody pressed Escape.
    Interrupted,
    /// The model failed.
    Failed,
}

/// A file that is only appended to.
#[derive(Debug)]
pub(super) struct Log(File);

#[derive(Serialize)]
struct Stamped<'a, T> {
    t: f64,
    #[serde(flatten)]
    record: &'a T,
}

impl Log {
    /// Opens `path` for appending and makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map(Self)
            .map_err(|error| Error::io(format_args!("cannot open the log {}", path.display()), &error))
    }

    /// Appends one line in one write; its `t` is `time` in seconds since 1970.
    pub(super) fn append(&mut self, record: &impl Serialize, time: SystemTime) -> Result<()> {
        let t = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut line = serde_json::to_vec(&Stamped { t, record })
            .map_err(|error| Error::new(Kind::Io, format!("cannot write the log: {error}")))?;
        line.push(b'\n');
        self.0.write_all(&line).map_err(|error| Error::io("cannot write the log", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_with_its_time_and_event() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::open(&path).unwrap();
        log.append(&Record::Ready, SystemTime::now()).unwrap();
        log.append(&Record::TurnEnded { turn: 1, outcome: Outcome::Interrupted }, SystemTime::now()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["event"], "ready");
        assert!(lines[0]["t"].as_f64().unwrap() > 1.0e9);
        assert_eq!((&lines[1]["event"], &lines[1]["outcome"]), (&"turn_ended".into(), &"interrupted".into()));
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let error = Log::open(Path::new("/nonexistent/log")).unwrap_err();
        assert!(error.sentence().starts_with("cannot open the log /nonexistent/log:"), "{error}");
    }
}
