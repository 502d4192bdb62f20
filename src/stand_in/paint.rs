//! From rows to the bytes that bring a terminal from the last picture to this one.
//!
//! Pure. The picture is the end of one document, the transcript and the live rows
//! below it. Rows of the transcript that no longer fit leave over the top edge by
//! scrolling, so each enters the terminal's scrollback once; the rest is drawn by
//! absolute position and only where it changed. A resize draws every row again,
//! because what a terminal does to its rows then is its own affair.

use super::app::Size;
use super::line::{Line, Span, Style};
use std::collections::VecDeque;
use std::fmt::Write;

/// What the terminal shows, as far as we drew it.
#[derive(Debug)]
pub(super) struct Painter {
    size: Size,
    /// What each row of the screen shows; `None` when nobody knows.
    shown: VecDeque<Option<Line>>,
    /// The row of the document at the top of the screen.
    top: usize,
}

/// The document: rows that are final, how many came before them, and rows that change.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// Rows no longer kept.
    pub(super) forgotten: usize,
    /// The transcript.
    pub(super) rows: &'a VecDeque<Line>,
    /// What stands below it.
    pub(super) live: &'a [Line],
}

impl Document<'_> {
    fn settled(&self) -> usize {
        self.forgotten + self.rows.len()
    }

    fn total(&self) -> usize {
        self.settled() + self.live.len()
    }

    fn row(&self, at: usize) -> Line {
        let live = at.checked_sub(self.settled()).map(|at| self.live.get(at));
        let row = live.unwrap_or_else(|| at.checked_sub(self.forgotten).and_then(|at| self.rows.get(at)));
        row.cloned().unwrap_or_default()
    }
}

impl Painter {
    /// A painter for a screen of which it knows nothing, and the bytes that move what is there away.
    pub(super) fn start(size: Size) -> (Self, String) {
        // As many line feeds as reach the last row from the first: only what is above the cursor scrolls away.
        let feeds = "\n".repeat(size.rows - 1);
        (Self { size, shown: unknown(size), top: 0 }, feeds)
    }

    /// Forgets what is shown, so that the next picture is drawn whole.
    pub(super) fn forget(&mut self) {
        self.shown = unknown(self.size);
    }

    /// The bytes that show the end of `document`; none when nothing changed.
    pub(super) fn paint(&mut self, document: &Document<'_>, size: Size) -> String {
        let mut out = String::new();
        let overflow = document.total().saturating_sub(size.rows);
        if self.size == size {
            self.scroll(document, overflow.min(document.settled()), &mut out);
        } else {
            self.size = size;
            self.top = overflow.min(document.settled());
            self.forget();
        }
        let first = self.top.max(overflow);
        for at in 0..size.rows {
            self.draw(at, document.row(first + at), &mut out);
        }
        if !out.is_empty() {
            // The cursor rests on the last row, so that a terminal that loses height pushes out the top.
            let last = (document.total() - first).clamp(1, size.rows);
            let _ = write!(out, "\x1b[{last};1H");
        }
        out
    }

    /// Scrolls until row `top` of the document is the first of the screen.
    fn scroll(&mut self, document: &Document<'_>, top: usize, out: &mut String) {
        // What was forgotten before it was ever drawn is skipped.
        self.top = self.top.max(document.forgotten.min(top));
        while self.top < top {
            let step = (top - self.top).min(self.size.rows);
            for at in 0..step {
                self.draw(at, document.row(self.top + at), out);
            }
            let _ = write!(out, "\x1b[{};1H{}", self.size.rows, "\n".repeat(step));
            self.shown.drain(..step);
            self.shown.resize(self.size.rows, Some(Line::default()));
            self.top += step;
        }
    }

    fn draw(&mut self, at: usize, line: Line, out: &mut String) {
        let line = if line.width() > self.size.columns { line.clipped(self.size.columns) } else { line };
        if self.shown[at].as_ref() == Some(&line) {
            return;
        }
        let _ = write!(out, "\x1b[{};1H", at + 1);
        for span in &line.spans {
            put(span, out);
        }
        // A full row leaves the cursor on its last column, which erasing would take away.
        if line.width() < self.size.columns {
            out.push_str("\x1b[K");
        }
        if let Some(edge) = &line.edge {
            let _ = write!(out, "\x1b[{}G", self.size.columns);
            put(edge, out);
        }
        self.shown[at] = Some(line);
    }
}

fn unknown(size: Size) -> VecDeque<Option<Line>> {
    std::iter::repeat_n(None, size.rows).collect()
}

fn put(span: &Span, out: &mut String) {
    let code = match span.style {
        Style::Plain => return out.push_str(&span.text),
        Style::Dim => "2",
        Style::Bold => "1",
        Style::Accent => "36",
        Style::Warn => "33",
        Style::Error => "31",
        Style::Cursor => "7",
    };
    let _ = write!(out, "\x1b[{code}m{}\x1b[0m", span.text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 10, rows: 3 };

    fn rows(texts: &[&str]) -> VecDeque<Line> {
        texts.iter().map(|text| Line::new(*text, Style::Plain)).collect()
    }

    fn paint(painter: &mut Painter, settled: &[&str], live: &[&str], size: Size) -> String {
        let live: Vec<Line> = rows(live).into();
        painter.paint(&Document { forgotten: 0, rows: &rows(settled), live: &live }, size)
    }

    fn started() -> Painter {
        let mut painter = Painter::start(SIZE).0;
        paint(&mut painter, &["a"], &["box"], SIZE);
        painter
    }

    #[test]
    fn the_first_picture_draws_every_row() {
        let (mut painter, feeds) = Painter::start(SIZE);
        assert_eq!(feeds, "\n\n");
        let bytes = paint(&mut painter, &["a"], &["box"], SIZE);
        assert_eq!(bytes, "\x1b[1;1Ha\x1b[K\x1b[2;1Hbox\x1b[K\x1b[3;1H\x1b[K\x1b[2;1H");
    }

    #[test]
    fn the_same_picture_is_no_bytes() {
        assert_eq!(paint(&mut started(), &["a"], &["box"], SIZE), "");
    }

    #[test]
    fn only_rows_that_changed_are_drawn() {
        assert_eq!(paint(&mut started(), &["a"], &["bux"], SIZE), "\x1b[2;1Hbux\x1b[K\x1b[2;1H");
    }

    #[test]
    fn rows_leave_over_the_top_once() {
        let mut painter = started();
        let bytes = paint(&mut painter, &["a", "b", "c", "d", "e", "f", "g", "h"], &["box"], SIZE);
        assert_eq!(bytes.matches('\n').count(), 6, "{bytes:?}");
        for row in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert_eq!(bytes.matches(&format!("H{row}\x1b")).count(), usize::from(row != "a"), "{row} {bytes:?}");
        }
        assert_eq!(paint(&mut painter, &["a", "b", "c", "d", "e", "f", "g", "h"], &["box"], SIZE), "");
    }

    #[test]
    fn a_shorter_document_leaves_empty_rows_below() {
        let mut painter = started();
        paint(&mut painter, &["a", "b"], &["box", "box"], SIZE);
        let bytes = paint(&mut painter, &["a", "b"], &["box"], SIZE);
        assert_eq!(bytes, "\x1b[3;1H\x1b[K\x1b[2;1H");
    }

    #[test]
    fn live_rows_that_do_not_fit_never_reach_the_scrollback() {
        let mut painter = started();
        let bytes = paint(&mut painter, &["a"], &["1", "2", "3", "4", "5"], SIZE);
        assert_eq!(bytes.matches('\n').count(), 1);
        assert!(bytes.contains("\x1b[3;1H5"), "{bytes:?}");
    }

    #[test]
    fn a_resize_draws_every_row_and_scrolls_nothing() {
        let mut painter = started();
        let size = Size { columns: 8, rows: 2 };
        let bytes = paint(&mut painter, &["a", "b"], &["box"], size);
        assert_eq!(bytes, "\x1b[1;1Hb\x1b[K\x1b[2;1Hbox\x1b[K\x1b[2;1H");
    }

    #[test]
    fn full_rows_are_not_erased_and_edges_stand_in_the_last_column() {
        let mut painter = Painter::start(Size { columns: 5, rows: 1 }).0;
        let live = [Line::new("╭───╮", Style::Plain)];
        let empty = VecDeque::new();
        let size = Size { columns: 5, rows: 1 };
        let bytes = painter.paint(&Document { forgotten: 0, rows: &empty, live: &live }, size);
        assert_eq!(bytes, "\x1b[1;1H╭───╮\x1b[1;1H");
        let live = [Line::new("│日", Style::Dim).edged("│", Style::Dim)];
        let bytes = painter.paint(&Document { forgotten: 0, rows: &empty, live: &live }, size);
        assert_eq!(bytes, "\x1b[1;1H\x1b[2m│日\x1b[0m\x1b[K\x1b[5G\x1b[2m│\x1b[0m\x1b[1;1H");
    }
}
