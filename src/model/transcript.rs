//! What an agent's program has written into a log of its own: the last things it was asked, and what it answered.

use super::turn::TurnOutcome;
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::sync::Arc;

/// The most bytes kept of one prompt or answer; what is longer ends there, at a whole character.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// The most exchanges kept of one log, the last ones.
pub const MAX_EXCHANGES: usize = 8;
/// How much of two prompts is compared, in characters that count.
const MAX_COMPARED: usize = 64 * 1024;
/// Logs keep milliseconds, and the time of a prompt is taken just before or after the key is pressed.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_millis(100);

/// How a log is written: its program's own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Claude Code, `projects/*/SESSION.jsonl`.
    Claude,
    /// Codex, `sessions/YYYY/MM/DD/rollout-*.jsonl`.
    Codex,
    /// Gemini CLI, `tmp/*/chats/session-*.jsonl`.
    Gemini,
    /// Qwen Code, `projects/*/chats/SESSION.jsonl`.
    Qwen,
    /// kimi-cli, `sessions/*/SESSION/wire.jsonl`.
    Kimi,
    /// kimi-code, `sessions/*/SESSION/agents/main/wire.jsonl`.
    KimiCode,
    /// The stand-in, `--transcript FILE`.
    StandIn,
}

/// A log, as far as it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// Where it is.
    pub path: Arc<Path>,
    /// The program's own name for the session, where the log has it.
    pub session: Option<Arc<str>>,
    /// Whether its program writes down that a turn is over.
    pub has_ends: bool,
    /// The last exchanges, oldest first, [`MAX_EXCHANGES`] at most. The last may still be going on.
    pub exchanges: Arc<[Arc<Exchange>]>,
}

/// One thing that was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What was asked; empty when nobody asked and the program began by itself.
    pub prompt: Arc<str>,
    /// When the log says that it was asked.
    pub at: Option<Timestamp>,
    /// The text of the last message so far: once the exchange has ended, the answer.
    pub answer: Arc<str>,
    /// How it ended. Some programs do not write that down (gemini): then it stays none, and only the screen tells.
    pub ended: Option<TurnOutcome>,
    /// Something else was asked after it: nothing will be added any more, whether or not an end was written.
    pub is_over: bool,
}

impl Format {
    /// Whether a program that writes like this says that a turn is over. Gemini says so of interrupts and errors only.
    pub fn has_ends(self) -> bool {
        self != Self::Gemini
    }
}

impl Transcript {
    /// Whether nothing will be added to the answer of one of its exchanges, as far as the log can tell.
    pub fn is_answered(&self, exchange: &Exchange) -> bool {
        exchange.ended.is_some() || exchange.is_over || (!self.has_ends && !exchange.answer.is_empty())
    }

    /// The exchange of the prompt that was given to the program at that time, if it is in the log by now: whoever asks
    /// reads its `answer`, `ended` and `is_over`.
    ///
    /// The earliest that is not older counts, one with the same words before one with the words in a frame: programs
    /// trim a prompt, change its line ends and tabs, drop what cannot be seen, and wrap it (`agent-clis`, delivery).
    /// One of which the log has no time counts only when it is the last.
    pub fn answer_to(&self, prompt: &str, given_at: Timestamp) -> Option<&Arc<Exchange>> {
        let given = Words::of(prompt);
        let last = self.exchanges.len().checked_sub(1)?;
        let since = given_at.checked_sub(CLOCK_SLACK).unwrap_or(given_at);
        let is_new = |(at, exchange): &(usize, &Arc<Exchange>)| exchange.at.map_or(*at == last, |at| at >= since);
        let new = || self.exchanges.iter().enumerate().filter(is_new).map(|(_, exchange)| exchange);
        let same = |exchange: &&Arc<Exchange>| Words::of(&exchange.prompt) == given;
        let framed = |exchange: &&Arc<Exchange>| Words::of(&exchange.prompt).hold(&given);
        new().find(same).or_else(|| new().find(framed))
    }
}

/// What counts of a prompt when two are compared: its words. Nothing that a program may change on the way is in it.
#[derive(PartialEq, Eq)]
struct Words(String);

impl Words {
    fn of(text: &str) -> Self {
        let mut words = String::new();
        let mut taken = 0;
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
            let seen = |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
            let start = words.len();
            words.extend(word.chars().filter(seen).take(MAX_COMPARED - taken).inspect(|_| taken += 1));
            if words.len() > start {
                words.push(' ');
            }
            if taken == MAX_COMPARED {
                break;
            }
        }
        Self(words)
    }

    /// Whether the other is in it, whole words and all of it. Nothing is in everything, and means nothing.
    fn hold(&self, other: &Self) -> bool {
        !other.0.is_empty() && format!(" {}", self.0).contains(&format!(" {}", other.0))
    }
}

/// `text`, cut at [`MAX_TEXT_BYTES`].
pub fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(1_795_226_700 + second, 0)
    }

    fn exchange(prompt: &str, at: Option<Timestamp>, answer: &str) -> Arc<Exchange> {
        let (prompt, answer) = (prompt.into(), answer.into());
        Arc::new(Exchange { prompt, at, answer, ended: Some(TurnOutcome::Success), is_over: false })
    }

    fn log(exchanges: &[Arc<Exchange>]) -> Transcript {
        Transcript { path: Path::new("/log").into(), session: None, has_ends: true, exchanges: exchanges.into() }
    }

    fn answer(log: &Transcript, prompt: &str, given: i64) -> Option<String> {
        log.answer_to(prompt, at(given)).map(|exchange| exchange.answer.to_string())
    }

    #[test]
    fn the_same_prompt_twice_has_two_answers() {
        let log = log(&[exchange("go on", Some(at(10)), "one"), exchange("go on", Some(at(20)), "two")]);
        assert_eq!(answer(&log, "go on", 10).as_deref(), Some("one"));
        assert_eq!(answer(&log, "go on", 11).as_deref(), Some("two"));
        assert_eq!(answer(&log, "go on", 21), None);
        assert_eq!(answer(&log, "stop", 1), None);
    }

    #[test]
    fn what_a_program_does_to_a_prompt_is_no_difference() {
        for written in ["a  b\nc", "a\tb\r\nc\n", "\n  a b c", "a\u{200b} b c\u{0}", "a b\u{2028}c"] {
            assert_eq!(
                answer(&log(&[exchange(written, Some(at(1)), "yes")]), "a\tb\n\nc\n", 1).as_deref(),
                Some("yes")
            );
        }
        for frame in ["<pasted_content id=\"1\">\na b c\n</pasted_content>", "@a\n--- a ---\na b c"] {
            assert_eq!(answer(&log(&[exchange(frame, Some(at(1)), "yes")]), "a b c", 1).as_deref(), Some("yes"));
        }
        assert_eq!(answer(&log(&[exchange("xa b cx", Some(at(1)), "yes")]), "a b c", 1), None);
        assert_eq!(answer(&log(&[exchange("anything", Some(at(1)), "yes")]), " ", 1), None);
    }

    #[test]
    fn the_same_words_come_before_words_in_a_frame() {
        let log = log(&[exchange("no, a b", Some(at(1)), "framed"), exchange("a b", Some(at(2)), "same")]);
        assert_eq!(answer(&log, "a b", 1).as_deref(), Some("same"));
    }

    #[test]
    fn without_a_time_only_the_last_counts() {
        let log = log(&[exchange("a", None, "one"), exchange("b", None, "two")]);
        assert_eq!(answer(&log, "a", 1), None);
        assert_eq!(answer(&log, "b", 1).as_deref(), Some("two"));
    }

    #[test]
    fn a_prompt_that_was_cut_is_found() {
        let long = "word ".repeat(MAX_TEXT_BYTES / 4);
        assert_eq!(answer(&log(&[exchange(bounded(&long), Some(at(1)), "yes")]), &long, 1).as_deref(), Some("yes"));
    }

    proptest! {
        #[test]
        fn every_prompt_is_its_own(prompt: String) {
            let found = log(&[exchange(&prompt, Some(at(1)), "yes")]);
            prop_assert!(found.answer_to(&prompt, at(1)).is_some());
            prop_assert!(bounded(&prompt) == prompt);
        }
    }
}
