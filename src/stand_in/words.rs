//! What the stand-in writes into its transcript beside the words of an answer.

use super::line::Style;
use super::transcript::{Entry, INDENT, Transcript};

/// Lines of a prompt that the transcript repeats.
const ECHOED_LINES: usize = 6;
/// Characters of each of those lines.
const ECHOED_CHARS: usize = 400;

/// What `sim:fail` shows.
pub(super) const FAILURE: &str = "The model failed: overloaded (529). Nothing was done; send the prompt again.";

const ABOUT: &str = "A practice agent: no account, no cost. /help lists what it plays.";

const HELP: &str = "\
Plain prompts are answered with what arrived; script words are played:
sim:work=MS      work in silence
sim:say=A-B-C    say this
sim:lines=N      print numbered lines
sim:ask          ask for an approval
sim:fail         fail as a model does
sim:trap         quote my own screen
sim:title=off    leave the window title alone
sim:exit=CODE    end the program
Keys: enter sends, ctrl-j new line, esc interrupts,
up recalls, ctrl-u clears, ctrl-c twice leaves.";

/// The first paragraph of all.
pub(super) fn greet(transcript: &mut Transcript, name: &str) {
    transcript.push(Entry::new(name, Style::Bold).marked("◇ ", Style::Accent));
    transcript.push(Entry::new(ABOUT, Style::Dim));
    transcript.space();
}

/// The prompt that a turn begins with; of a long one its beginning.
pub(super) fn echo(transcript: &mut Transcript, prompt: &str) {
    transcript.space();
    for (at, line) in prompt.lines().take(ECHOED_LINES).enumerate() {
        let mut shown: String = line.chars().take(ECHOED_CHARS).collect();
        if shown.len() < line.len() {
            shown.push('…');
        }
        transcript.push(Entry::new(shown, Style::Bold).marked(if at == 0 { "❯ " } else { INDENT }, Style::Accent));
    }
    match prompt.lines().count().saturating_sub(ECHOED_LINES) {
        0 => {}
        1 => transcript.push(Entry::new("… 1 more line", Style::Dim)),
        more => transcript.push(Entry::new(format!("… {more} more lines"), Style::Dim)),
    }
    transcript.space();
}

/// Lines of an answer as they are, the first after `mark`.
pub(super) fn block(transcript: &mut Transcript, lines: &str, mark: &'static str, style: Style) {
    transcript.space();
    for (at, line) in lines.lines().enumerate() {
        transcript.push(Entry::new(line, style).marked(if at == 0 { mark } else { INDENT }, Style::Accent));
    }
}

/// How a question was answered.
pub(super) fn answered(transcript: &mut Transcript, choice: &str, command: &str) {
    transcript.space();
    transcript.push(Entry::new(format!("{choice}: {command}"), Style::Plain).marked("◆ ", Style::Warn));
}

/// A turn that somebody ended.
pub(super) fn interrupted(transcript: &mut Transcript) {
    transcript.space();
    transcript.push(Entry::new("Interrupted", Style::Error).marked("■ ", Style::Error));
}

/// Something that did not go well.
pub(super) fn complain(transcript: &mut Transcript, sentence: &str) {
    transcript.space();
    transcript.push(Entry::new(sentence, Style::Error).marked("✗ ", Style::Error));
    transcript.space();
}

/// What `/help` shows.
pub(super) fn help(transcript: &mut Transcript) {
    block(transcript, HELP, "◇ ", Style::Plain);
    transcript.space();
}
