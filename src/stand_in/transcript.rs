//! What was said so far, as rows of the current width.

use super::line::{Line, Style};
use super::text::{self, Break};
use std::collections::VecDeque;

/// Paragraphs kept to draw again after a resize; older ones are the terminal's scrollback alone.
const KEPT: usize = 2000;

/// One paragraph: a mark in the first two columns, its text always right of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Two columns wide.
    pub(super) mark: &'static str,
    /// How the mark looks.
    pub(super) mark_style: Style,
    /// Printable text without newlines.
    pub(super) text: String,
    /// How the text looks.
    pub(super) style: Style,
}

/// What stands left of text that has no mark of its own.
pub(super) const INDENT: &str = "  ";

impl Entry {
    /// An indented paragraph.
    pub(super) fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self { mark: INDENT, mark_style: Style::Plain, text: text::printable(text.as_ref()), style }
    }

    /// The same paragraph with a mark before its first row.
    pub(super) fn marked(self, mark: &'static str, mark_style: Style) -> Self {
        Self { mark, mark_style, ..self }
    }

    fn rows(&self, columns: usize) -> impl Iterator<Item = Line> {
        // The last column stays free: a full row would be joined with the next by a terminal that reflows.
        let room = columns.saturating_sub(INDENT.len() + 1).max(1);
        text::wrap(&self.text, room, Break::Words).into_iter().enumerate().map(|(at, row)| {
            if row.is_empty() && self.mark == INDENT {
                return Line::default();
            }
            let (mark, style) = if at == 0 { (self.mark, self.mark_style) } else { (INDENT, Style::Plain) };
            Line::new(mark, style).with(row, self.style)
        })
    }
}

/// The paragraphs and, kept beside them, their rows.
#[derive(Debug)]
pub(super) struct Transcript {
    columns: usize,
    entries: VecDeque<(Entry, usize)>,
    rows: VecDeque<Line>,
    forgotten: usize,
}

impl Transcript {
    /// An empty transcript for a screen of `columns`.
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, entries: VecDeque::new(), rows: VecDeque::new(), forgotten: 0 }
    }

    /// Adds a paragraph.
    pub(super) fn push(&mut self, entry: Entry) {
        let before = self.rows.len();
        self.rows.extend(entry.rows(self.columns));
        self.entries.push_back((entry, self.rows.len() - before));
        while self.entries.len() > KEPT {
            let (_, rows) = self.entries.pop_front().unwrap_or_else(|| (Entry::new("", Style::Plain), 0));
            self.rows.drain(..rows);
            self.forgotten += rows;
        }
    }

    /// Adds an empty row unless the last one is empty or there is none.
    pub(super) fn space(&mut self) {
        if self.rows.back().is_some_and(|row| *row != Line::default()) {
            self.push(Entry::new("", Style::Plain));
        }
    }

    /// Adds a word to the last paragraph.
    pub(super) fn extend(&mut self, word: &str) {
        if let Some((mut entry, rows)) = self.entries.pop_back() {
            self.rows.truncate(self.rows.len() - rows);
            entry.text.push(' ');
            entry.text.push_str(word);
            self.push(entry);
        }
    }

    /// Cuts every paragraph anew for a screen of `columns`.
    pub(super) fn resize(&mut self, columns: usize) {
        let entries = std::mem::take(&mut self.entries);
        *self = Self::new(columns);
        for (entry, _) in entries {
            self.push(entry);
        }
    }

    /// The rows kept, oldest first.
    pub(super) fn rows(&self) -> &VecDeque<Line> {
        &self.rows
    }

    /// How many rows came before those kept, since the last resize.
    pub(super) fn forgotten(&self) -> usize {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(transcript: &Transcript) -> Vec<String> {
        transcript.rows().iter().map(|row| row.plain(80)).collect()
    }

    #[test]
    fn only_marks_stand_in_the_first_two_columns() {
        let mut transcript = Transcript::new(12);
        transcript.push(Entry::new("╭──╮ quoted and wrapped", Style::Plain).marked("● ", Style::Accent));
        assert_eq!(plain(&transcript), ["● ╭──╮", "  quoted", "  and", "  wrapped"]);
    }

    #[test]
    fn a_paragraph_grows_in_place() {
        let mut transcript = Transcript::new(12);
        transcript.push(Entry::new("one", Style::Plain));
        transcript.extend("two");
        transcript.extend("three");
        assert_eq!(plain(&transcript), ["  one two", "  three"]);
    }

    #[test]
    fn spaces_are_single_and_never_first() {
        let mut transcript = Transcript::new(12);
        transcript.space();
        transcript.push(Entry::new("one", Style::Plain));
        transcript.space();
        transcript.space();
        assert_eq!(plain(&transcript), ["  one", ""]);
    }

    #[test]
    fn a_resize_cuts_everything_anew() {
        let mut transcript = Transcript::new(12);
        transcript.push(Entry::new("one two three", Style::Plain));
        transcript.resize(40);
        assert_eq!(plain(&transcript), ["  one two three"]);
    }

    #[test]
    fn old_paragraphs_are_forgotten_and_counted() {
        let mut transcript = Transcript::new(12);
        for _ in 0..KEPT + 3 {
            transcript.push(Entry::new("one two three", Style::Plain));
        }
        assert_eq!((transcript.forgotten(), transcript.rows().len()), (6, KEPT * 2));
    }
}
