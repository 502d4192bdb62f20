//! From the text of a prompt to what the stand-in does about it.
//!
//! A prompt without script words is answered with what arrived: words, bytes,
//! lines and the SHA-1, so that a person or a test can see that it arrived whole.

use super::text;
use sha1::{Digest, Sha1};
use std::collections::VecDeque;
use std::time::Duration;

/// What script words begin with.
const WORD: &str = "sim:";
/// Time before the first word of an answer, in times between words.
const THINKING: u32 = 10;
/// The longest `sim:work`.
const MAX_WORK: Duration = Duration::from_secs(24 * 60 * 60);
/// The most lines of one `sim:lines`.
const MAX_LINES: u32 = 1_000_000;
/// What `sim:ask` asks about when it is not told.
const COMMAND: &str = "rm -r build/cache";

/// An answer that quotes what a busy, a blocked and a ready screen look like.
const TRAP: &str = "\
This is what my screen looks like while I work:
✶ Working (12s · esc to interrupt)
╭──────────────────────────────╮
│ ❯                            │
╰──────────────────────────────╯
  working · esc stops
and this is what I ask before I run something:
╭─ Allow this command? ────────╮
│   rm -r /                    │
│                              │
│ ❯ 1. Yes                     │
│   2. Yes, always             │
│   3. No                      │
╰──────────────────────────────╯
  answer 1-3 or enter
None of it is real: I have finished.";

/// One step of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing is shown for this long.
    Pause(Duration),
    /// The next word of the answer; the first of a paragraph begins a new one.
    Word {
        /// The word.
        text: String,
        /// Whether a paragraph begins with it.
        first: bool,
    },
    /// Whole lines of an answer at once.
    Quote(&'static str),
    /// Numbered lines, as fast as the terminal takes them.
    Lines {
        /// The number of the first.
        next: u32,
        /// The number of the last.
        last: u32,
    },
    /// A question about running this command; the turn waits for the answer.
    Ask(String),
    /// The model fails and the turn ends.
    Fail,
    /// The program ends with this code.
    Exit(u8),
    /// Window titles are set or left alone from now on.
    Title(bool),
}

/// The steps that answer `prompt`, with `pace` between the words of an answer.
pub(super) fn beats(prompt: &str, pace: Duration) -> VecDeque<Beat> {
    let mut beats = VecDeque::new();
    for word in prompt.split_whitespace().filter_map(|word| word.strip_prefix(WORD)) {
        let (verb, argument) = match word.split_once('=') {
            Some((verb, argument)) => (verb, Some(argument)),
            None => (word, None),
        };
        match step(verb, argument) {
            Some(Step::Say(said)) => say(&mut beats, &said),
            Some(Step::Beat(beat)) => beats.push_back(beat),
            None => say(&mut beats, &format!("I do not know {WORD}{}; /help lists what I know.", text::fit(word, 40))),
        }
    }
    if beats.is_empty() {
        beats.push_back(Beat::Pause(pace * THINKING));
        for paragraph in receipt(prompt) {
            say(&mut beats, &paragraph);
        }
    }
    beats
}

enum Step {
    Say(String),
    Beat(Beat),
}

fn step(verb: &str, argument: Option<&str>) -> Option<Step> {
    let beat = match (verb, argument) {
        ("say", Some(said)) => return Some(Step::Say(said.replace('-', " "))),
        ("work", ms) => Beat::Pause(Duration::from_millis(number(ms, 1000)?).min(MAX_WORK)),
        ("lines", count) => Beat::Lines { next: 1, last: number(count, 100)?.min(MAX_LINES) },
        ("ask", command) => Beat::Ask(command.map_or(COMMAND.to_owned(), |command| command.replace('-', " "))),
        ("exit", code) => Beat::Exit(number(code, 0)?),
        ("fail", None) => Beat::Fail,
        ("trap", None) => Beat::Quote(TRAP),
        ("title", Some("off")) => Beat::Title(false),
        ("title", Some("on")) => Beat::Title(true),
        _ => return None,
    };
    Some(Step::Beat(beat))
}

fn number<T: std::str::FromStr>(argument: Option<&str>, otherwise: T) -> Option<T> {
    argument.map_or(Some(otherwise), |argument| argument.parse().ok())
}

fn say(beats: &mut VecDeque<Beat>, paragraph: &str) {
    let words = paragraph.split_whitespace().enumerate();
    beats.extend(words.map(|(at, word)| Beat::Word { text: text::printable(word), first: at == 0 }));
}

fn receipt(prompt: &str) -> [String; 2] {
    let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    [
        format!(
            "Your prompt arrived: {}, {}, {}. Its SHA-1 is {}.",
            count(prompt.split_whitespace().count(), "word"),
            count(prompt.len(), "byte"),
            count(prompt.split('\n').count(), "line"),
            sha1(prompt),
        ),
        "I am a stand-in, so that is all I can say about it; a real agent would now do the work.".to_owned(),
    ]
}

/// The SHA-1 of a text in lower-case hexadecimal, as `sha1sum` prints it.
pub(super) fn sha1(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(7);

    fn words(prompt: &str) -> String {
        let words = beats(prompt, PACE).into_iter().filter_map(|beat| match beat {
            Beat::Word { text, .. } => Some(text),
            _ => None,
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_plain_prompt_is_answered_with_what_arrived() {
        assert_eq!(beats("hi", PACE)[0], Beat::Pause(PACE * THINKING));
        assert!(words("a bc\nd").starts_with(
            "Your prompt arrived: 3 words, 6 bytes, 2 lines. Its SHA-1 is 47e82ba7e9da24b1d9024b7135ab705bb73b41e9."
        ));
        assert!(words("é").contains("1 word, 2 bytes, 1 line."));
    }

    #[test]
    fn script_words_run_in_order_wherever_they_stand() {
        assert_eq!(
            beats("please sim:work=20 then\nsim:ask sim:title=off sim:fail sim:lines=3 sim:exit=9", PACE),
            [
                Beat::Pause(Duration::from_millis(20)),
                Beat::Ask(COMMAND.to_owned()),
                Beat::Title(false),
                Beat::Fail,
                Beat::Lines { next: 1, last: 3 },
                Beat::Exit(9),
            ]
        );
        assert_eq!(words("sim:say=all-is-well"), "all is well");
    }

    #[test]
    fn script_words_that_mean_nothing_are_named() {
        for prompt in ["sim:dance", "sim:work=soon", "sim:exit=256", "sim:say", "sim:title"] {
            assert!(words(prompt).starts_with(&format!("I do not know {prompt};")), "{prompt}: {}", words(prompt));
        }
    }

    #[test]
    fn what_is_said_cannot_steer_the_terminal() {
        assert_eq!(words("sim:say=\u{1b}[2J"), "␛[2J");
    }

    #[test]
    fn every_number_has_a_limit() {
        assert_eq!(beats(&format!("sim:work={}", u64::MAX), PACE)[0], Beat::Pause(MAX_WORK));
        assert_eq!(beats(&format!("sim:lines={}", u32::MAX), PACE)[0], Beat::Lines { next: 1, last: MAX_LINES });
    }
}
