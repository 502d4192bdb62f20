//! The grammar of the `control` files: one verb a line, several lines a write.

use super::adopt::ADOPT_SYNTAX;
use super::gc::{GC_SYNTAX, home_dir};
use super::launch::LAUNCH_SYNTAX;
use super::{Adopt, Gc, Launch, control_text};
use crate::error::{Error, Kind, Result};
use crate::model::ChatSession;
use std::path::PathBuf;

/// The most verbs in one write.
const MAX_VERBS: usize = 64;
/// The smallest and largest terminal that `resize` makes, columns and rows.
const SIZES: [std::ops::RangeInclusive<u16>; 2] = [20..=1000, 5..=500];

/// How a verb is written and what it does; what reading `control` shows.
#[derive(Debug, Clone, Copy)]
pub struct VerbDoc {
    /// The verb and its arguments.
    pub syntax: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// The verbs of an agent's `control`.
pub const AGENT_VERBS: &[VerbDoc] = &[
    VerbDoc { syntax: "interrupt", doc: "press the tool's interrupt key; the turn ends, the agent stays" },
    VerbDoc { syntax: "approve", doc: "answer its question with yes, this once; needs --allow-approvals" },
    VerbDoc { syntax: "deny", doc: "answer its question with no; needs --allow-approvals" },
    VerbDoc { syntax: "answer N", doc: "answer its question with choice N of `question`; needs --allow-approvals" },
    VerbDoc { syntax: "stop [--force]", doc: "end the program and its session; --force does not wait for it" },
    VerbDoc {
        syntax: "relaunch [new|last|exact ID]",
        doc: "start its program again, with a new conversation, its last one, or that one",
    },
    VerbDoc { syntax: "close", doc: "let go of it: its program goes on, and troop has nothing to do with it any more" },
    VerbDoc { syntax: "resize COLSxROWS", doc: "give the terminal another size" },
];

/// The verbs of the troop's `control`.
pub const TROOP_VERBS: &[VerbDoc] = &[
    VerbDoc {
        syntax: LAUNCH_SYNTAX,
        doc: "start an agent; words are split at blanks, files and directories begin with /",
    },
    VerbDoc { syntax: ADOPT_SYNTAX, doc: "register the agent in a pane: %7, SESSION or SESSION:WINDOW.PANE" },
    VerbDoc {
        syntax: GC_SYNTAX,
        doc: "take away what nobody needs any more and was left 7 d ago or TIME, as troop gc does; in one Home only",
    },
    VerbDoc { syntax: "home forget DIR", doc: "take a Home out of the index; nothing in it is touched" },
    VerbDoc { syntax: "rescan", doc: "read every record again" },
];

/// A verb for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Press the interrupt key.
    Interrupt,
    /// Answer the question with yes, this once.
    Approve,
    /// Answer the question with no.
    Deny,
    /// Answer the question with the choice of that number.
    Answer(u32),
    /// End the program and its session.
    Stop {
        /// Without waiting for it.
        force: bool,
    },
    /// Start its program again, in its session or, when that is gone, in a new one.
    Relaunch(ChatSession),
    /// Let go of it and leave its program running.
    Close,
    /// Give the terminal another size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
}

impl Verb {
    /// Whether whoever writes it is answered when it is done, not when it is accepted: the agent is somewhere else then.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::Stop { .. } | Self::Relaunch(_) | Self::Close)
    }
}

/// A verb for the troop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TroopVerb {
    /// Start an agent.
    Launch(Box<Launch>),
    /// Register an agent that runs already.
    Adopt(Adopt),
    /// Take away what nobody needs any more.
    Gc(Gc),
    /// Take a Home out of the index.
    ForgetHome(PathBuf),
    /// Read every record again.
    Rescan,
}

impl TroopVerb {
    /// As [`Verb::is_awaited`]: the agent is listed then, or the reason why it cannot be is known.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::Launch(_) | Self::Adopt(_))
    }
}

/// The verbs of a write to an agent's `control`: all of them or the first error.
pub fn agent_verbs(bytes: &[u8]) -> Result<Vec<Verb>> {
    lines(bytes, AGENT_VERBS, |words| match words {
        ["interrupt"] => Ok(Some(Verb::Interrupt)),
        ["approve"] => Ok(Some(Verb::Approve)),
        ["deny"] => Ok(Some(Verb::Deny)),
        ["answer", number] => Ok(number.parse().ok().map(Verb::Answer)),
        ["stop"] => Ok(Some(Verb::Stop { force: false })),
        ["stop", "--force"] => Ok(Some(Verb::Stop { force: true })),
        ["relaunch", words @ ..] => ChatSession::parse(words).map(|chat| chat.map(Verb::Relaunch)),
        ["close"] => Ok(Some(Verb::Close)),
        ["resize", size] => parse_size(size).map(|(cols, rows)| Some(Verb::Resize { cols, rows })),
        _ => Ok(None),
    })
}

/// The verbs of a write to the troop's `control`: all of them or the first error.
pub fn troop_verbs(bytes: &[u8]) -> Result<Vec<TroopVerb>> {
    lines(bytes, TROOP_VERBS, |words| match words {
        ["launch", name, options @ ..] => Ok(Launch::parse(name, options)?.map(Box::new).map(TroopVerb::Launch)),
        ["adopt", pane, options @ ..] => Ok(Adopt::parse(pane, options)?.map(TroopVerb::Adopt)),
        ["gc", options @ ..] => Ok(Gc::parse(options)?.map(TroopVerb::Gc)),
        ["home", "forget", home] => home_dir(home).map(|home| Some(TroopVerb::ForgetHome(home))),
        ["rescan"] => Ok(Some(TroopVerb::Rescan)),
        _ => Ok(None),
    })
}

fn parse_size(size: &str) -> Result<(u16, u16)> {
    let parsed =
        size.split_once('x').and_then(|(cols, rows)| Some((cols.parse::<u16>().ok()?, rows.parse::<u16>().ok()?)));
    match parsed {
        Some((cols, rows)) if SIZES[0].contains(&cols) && SIZES[1].contains(&rows) => Ok((cols, rows)),
        _ => Err(Error::new(
            Kind::Invalid,
            format!("{size:?} is not a terminal size; write COLSxROWS between 20x5 and 1000x500, such as 120x40"),
        )),
    }
}

fn lines<V>(bytes: &[u8], docs: &[VerbDoc], parse: impl Fn(&[&str]) -> Result<Option<V>>) -> Result<Vec<V>> {
    let mut verbs = Vec::new();
    for line in control_text(bytes)?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let verb = parse(&words)?.ok_or_else(|| unknown(line.trim(), words[0], docs))?;
        verbs.push(verb);
    }
    match verbs.len() {
        0 => Err(Error::new(Kind::Invalid, "no verb was written; read this file for the list")),
        1..=MAX_VERBS => Ok(verbs),
        n => Err(Error::new(Kind::TooLarge, format!("{n} verbs at once; {MAX_VERBS} is the limit"))),
    }
}

fn unknown(line: &str, verb: &str, docs: &[VerbDoc]) -> Error {
    let known = docs.iter().find(|doc| doc.syntax.split(' ').next() == Some(verb));
    let sentence = match known {
        Some(doc) => format!("{line:?} is not how {verb} is written; write {}", doc.syntax),
        None => {
            let names: Vec<&str> = docs.iter().filter_map(|doc| doc.syntax.split(' ').next()).collect();
            format!("{verb:?} is not a verb here; the verbs are {}", names.join(", "))
        }
    };
    Error::new(Kind::Invalid, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn verbs_are_lines() {
        assert_eq!(agent_verbs(b"interrupt\n").unwrap(), [Verb::Interrupt]);
        assert_eq!(
            agent_verbs(b"\n  interrupt \r\nstop --force\nresize 80x24").unwrap(),
            [Verb::Interrupt, Verb::Stop { force: true }, Verb::Resize { cols: 80, rows: 24 }]
        );
    }

    #[test]
    fn one_wrong_line_refuses_all() {
        for (bytes, part) in [
            (&b"interrupt\nexplode\n"[..], "\"explode\" is not a verb here"),
            (b"stop now\n", "write stop [--force]"),
            (b"relaunch exact\n", "write relaunch [new|last|exact ID]"),
            (b"relaunch exact --last\n", "cannot be a conversation's id"),
            (b"resize 1x1\n", "not a terminal size"),
            (b"resize 80\n", "not a terminal size"),
            (b"\n\n", "no verb"),
            (b"inter\x1brupt", "control characters"),
            (b"\xff", "UTF-8"),
        ] {
            let error = agent_verbs(bytes).unwrap_err();
            assert!(error.sentence().contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = agent_verbs(&bytes);
            let _ = troop_verbs(&bytes);
            let _ = super::super::keys(&bytes);
        }

        #[test]
        fn sizes_round_trip(cols in 20u16..=1000, rows in 5u16..=500) {
            let line = format!("resize {cols}x{rows}");
            prop_assert_eq!(agent_verbs(line.as_bytes()).unwrap(), vec![Verb::Resize { cols, rows }]);
        }
    }
}
