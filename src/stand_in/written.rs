//! The log of its conversation that the stand-in keeps, as other agent programs do: one JSON line for each prompt, message and
//! end of a turn.

use super::log::Outcome;
use serde::Serialize;

/// The most bytes of one message that are written down.
const MAX_MESSAGE: usize = 1 << 20;

/// One line: `{"t":SECONDS,"event":"user","text":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Written {
    /// Whose log it is.
    Session {
        /// Another for every start.
        id: String,
    },
    /// A turn began with this prompt.
    User {
        /// All of it.
        text: String,
    },
    /// Something was said, up to a question or the end of the turn.
    Assistant {
        /// All of it.
        text: String,
    },
    /// The turn ended.
    End {
        /// How.
        outcome: Outcome,
    },
}

/// The lines that are not written yet, and the message that is being said.
#[derive(Debug, Default)]
pub(super) struct Pages {
    lines: Vec<Written>,
    message: String,
}

impl Pages {
    pub(super) fn session(&mut self) {
        self.lines.push(Written::Session { id: uuid::Uuid::new_v4().to_string() });
    }

    pub(super) fn begin(&mut self, prompt: &str) {
        self.lines.push(Written::User { text: prompt.to_owned() });
    }

    /// Adds to the message; `between` stands before it unless it is the first.
    pub(super) fn say(&mut self, between: &str, text: &str) {
        if self.message.len() + between.len() + text.len() > MAX_MESSAGE {
            return;
        }
        if !self.message.is_empty() {
            self.message.push_str(between);
        }
        self.message.push_str(text);
    }

    /// The message is whole.
    pub(super) fn pause(&mut self) {
        let text = std::mem::take(&mut self.message);
        if !text.is_empty() {
            self.lines.push(Written::Assistant { text });
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.pause();
        self.lines.push(Written::End { outcome });
    }

    pub(super) fn take(&mut self) -> Vec<Written> {
        std::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_divides_messages() {
        let mut pages = Pages::default();
        pages.begin("p");
        pages.say(" ", "one");
        pages.say(" ", "two");
        pages.pause();
        pages.say("\n\n", "three");
        pages.say(" ", &"x".repeat(MAX_MESSAGE));
        pages.end(Outcome::Interrupted);
        let said = |text: &str| Written::Assistant { text: text.to_owned() };
        let asked = Written::User { text: "p".to_owned() };
        assert_eq!(
            pages.take(),
            [asked, said("one two"), said("three"), Written::End { outcome: Outcome::Interrupted }]
        );
        assert_eq!(pages.take(), []);
    }
}
