//! A line that is being typed.

use super::words::{head, width};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_width::UnicodeWidthChar;

/// How a newline in the line is shown.
const NEWLINE: char = '⏎';

/// Text and the place in it where typing goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    text: String,
    at: usize,
}

impl Line {
    /// With that text, at its end.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), at: text.len() }
    }

    /// What was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds `text` where the cursor stands.
    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.at, text);
        self.at += text.len();
    }

    /// What a key does to the line; whether it was one for it.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('a') if control => self.at = 0,
            KeyCode::Char('e') if control => self.at = self.text.len(),
            KeyCode::Char('u') if control => self.cut(0),
            KeyCode::Char('w') if control => {
                let before = self.text[..self.at].trim_end();
                self.cut(before.rfind(char::is_whitespace).map_or(0, |at| at + 1));
            }
            KeyCode::Char('j') if control => self.insert("\n"),
            KeyCode::Enter if key.modifiers.contains(KeyModifiers::ALT) => self.insert("\n"),
            KeyCode::Char(c) if !control => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.cut(self.before()),
            KeyCode::Delete => {
                if let Some(c) = self.text[self.at..].chars().next() {
                    self.text.replace_range(self.at..self.at + c.len_utf8(), "");
                }
            }
            KeyCode::Left => self.at = self.before(),
            KeyCode::Right => self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8),
            KeyCode::Home => self.at = 0,
            KeyCode::End => self.at = self.text.len(),
            _ => return false,
        }
        true
    }

    fn before(&self) -> usize {
        self.at - self.text[..self.at].chars().next_back().map_or(0, char::len_utf8)
    }

    fn cut(&mut self, from: usize) {
        self.text.replace_range(from..self.at, "");
        self.at = from;
    }

    /// What of it is shown in `columns`, and in which column the cursor stands.
    pub(super) fn shown(&self, columns: usize) -> (String, usize) {
        let shown: String = self.text.chars().map(|c| if c == '\n' { NEWLINE } else { c }).collect();
        let before: String = self.text[..self.at].chars().map(|c| if c == '\n' { NEWLINE } else { c }).collect();
        let mut skip = 0;
        let mut column = width(&before);
        let mut chars = before.chars();
        // The cursor itself needs a column.
        while column >= columns.max(1) {
            let Some(c) = chars.next() else { break };
            skip += c.len_utf8();
            column -= c.width().unwrap_or(0);
        }
        (head(&shown[skip..], columns).to_owned(), column)
    }
}
