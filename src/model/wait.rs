//! What one may wait for of an agent, and when it has come. Pure: the snapshot and
//! the time are arguments.
//!
//! A wait belongs to one appearance of an agent, its slot: a successor of the same
//! name is another agent. What is so already need not be waited for.

use super::agent_view::AgentView;
use super::live::Status;
use super::snapshot::{Snapshot, printable};
use super::turn::{Turn, TurnOutcome};
use crate::error::{Error, Kind, Result};
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// After that long `unknown` needs a person: `settled` holds (Houmao calls it stalled
/// after the same time; houmao, section 5).
pub const UNKNOWN_LIMIT: SignedDuration = SignedDuration::from_secs(30);
/// How long after the end of a turn its answer may still become known: it is read in
/// a file that the program writes at about the same time.
pub const REPLY_LIMIT: SignedDuration = SignedDuration::from_secs(2);

/// What has to become so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its status is `ready`.
    Ready,
    /// Its status is `active`.
    Active,
    /// Its status is `blocked`.
    Blocked,
    /// It needs a person: ready, blocked, down, gone, or unknown for [`UNKNOWN_LIMIT`].
    Settled,
    /// Its status is `gone`, or it is not listed any more.
    Gone,
    /// Its status, the number of its last turn or how that ended differs from when the wait began.
    Change,
    /// The turn of that number has ended.
    Turn(u64),
}

/// The conditions that are one word, with it.
const WORDS: [(&str, Condition); 6] = [
    ("ready", Condition::Ready),
    ("active", Condition::Active),
    ("blocked", Condition::Blocked),
    ("settled", Condition::Settled),
    ("gone", Condition::Gone),
    ("change", Condition::Change),
];

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(number) => write!(f, "turn/{number}"),
            word => f.write_str(WORDS.iter().find(|(_, known)| known == word).map_or("", |(text, _)| text)),
        }
    }
}

/// A condition as it is shown, and `turn:N` for those who find the slash odd outside of a path.
impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("turn/").or_else(|| text.strip_prefix("turn:"));
        let turn = number.and_then(|number| number.parse().ok()).filter(|number| *number > 0).map(Self::Turn);
        turn.or_else(|| WORDS.iter().find(|(word, _)| *word == text).map(|(_, condition)| *condition)).ok_or_else(
            || {
                let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
                Error::new(
                    Kind::Invalid,
                    format!("there is no condition {text:?}; wait for one of {}, or turn/N", words.join(", ")),
                )
            },
        )
    }
}

/// What is waited for, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited<T> {
    /// It has come.
    Come(T),
    /// It has not; without a change it may come at this time, if there is one.
    NotYet(Option<Timestamp>),
}

/// The line that a wait ends with: `condition status turn outcome`.
///
/// `condition` is what was waited for, or `gone` when the agent went instead; `turn` the
/// number of its last turn (of the one that was waited for) or `-`; `outcome` how that
/// ended, or `-` while it has not or where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Why the wait ended.
    pub condition: Condition,
    moment: Moment,
}

/// What of an agent is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    status: Status,
    turn: Option<u64>,
    outcome: Option<TurnOutcome>,
}

impl Moment {
    /// Of an agent that is not listed any more.
    const ABSENT: Self = Self { status: Status::Gone, turn: None, outcome: None };

    fn of(agent: &AgentView) -> Self {
        let last = agent.turns.last();
        Self { status: agent.status(), turn: last.map(|turn| turn.number), outcome: last.and_then(|turn| turn.outcome) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { status, turn, outcome } = self.moment;
        let turn = turn.map_or_else(|| "-".to_owned(), |number| number.to_string());
        write!(f, "{} {status} {turn} {}", self.condition, outcome.map_or("-", TurnOutcome::as_str))
    }
}

/// One wait, from when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    condition: Condition,
    slot: u32,
    began: Moment,
}

impl Wait {
    /// A wait for `condition` that begins with this view of an agent.
    pub fn begin(condition: Condition, agent: &AgentView) -> Self {
        Self { condition, slot: agent.slot, began: Moment::of(agent) }
    }

    /// What is waited for.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Whether the wait is over in this snapshot at this time, and with which line.
    pub fn look(&self, snapshot: &Snapshot, now: Timestamp) -> Awaited<Line> {
        let Some((_, agent)) = snapshot.by_slot(self.slot) else { return Awaited::Come(self.went(Moment::ABSENT)) };
        let moment = Moment::of(agent);
        let come = |holds: bool| holds.then_some(moment);
        let held = match self.condition {
            Condition::Ready => come(moment.status == Status::Ready),
            Condition::Active => come(moment.status == Status::Active),
            Condition::Blocked => come(moment.status == Status::Blocked),
            Condition::Settled if moment.status == Status::Unknown => {
                let at = agent.state.status_since + UNKNOWN_LIMIT;
                if now < at {
                    return Awaited::NotYet(Some(at));
                }
                come(true)
            }
            Condition::Settled => come(matches!(moment.status, Status::Ready | Status::Blocked | Status::Down)),
            Condition::Change => come(moment != self.began && moment.status != Status::Gone),
            Condition::Turn(number) => {
                ended(&agent.turns, number).map(|outcome| Moment { status: moment.status, turn: Some(number), outcome })
            }
            Condition::Gone => None,
        };
        match held {
            Some(moment) => Awaited::Come(Line { condition: self.condition, moment }),
            None if moment.status == Status::Gone => Awaited::Come(self.went(moment)),
            None => Awaited::NotYet(None),
        }
    }

    /// The line of a wait that ends because the agent has gone; that settles it.
    fn went(&self, moment: Moment) -> Line {
        let condition = match self.condition {
            Condition::Settled => Condition::Settled,
            _ => Condition::Gone,
        };
        Line { condition, moment }
    }
}

/// Whether the turn of that number can be waited for: one that has begun, or the next.
pub fn may_await_turn(agent: &AgentView, number: u64) -> bool {
    (1..=next_turn(agent)).contains(&number)
}

/// The number of the turn after the last.
pub fn next_turn(agent: &AgentView) -> u64 {
    agent.turns.last().map_or(1, |last| last.number.saturating_add(1))
}

/// How a turn ended, once it has. Of one too old to be kept only that it has is known.
fn ended(turns: &[Arc<Turn>], number: u64) -> Option<Option<TurnOutcome>> {
    match turns.iter().rev().find(|turn| turn.number <= number) {
        Some(turn) if turn.number == number => turn.has_ended().then_some(turn.outcome),
        _ => turns.last().is_some_and(|last| last.number > number).then_some(None),
    }
}

/// A prompt that became a turn, for whoever waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    slot: u32,
    turn: u64,
}

impl Asked {
    /// The prompt that became the last turn of this agent; none when there is no turn.
    pub fn last_of(agent: &AgentView) -> Option<Self> {
        agent.turns.last().map(|turn| Self { slot: agent.slot, turn: turn.number })
    }

    /// The answer, ending in a newline and without control characters, or why there will be none.
    pub fn look(&self, snapshot: &Snapshot, now: Timestamp) -> Awaited<Result<String>> {
        let Some((_, agent)) = snapshot.by_slot(self.slot) else {
            let gone = Error::new(Kind::Gone, "the agent went before it answered; launch it again and ask it anew");
            return Awaited::Come(Err(gone));
        };
        let name = &agent.dir_name;
        let failed = |kind, sentence: String| Awaited::Come(Err(Error::new(kind, sentence)));
        let Some(turn) = agent.turns.iter().rev().find(|turn| turn.number == self.turn) else {
            return failed(
                Kind::Io,
                format!("turn {} of {name} is too old: its answer is not kept any more", self.turn),
            );
        };
        let Some(ended_at) = turn.ended_at else {
            return match agent.status().is_alive() {
                true => Awaited::NotYet(None),
                false => failed(Kind::Gone, lost(name)),
            };
        };
        match (turn.outcome, &turn.reply) {
            (Some(TurnOutcome::Success) | None, Some(reply)) => Awaited::Come(Ok(printable(&reply.text))),
            (Some(TurnOutcome::Success) | None, None) if now < ended_at + REPLY_LIMIT => {
                Awaited::NotYet(Some(ended_at + REPLY_LIMIT))
            }
            (Some(TurnOutcome::Success) | None, None) => {
                failed(Kind::Io, format!("{name} has answered, but the answer could not be read; look at its screen"))
            }
            (Some(TurnOutcome::Interrupted), _) => {
                failed(Kind::Io, format!("the turn of {name} was interrupted before it had answered; ask again"))
            }
            (Some(TurnOutcome::KnownFailure), _) => {
                failed(Kind::Io, format!("{name} showed an error in place of an answer; look at its screen"))
            }
            (Some(TurnOutcome::Unconfirmed), _) => failed(
                Kind::TimedOut,
                format!("nothing proves that {name} took the prompt; look at its screen before asking again"),
            ),
            (Some(TurnOutcome::Refused), _) => failed(
                Kind::Busy,
                format!("the prompt could not be delivered to {name}, so nothing was typed; see its history"),
            ),
            (Some(TurnOutcome::Lost), _) => failed(Kind::Gone, lost(name)),
        }
    }
}

fn lost(name: &str) -> String {
    format!("{name} ended, or was not watched, before it had answered; look at its screen")
}

#[cfg(test)]
mod tests;
