//! Where a rule looks: parts of one look at a terminal.

use crate::model::Styles;
use std::cell::OnceCell;
use std::ops::Range;

/// The most rows that `bottom:N`, `above:NAME:N` and `below:NAME:N` may ask for.
const MAX_ROWS: usize = 1000;

/// Where a rule looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Region {
    /// The title the program set.
    Title,
    /// The whole visible screen.
    Screen,
    /// The last rows that are not empty.
    Bottom(usize),
    /// A region of the definition.
    Named(String),
    /// The nearest rows above a region that are not empty.
    Above(String, usize),
    /// The nearest rows below it.
    Below(String, usize),
    /// The row the cursor is in.
    Cursor,
}

impl Region {
    /// Reads `title`, `screen`, `bottom:N`, `cursor`, `NAME`, `above:NAME[:N]` or `below:NAME[:N]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rows = |count: Option<&str>| match count.map(str::parse::<usize>) {
            None => Some(MAX_ROWS),
            Some(Ok(rows)) if (1..=MAX_ROWS).contains(&rows) => Some(rows),
            Some(_) => None,
        };
        let mut parts = text.split(':');
        let parsed = match (parts.next().unwrap_or_default(), parts.next(), parts.next(), parts.next()) {
            ("title", None, ..) => Some(Self::Title),
            ("screen", None, ..) => Some(Self::Screen),
            ("cursor", None, ..) => Some(Self::Cursor),
            ("bottom", Some(count), None, _) => rows(Some(count)).map(Self::Bottom),
            ("above", Some(name), count, None) => rows(count).map(|rows| Self::Above(name.to_owned(), rows)),
            ("below", Some(name), count, None) => rows(count).map(|rows| Self::Below(name.to_owned(), rows)),
            (name, None, ..) if is_name(name) => Some(Self::Named(name.to_owned())),
            _ => None,
        };
        parsed.ok_or_else(|| {
            format!(
                "region {text:?} is not title, screen, cursor, bottom:ROWS, a name from [regions], above:NAME:ROWS or \
                 below:NAME:ROWS (1 to {MAX_ROWS} rows)"
            )
        })
    }

    /// The region of the definition that this one needs.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) | Self::Above(name, _) | Self::Below(name, _) => Some(name),
            _ => None,
        }
    }
}

/// Whether `name` can be the name of a region.
pub(super) fn is_name(name: &str) -> bool {
    const TAKEN: &[&str] = &["title", "screen", "cursor", "bottom", "above", "below"];
    !name.is_empty() && !TAKEN.contains(&name) && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// One look, as rules see it. Cheap to make; styles are read by the first rule that asks for one.
pub struct Sight<'a> {
    /// The title.
    pub title: &'a str,
    text: &'a str,
    ansi: &'a str,
    rows: Vec<Range<usize>>,
    cursor: (u16, u16),
    cursor_shown: bool,
    styles: OnceCell<Styles>,
}

/// The text of a region, and the rows it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Rows joined by `\n`.
    pub text: String,
    /// Their numbers on the screen, from the top; none for the title.
    pub rows: Vec<usize>,
}

impl<'a> Sight<'a> {
    /// A look at `title`, a screen's plain `text` and the same with escapes, and the cursor: its column and row, and
    /// whether the program shows it.
    pub fn new(title: &'a str, text: &'a str, ansi: &'a str, cursor: (u16, u16), cursor_shown: bool) -> Self {
        let mut rows = Vec::new();
        let mut start = 0;
        for row in text.lines() {
            rows.push(start..start + row.len());
            start += row.len() + 1;
        }
        Self { title, text, ansi, rows, cursor, cursor_shown, styles: OnceCell::new() }
    }

    /// The plain text of one row; empty below the last.
    pub fn row(&self, row: usize) -> &'a str {
        self.rows.get(row).map_or("", |bytes| &self.text[bytes.clone()])
    }

    /// What `region` means here; `named` gives the bytes of the screen that a region of the definition takes.
    pub fn part(&self, region: &Region, named: impl Fn(&str) -> Option<Range<usize>>) -> Option<Part> {
        let all = 0..self.rows.len();
        match region {
            Region::Title => Some(Part { text: self.title.to_owned(), rows: Vec::new() }),
            Region::Screen => Some(self.join(all.collect())),
            Region::Bottom(count) => Some(self.join(self.nearest(all.rev(), *count))),
            Region::Named(name) => Some(self.join(self.rows_of(&named(name)?).collect())),
            Region::Above(name, count) => {
                let rows = self.rows_of(&named(name)?);
                Some(self.join(self.nearest((0..rows.start).rev(), *count)))
            }
            Region::Below(name, count) => {
                let rows = self.rows_of(&named(name)?);
                Some(self.join(self.nearest(rows.end..self.rows.len(), *count)))
            }
            Region::Cursor => Some(self.join(vec![usize::from(self.cursor.1)])),
        }
    }

    /// Whether the cursor is shown in one of these rows.
    pub fn cursor_in(&self, part: &Part) -> bool {
        self.cursor_shown && part.rows.contains(&usize::from(self.cursor.1))
    }

    /// The styles of the characters of `part` in `bytes` of its text that are not blank.
    pub fn styles(&self, part: &Part, bytes: Range<usize>) -> Vec<crate::model::Style> {
        let styles = self.styles.get_or_init(|| Styles::parse(self.ansi));
        let mut found = Vec::new();
        let mut start = 0;
        for (row, text) in part.rows.iter().zip(part.text.split('\n')) {
            for (at, c) in text.char_indices() {
                if bytes.contains(&(start + at)) && !c.is_whitespace() {
                    found.push(styles.at(*row, at));
                }
            }
            start += text.len() + 1;
        }
        found
    }

    /// The whole plain screen.
    pub fn screen(&self) -> &'a str {
        self.text
    }

    fn rows_of(&self, bytes: &Range<usize>) -> Range<usize> {
        let first = self.rows.partition_point(|row| row.end < bytes.start);
        let last = self.rows.partition_point(|row| row.start < bytes.end.max(bytes.start + 1));
        first..last.max(first)
    }

    /// The first `count` of `rows` that are not empty, from the top down.
    fn nearest(&self, rows: impl Iterator<Item = usize>, count: usize) -> Vec<usize> {
        let mut kept: Vec<usize> = rows.filter(|row| !self.row(*row).trim().is_empty()).take(count).collect();
        kept.sort_unstable();
        kept
    }

    fn join(&self, rows: Vec<usize>) -> Part {
        let text = rows.iter().map(|row| self.row(*row)).collect::<Vec<_>>().join("\n");
        Part { text, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\n\n[box\nx\n]\n  \nb\n\nc\n";

    fn text(region: &str) -> Option<String> {
        let sight = Sight::new("t", TEXT, "", (0, 3), true);
        let named = |name: &str| (name == "box").then(|| TEXT.find("[box").unwrap()..TEXT.find(']').unwrap() + 1);
        sight.part(&Region::parse(region).unwrap(), named).map(|part| part.text)
    }

    #[test]
    fn each_region_is_its_rows() {
        for (region, expected) in [
            ("title", "t"),
            ("screen", "a\n\n[box\nx\n]\n  \nb\n\nc"),
            ("bottom:2", "b\nc"),
            ("bottom:9", "a\n[box\nx\n]\nb\nc"),
            ("cursor", "x"),
            ("box", "[box\nx\n]"),
            ("above:box", "a"),
            ("below:box", "b\nc"),
            ("below:box:1", "b"),
        ] {
            assert_eq!(text(region).as_deref(), Some(expected), "{region}");
        }
        assert_eq!(text("above:other"), None);
        for wrong in ["", "bottom", "bottom:0", "bottom:x", "above", "Box", "title:1", "above:box:1:1"] {
            assert!(Region::parse(wrong).unwrap_err().contains("above:NAME:ROWS"), "{wrong}");
        }
    }

    #[test]
    fn styles_belong_to_the_characters_of_a_part() {
        let sight = Sight::new("", "ab\n\ncd", "\u{1b}[2mab\n\nc\u{1b}[0md", (0, 0), true);
        let part = sight.part(&Region::Bottom(2), |_| None).unwrap();
        let dim = |bytes| sight.styles(&part, bytes).iter().map(|style| style.dim).collect::<Vec<_>>();
        assert_eq!(dim(0..5), [true, true, true, false]);
        assert_eq!(dim(4..5), [false]);
    }
}
