//! The answer as far as it is on the screen: for programs that keep no transcript
//! that can be bound, and for turns it does not have.

use crate::model::{Look, Reply, ReplySource, Turn};
use crate::tool::{Sight, Tool};

/// What a program puts before and around the rows of a prompt and an answer.
const FRAME: &[char] = &['>', '❯', '›', '│', '┃', '▌', '█', '▀', '▄', '*', '•', '⏺', '●', '✦', '✨', ' ', '\u{a0}'];

/// What programs put before the first row of an answer.
const MARKS: &[char] = &['•', '⏺', '●', '✦'];

/// The rows between the echo of the turn's prompt and the composer, or none when that
/// echo cannot be found: then nobody can say where the answer begins.
pub(super) fn reply(tool: &Tool, look: &Look, scrollback: &str, turn: &Turn) -> Option<Reply> {
    let screen = &look.screen;
    let sight = Sight::new(&look.pane.title, &screen.text, &screen.ansi, look.pane.cursor, look.pane.cursor_shown);
    let composer = tool.composer_row(&sight)?;
    let rows: Vec<&str> = scrollback.lines().chain(screen.text.lines().take(composer)).collect();
    let text = after_echo(&rows, &turn.prompt, tool.closes())?;
    Some(Reply { text: text.into(), source: ReplySource::Screen })
}

fn after_echo(rows: &[&str], prompt: &str, closes: impl Fn(&str) -> bool) -> Option<String> {
    let asked = bare(prompt);
    if asked.is_empty() {
        return None;
    }
    let first = (0..rows.len()).rev().find_map(|row| end_of_echo(&rows[row..], &asked).map(|end| row + end))?;
    let blank = |row: &&&str| row.trim_matches(FRAME).is_empty();
    let answer = &rows[first..];
    let from = answer.iter().take_while(blank).count();
    let until = answer.len() - answer.iter().rev().take_while(|row| blank(row) || closes(row)).count();
    if from >= until {
        return None;
    }
    // The mark before an answer stands where its other rows are blank.
    let marked = |row: &str| match row.trim_start().chars().next() {
        Some(mark) if MARKS.contains(&mark) => row.replacen(mark, " ", 1),
        _ => row.to_owned(),
    };
    let answer: Vec<String> = answer[from..until]
        .iter()
        .enumerate()
        .map(|(at, row)| if at == 0 { marked(row) } else { (*row).to_owned() })
        .collect();
    let inset = answer.iter().filter(|row| !row.trim().is_empty()).map(|row| margin(row)).min().unwrap_or(0);
    let lines: Vec<&str> = answer.iter().map(|row| row.get(inset.min(margin(row))..).unwrap_or(row)).collect();
    Some(lines.join("\n"))
}

/// After how many rows all of `asked` has been seen, if `rows` begin with it; blanks do not count, because
/// programs wrap and indent as they like.
fn end_of_echo(rows: &[&str], asked: &str) -> Option<usize> {
    let mut rest = asked;
    for (number, row) in rows.iter().enumerate() {
        let row = bare(row);
        if row.is_empty() && number > 0 {
            continue;
        }
        rest = rest.strip_prefix(row.as_str()).filter(|_| !row.is_empty())?;
        if rest.is_empty() {
            return Some(number + 1);
        }
    }
    None
}

/// What is left without blanks and frames, which stand for themselves in some prompts.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !FRAME.contains(c)).collect()
}

/// Bytes of blanks before the first character that shows.
fn margin(row: &str) -> usize {
    row.len() - row.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(screen: &str, prompt: &str) -> Option<String> {
        after_echo(&screen.lines().collect::<Vec<_>>(), prompt, |row| row.starts_with("  Worked for "))
    }

    #[test]
    fn what_stands_below_the_prompt_is_the_answer() {
        let screen = "❯ old\n\n  nothing\n\n❯ count\n  the files\n\n  There are 3:\n    a b c\n\n";
        assert_eq!(answer(screen, "count\nthe files").as_deref(), Some("There are 3:\n  a b c"));
        assert_eq!(answer("│ > hi │\n\n⏺ Hello\n", "hi").as_deref(), Some("Hello"));
        assert_eq!(answer("› hi\n\n• Hello\n\n  Worked for 3s\n\n", "hi").as_deref(), Some("Hello"), "closed");
        assert_eq!(
            answer(" ✨ > quoted\n\n ● Hello\n", "> quoted").as_deref(),
            Some("Hello"),
            "a mark of the prompt's own"
        );
        assert_eq!(answer("❯ a long pro\n  mpt\n  ok\n", "a long prompt").as_deref(), Some("ok"), "wrapped");
    }

    #[test]
    fn without_an_echo_there_is_no_answer() {
        assert_eq!(answer("❯ [Pasted text #1 +60 lines]\n\n  ok\n", "a\nb"), None);
        assert_eq!(answer("  ok\n", ""), None);
        assert_eq!(answer("❯ hi\n\n", "hi"), None);
    }

    proptest! {
        #[test]
        fn no_screen_panics(screen in "[❯│ a-cä\n]{0,80}", prompt in "[ a-cä\n]{0,10}") {
            let _ = answer(&screen, &prompt);
        }
    }
}
