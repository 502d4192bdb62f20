//! What one open file that makes its reader wait is waiting for, and what has come of it.

use crate::error::{Error, Kind};
use crate::model::{Asked, Awaited, Snapshot, Wait};
use jiff::Timestamp;
use std::sync::Arc;

/// How far an open file is.
#[derive(Debug)]
pub(super) enum Awaits {
    /// Nothing has been asked yet.
    Nothing,
    /// A prompt has been committed and is not accepted yet.
    Asking,
    /// For a condition.
    Condition(Wait),
    /// For an answer.
    Answer(Asked),
    /// This has come, and that many bytes of it have been read.
    Come(Arc<[u8]>, usize),
    /// Nothing will come; `told` when the sentence is in the agent's `error` already.
    Failed {
        /// Why not.
        error: Error,
        /// Whether it has been shown.
        told: bool,
    },
}

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// These bytes; none at the end.
    Bytes(Vec<u8>),
    /// A refusal, to be shown unless it has been.
    Error(Error, bool),
    /// Nothing yet.
    Later,
}

impl Awaits {
    /// Takes in what has come, and gives the time at which something may come without a change.
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Timestamp) -> Option<Timestamp> {
        let (come, again) = match self {
            Self::Condition(wait) => match wait.look(snapshot, now) {
                Awaited::Come(line) => (Some(Self::come(format!("{line}\n"))), None),
                Awaited::NotYet(again) => (None, again),
            },
            Self::Answer(asked) => match asked.look(snapshot, now) {
                Awaited::Come(Ok(text)) => (Some(Self::come(text)), None),
                Awaited::Come(Err(error)) => (Some(Self::Failed { error, told: false }), None),
                Awaited::NotYet(again) => (None, again),
            },
            Self::Nothing | Self::Asking | Self::Come(..) | Self::Failed { .. } => (None, None),
        };
        if let Some(come) = come {
            *self = come;
        }
        again
    }

    fn come(text: String) -> Self {
        Self::Come(text.into_bytes().into(), 0)
    }

    /// What a read of at most that many bytes gives.
    pub(super) fn take(&mut self, size: u32) -> Given {
        match self {
            Self::Come(bytes, read) => {
                let end = read.saturating_add(size as usize).min(bytes.len());
                let given = bytes[*read..end].to_vec();
                *read = end;
                Given::Bytes(given)
            }
            Self::Failed { error, told } => Given::Error(error.clone(), std::mem::replace(told, true)),
            // Waiting for an answer to nothing would never end.
            Self::Nothing => Given::Error(
                Error::new(
                    Kind::Invalid,
                    "nothing has been asked through this open file; write a prompt into it first",
                ),
                false,
            ),
            Self::Asking | Self::Condition(_) | Self::Answer(_) => Given::Later,
        }
    }

    /// Whether a read would not wait for something that has been asked for (poll(2)).
    pub(super) fn is_readable(&self) -> bool {
        matches!(self, Self::Come(..) | Self::Failed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_is_read_in_pieces_and_then_ends() {
        let mut awaits = Awaits::come("ready\n".to_owned());
        let piece = |text: &str| Given::Bytes(text.into());
        assert_eq!([awaits.take(1), awaits.take(4), awaits.take(9)], [piece("r"), piece("eady"), piece("\n")]);
        assert_eq!([awaits.take(9), awaits.take(9)], [piece(""), piece("")]);
        assert!(awaits.is_readable(), "poll(2) calls an end readable");
    }

    #[test]
    fn a_failure_stays_and_is_shown_once() {
        let error = Error::new(Kind::Busy, "not now");
        let mut awaits = Awaits::Failed { error: error.clone(), told: false };
        assert_eq!([awaits.take(1), awaits.take(1)], [Given::Error(error.clone(), false), Given::Error(error, true)]);
        assert!(matches!(Awaits::Nothing.take(1), Given::Error(error, false) if error.kind() == Kind::Invalid));
        assert_eq!(Awaits::Asking.take(1), Given::Later);
    }

    #[test]
    fn a_wait_for_somebody_who_is_not_there_is_over() {
        let mut awaits = Awaits::Nothing;
        assert_eq!(awaits.look(&Snapshot::default(), Timestamp::UNIX_EPOCH), None);
        assert!(!awaits.is_readable());
    }
}
