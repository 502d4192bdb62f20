//! What happened to an agent: one line each in `history.jsonl`, and in words in `history`.

use super::live::TurnSource;
use super::receipt::{Pressed, Receipt, Stage};
use super::turn::{ReplySource, TurnOutcome};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Actor {
    /// Somebody using the mounted tree.
    Mount {
        /// The user's id.
        uid: u32,
        /// The process that made the call; 0 when it cannot be seen.
        pid: u32,
        /// What that process called itself when it did, at most 15 bytes (proc_pid_comm(5)).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
    },
    /// Somebody using the command line.
    Cli {
        /// The user's id.
        uid: u32,
        /// The `troop` process.
        pid: u32,
    },
    /// The agent's queue.
    Queue {
        /// The name under which it waited there.
        name: String,
    },
    /// Seen, not done: inferred from records, tmux and the screen.
    Observed,
}

/// One event. `seq` counts from 1 in each agent's journal and never repeats there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Event {
    /// Position in the agent's journal.
    pub seq: u64,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The agent's name at that time.
    pub agent: String,
    /// The agent's id.
    pub agent_id: String,
    /// Who.
    pub actor: Actor,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// Launched by troop.
    Launched {
        /// Which program.
        tool: String,
        /// The tmux session.
        session: String,
    },
    /// Registered by troop where it ran already.
    Adopted {
        /// Which program.
        tool: String,
        /// The tmux session, which is somebody's own.
        session: String,
        /// The pane.
        pane: String,
    },
    /// First seen in the registry by this journal.
    Appeared {
        /// Which program.
        tool: String,
    },
    /// The status changed.
    Status {
        /// What it was.
        from: super::live::Status,
        /// What it is.
        to: super::live::Status,
        /// The rule or fact that decided.
        why: String,
    },
    /// A prompt was accepted for delivery: its turn is open.
    Prompt {
        /// Its id in receipts.
        prompt_id: String,
        /// The number of its turn.
        turn: u64,
        /// The text, whole.
        text: String,
    },
    /// A prompt was put into the queue.
    Queued {
        /// Its name there.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// A prompt was taken out of the queue by hand.
    Unqueued {
        /// Its name there.
        name: String,
    },
    /// A prompt in the queue got another name.
    Requeued {
        /// What it was.
        from: String,
        /// What it is.
        to: String,
    },
    /// What became of a prompt.
    Receipt(Receipt),
    /// A turn began, or went on after it had seemed to end.
    TurnBegan {
        /// Its number.
        turn: u64,
        /// How that is known.
        source: TurnSource,
    },
    /// A turn was over.
    TurnEnded {
        /// Its number.
        turn: u64,
        /// How it ended.
        outcome: TurnOutcome,
        /// What was answered, where that is known.
        reply: Option<String>,
        /// Where the answer was read.
        reply_source: Option<ReplySource>,
    },
    /// Keys were sent through `keys`.
    Keys {
        /// Their names.
        keys: Vec<String>,
    },
    /// The interrupt key was pressed.
    Interrupted(Pressed),
    /// A question was answered.
    Answered(Pressed),
    /// The terminal was resized.
    Resized {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The agent was stopped.
    Stopped {
        /// Why, as the record says.
        reason: String,
    },
    /// Its program was started again.
    Relaunched {
        /// The tmux session.
        session: String,
        /// Which conversation it goes on with: `new`, `last`, or `exact` and its id.
        chat: String,
    },
    /// A relaunch that somebody left undone was settled.
    Recovered {
        /// What was found.
        found: String,
    },
    /// It was let go; its program was left as it is.
    Closed,
    /// The record was retired.
    Retired,
    /// The journal took no event: this one, the one before and those to come are in memory only.
    JournalFailed {
        /// The sentence.
        error: String,
    },
    /// The journal takes events again. What happened in between is not in it.
    JournalResumed {
        /// How many events are missing there.
        missing: u64,
    },
    /// A write was refused.
    Refused {
        /// What was attempted.
        what: String,
        /// The sentence.
        error: String,
    },
}

impl Event {
    /// The line people read in `history`, without its newline. Prompts keep
    /// their line breaks, indented, so that one event stays one block.
    pub fn to_text(&self) -> String {
        let at = self.at.strftime("%Y-%m-%d %H:%M:%S");
        let who = match &self.actor {
            Actor::Mount { uid, pid, program: None } => format!("mount uid={uid} pid={pid}"),
            Actor::Mount { uid, pid, program: Some(program) } => format!("mount uid={uid} pid={pid} ({program})"),
            Actor::Cli { uid, pid } => format!("cli uid={uid} pid={pid}"),
            Actor::Queue { name } => format!("queue {name}"),
            Actor::Observed => "observed".to_owned(),
        };
        let what = match &self.kind {
            EventKind::Launched { tool, session } => format!("launched {tool} in session {session}"),
            EventKind::Adopted { tool, session, pane } => format!("adopted {tool} in pane {pane} of session {session}"),
            EventKind::Appeared { tool } => format!("appeared, running {tool}"),
            EventKind::Status { from, to, why } => format!("status {from} -> {to} ({why})"),
            EventKind::Prompt { text, .. } => format!("prompt: {}", text.replace('\n', "\n    ")),
            EventKind::Queued { name, bytes } => format!("queued {name} ({bytes} bytes)"),
            EventKind::Unqueued { name } => format!("took {name} out of the queue"),
            EventKind::Requeued { from, to } => format!("queue: {from} is now {to}"),
            EventKind::Receipt(receipt) => match (receipt.stage, &receipt.reason) {
                (Stage::Confirmed, _) => format!("prompt confirmed: turn {} began", receipt.turn),
                (stage, Some(reason)) => format!("prompt {}: {reason}", stage.as_str()),
                (stage, None) => format!("prompt {}", stage.as_str()),
            },
            EventKind::TurnBegan { turn, .. } => format!("turn {turn} began"),
            EventKind::TurnEnded { turn, outcome, reply, .. } => match reply {
                Some(reply) => format!("turn {turn} {}: {}", outcome.as_str(), reply.replace('\n', "\n    ")),
                None => format!("turn {turn} {}", outcome.as_str()),
            },
            EventKind::Keys { keys } => format!("keys {}", keys.join(" ")),
            EventKind::Interrupted(pressed) | EventKind::Answered(pressed) => {
                let choice = pressed.choice.as_ref().map_or_else(String::new, |choice| format!(": {choice}"));
                let reason = pressed.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
                format!("{}{choice} {}{reason}", pressed.verb, pressed.stage.as_str())
            }
            EventKind::Resized { cols, rows } => format!("resized to {cols}x{rows}"),
            EventKind::Stopped { reason } => format!("stopped ({reason})"),
            EventKind::Relaunched { session, chat } => format!("relaunched in session {session} ({chat})"),
            EventKind::Recovered { found } => format!("recovered: {found}"),
            EventKind::Closed => "closed; its program was left as it is".to_owned(),
            EventKind::Retired => "retired".to_owned(),
            EventKind::JournalFailed { error } => {
                format!("this history is not written to disk until that works again: {error}")
            }
            EventKind::JournalResumed { missing } => {
                format!("this history is written to disk again, where {missing} events are missing")
            }
            EventKind::Refused { what, error } => format!("refused {what}: {error}"),
        };
        format!("{at}Z  {who}  {what}")
    }
}
