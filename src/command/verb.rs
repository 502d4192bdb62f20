//! The grammar of the `control` files: one verb a line, several lines a write.

use super::{Launch, control_text};
use crate::error::{Error, Kind, Result};
use crate::model::AgentName;
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
    VerbDoc { syntax: "resize COLSxROWS", doc: "give the terminal another size" },
];

/// The verbs of the troop's `control`.
pub const TROOP_VERBS: &[VerbDoc] = &[
    VerbDoc {
        syntax: "launch NAME [--tool T] [--cwd DIR] [--headless] [-- ARG...]",
        doc: "start an agent; arguments are split at blanks",
    },
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
    /// Give the terminal another size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
}

/// A verb for the troop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TroopVerb {
    /// Start an agent.
    Launch(Launch),
    /// Read every record again.
    Rescan,
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
        ["resize", size] => parse_size(size).map(|(cols, rows)| Some(Verb::Resize { cols, rows })),
        _ => Ok(None),
    })
}

/// The verbs of a write to the troop's `control`: all of them or the first error.
pub fn troop_verbs(bytes: &[u8]) -> Result<Vec<TroopVerb>> {
    lines(bytes, TROOP_VERBS, |words| match words {
        ["launch", name, options @ ..] => launch(name, options).map(|launch| launch.map(TroopVerb::Launch)),
        ["rescan"] => Ok(Some(TroopVerb::Rescan)),
        _ => Ok(None),
    })
}

fn launch(name: &str, mut options: &[&str]) -> Result<Option<Launch>> {
    let mut launch = Launch { name: AgentName::new(name)?, tool: None, cwd: None, argv: Vec::new(), headless: false };
    loop {
        options = match options {
            [] => return Ok(Some(launch)),
            ["--tool", tool, rest @ ..] => {
                launch.tool = Some((*tool).to_owned());
                rest
            }
            ["--headless", rest @ ..] => {
                launch.headless = true;
                rest
            }
            ["--cwd", dir, rest @ ..] if dir.starts_with('/') => {
                launch.cwd = Some(PathBuf::from(dir));
                rest
            }
            ["--cwd", ..] => {
                return Err(Error::new(
                    Kind::Invalid,
                    "--cwd takes a path that begins with '/', because the mount has no current directory",
                ));
            }
            ["--", argv @ ..] if !argv.is_empty() => {
                launch.argv = argv.iter().map(|word| (*word).to_owned()).collect();
                return Ok(Some(launch));
            }
            _ => return Ok(None),
        };
    }
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

    #[test]
    fn launch_takes_a_tool_a_directory_and_a_command() {
        let verbs = troop_verbs(b"launch bob --tool codex --cwd /tmp -- codex -m x\nrescan\n").unwrap();
        let TroopVerb::Launch(launch) = &verbs[0] else { panic!("{verbs:?}") };
        assert_eq!((launch.name.as_str(), launch.tool.as_deref()), ("bob", Some("codex")));
        assert_eq!(launch.argv, ["codex", "-m", "x"]);
        assert_eq!(verbs[1], TroopVerb::Rescan);
        for bad in [&b"launch\n"[..], b"launch a b\n", b"launch a --cwd x\n", b"launch a --\n", b"launch ../x\n"] {
            assert_eq!(troop_verbs(bad).unwrap_err().kind(), Kind::Invalid);
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
