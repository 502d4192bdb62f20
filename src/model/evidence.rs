//! What a status rests on, and what a program asks: the files `explain` and `question`.

use super::live::LiveState;
use jiff::Timestamp;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

/// What a program asks a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The rows of its dialog, without the frame and the choices.
    pub text: Vec<String>,
    /// What can be answered, in the order of the screen.
    pub choices: Vec<Choice>,
}

impl Question {
    /// Whether both ask the same; where the cursor stands does not count.
    pub fn is_same(&self, other: &Self) -> bool {
        let choices = |question: &Self| -> Vec<(u32, String)> {
            question.choices.iter().map(|choice| (choice.number, choice.label.clone())).collect()
        };
        self.text == other.text && choices(self) == choices(other)
    }
}

/// One answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its number: the program's own, or its place from 1.
    pub number: u32,
    /// Its text.
    pub label: String,
    /// Whether the dialog's cursor stands on it.
    pub selected: bool,
}

/// One thing that was found, whether it decided or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clue {
    /// Where: `title`, `screen`, or another source's name.
    pub source: String,
    /// The rule, or the fact.
    pub rule: String,
    /// What it shows, in the words of a tool definition.
    pub shows: &'static str,
    /// Its priority among the tool's rules.
    pub priority: i32,
    /// The rows it matched.
    pub lines: Vec<String>,
    /// Whether the status follows from it.
    pub decides: bool,
}

/// What a status rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Everything found in the last look, highest priority first.
    pub clues: Vec<Clue>,
    /// Since when the deciding clue has held.
    pub since: Option<Timestamp>,
    /// When it was last seen.
    pub seen: Option<Timestamp>,
    /// What the program asks, when it asks.
    pub question: Option<Question>,
}

/// The most rows of a clue that `explain` shows.
const CLUE_ROWS: usize = 6;

impl Evidence {
    /// Shared. Where nothing was found, which is so of most agents that do not run, all share the same.
    pub fn share(self) -> Arc<Self> {
        static NOTHING: LazyLock<Arc<Evidence>> = LazyLock::new(Arc::default);
        if self == **NOTHING { NOTHING.clone() } else { Arc::new(self) }
    }

    /// The text of `explain`: the status, the clue it follows from, and what else was found, agreeing or not.
    pub fn explain(&self, state: &LiveState) -> String {
        let mut text = String::new();
        let at = |time: Timestamp| time.strftime("%H:%M:%S.%3fZ").to_string();
        let why = state.sources.first().map_or("", |source| &source.says);
        let _ =
            writeln!(text, "{} since {}: {why}", state.status, state.status_since.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"));
        if let Some(probe) = &state.probe_snapshot {
            let _ = writeln!(
                text,
                "last look {}, pane {}",
                at(probe.observed_at_utc),
                probe.pane_id.as_deref().unwrap_or("-")
            );
        }
        if let Some(recovery) = state.recovery {
            let _ = writeln!(text, "session {}", recovery.as_str());
        }
        let (deciding, others): (Vec<_>, Vec<_>) = self.clues.iter().partition(|clue| clue.decides);
        for clue in deciding {
            clue.write(&mut text, "decided by");
            if let (Some(since), Some(seen)) = (self.since, self.seen) {
                let _ = writeln!(text, "  held since {}, last seen {}", at(since), at(seen));
            }
        }
        for clue in others {
            clue.write(&mut text, "also found");
        }
        if self.clues.is_empty() {
            text.push_str("no rule matches what the terminal shows\n");
        }
        text
    }

    /// The text of `question`; empty when nothing is asked.
    pub fn question(&self) -> String {
        self.question.as_ref().map(Question::to_text).unwrap_or_default()
    }
}

impl Question {
    /// The dialog, then its choices by number, one a line; `*` marks the one the cursor stands on.
    pub fn to_text(&self) -> String {
        let mut text = self.text.join("\n");
        if !self.text.is_empty() {
            text.push('\n');
        }
        if !(self.text.is_empty() || self.choices.is_empty()) {
            text.push('\n');
        }
        for choice in &self.choices {
            let mark = if choice.selected { '*' } else { ' ' };
            let _ = writeln!(text, "{mark} {}  {}", choice.number, choice.label);
        }
        text
    }
}

impl Clue {
    fn write(&self, text: &mut String, how: &str) {
        let _ = writeln!(text, "{how} {} rule {} (priority {}): {}", self.source, self.rule, self.priority, self.shows);
        for line in self.lines.iter().take(CLUE_ROWS) {
            let _ = writeln!(text, "  | {line}");
        }
        if self.lines.len() > CLUE_ROWS {
            let _ = writeln!(text, "  | … {} more", self.lines.len() - CLUE_ROWS);
        }
    }
}
