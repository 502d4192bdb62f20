//! One row of the screen, before it becomes bytes for a terminal.

use super::text;

/// How text looks; the colours are the terminal's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Style {
    /// The terminal's ordinary text.
    #[default]
    Plain,
    /// Of less weight.
    Dim,
    /// What stands out.
    Bold,
    /// The stand-in's own marks.
    Accent,
    /// It is working, or it asks: look here.
    Warn,
    /// It failed.
    Error,
    /// The place where typed text appears.
    Cursor,
}

/// Text of one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Printable text without newlines.
    pub(super) text: String,
    /// How it looks.
    pub(super) style: Style,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line {
    /// What stands on the left, in order.
    pub(super) spans: Vec<Span>,
    /// What stands in the last column whatever is left of it: the side of a box.
    pub(super) edge: Option<Span>,
}

impl Line {
    /// A row of one style.
    pub(super) fn new(text: impl Into<String>, style: Style) -> Self {
        Self::default().with(text, style)
    }

    /// The same row with more text on its right.
    pub(super) fn with(mut self, text: impl Into<String>, style: Style) -> Self {
        self.spans.push(Span { text: text.into(), style });
        self
    }

    /// The same row with a mark in the last column.
    pub(super) fn edged(mut self, mark: &str, style: Style) -> Self {
        self.edge = Some(Span { text: mark.to_owned(), style });
        self
    }

    /// Columns that the spans take at most.
    pub(super) fn width(&self) -> usize {
        self.spans.iter().map(|span| text::width(&span.text)).sum()
    }

    /// The row cut to a screen of `columns`, for screens too narrow for anything.
    pub(super) fn clipped(mut self, columns: usize) -> Self {
        let mut room = columns;
        for span in &mut self.spans {
            span.text = text::fit(&span.text, room);
            room = room.saturating_sub(text::width(&span.text));
        }
        self
    }

    /// The row as a person would read it on a screen of `columns`, without trailing blanks.
    #[cfg(test)]
    pub(super) fn plain(&self, columns: usize) -> String {
        let mut out: String = self.spans.iter().map(|span| span.text.as_str()).collect();
        if let Some(edge) = &self.edge {
            out.push_str(&" ".repeat((columns - 1).saturating_sub(self.width())));
            out.push_str(&edge.text);
        }
        out.trim_end().to_owned()
    }
}
