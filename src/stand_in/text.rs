//! How wide text is on a terminal, and how it is cut into rows.

use unicode_width::UnicodeWidthChar;

/// Columns a tab takes on the screen; terminals disagree, so it is drawn as blanks.
const TAB: &str = "    ";

/// What asks for the coloured, two columns wide form of the character before it.
const EMOJI_PRESENTATION: char = '\u{fe0f}';
/// What glues the characters on either side into one.
const JOINER: char = '\u{200d}';

/// The text with everything that could steer a terminal made visible instead.
///
/// Control characters become their Unicode pictures, tabs become blanks, and
/// what reorders or breaks lines becomes U+FFFD. Newlines are replaced too: the
/// caller splits lines first.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str(TAB),
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            c if c.is_control() => out.push('\u{fffd}'),
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Columns that `text` takes at most.
///
/// Terminals disagree about joined emoji, so the parts are added up: a row is
/// never wider than this says, and what stands at a fixed column is drawn by
/// column and not by counting.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    if c == EMOJI_PRESENTATION { 1 } else { c.width().unwrap_or(0) }
}

/// Cuts `text` where a terminal would, never inside what a person sees as one character.
pub(super) fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut joined = false;
        let end = rest
            .char_indices()
            .skip(1)
            .find(|&(at, c)| {
                joined = rest[..at].ends_with(JOINER);
                !joined && c.width() != Some(0)
            })
            .map_or(rest.len(), |(at, _)| at);
        let (cluster, after) = rest.split_at(end);
        rest = after;
        (!cluster.is_empty()).then_some(cluster)
    })
}

/// Where [`wrap`] may end a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    /// After any character: what a person types is shown as it is.
    Anywhere,
    /// At blanks, and inside a word only when it is wider than a row.
    Words,
}

/// Cuts one line into rows of at most `columns` columns; an empty line is one empty row.
pub(super) fn wrap(line: &str, columns: usize, at: Break) -> Vec<String> {
    let mut rows = Vec::new();
    let (mut row, mut used) = (String::new(), 0);
    for cluster in clusters(line) {
        let wide = width(cluster);
        if used + wide > columns && !row.is_empty() {
            let blank = row.rfind(' ').filter(|&blank| {
                let word = width(&row[blank + 1..]) + wide;
                at == Break::Words && cluster != " " && word <= columns && !row[..blank].trim().is_empty()
            });
            let next = blank.map_or_else(String::new, |blank| row.split_off(blank + 1));
            rows.push(if at == Break::Words { row.trim_end().to_owned() } else { row });
            used = width(&next);
            row = next;
            if at == Break::Words && cluster == " " {
                continue;
            }
        }
        row.push_str(cluster);
        used += wide;
    }
    rows.push(row);
    rows
}

/// The text if it fits in `columns`, otherwise its beginning and an ellipsis.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 1;
    for cluster in clusters(text) {
        used += width(cluster);
        if used > columns {
            break;
        }
        out.push_str(cluster);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_a_terminal() {
        for (text, columns) in
            [("abc", 3), ("日本", 4), ("é", 1), ("e\u{301}", 1), ("🐒", 2), ("❤\u{fe0f}", 2), ("│ ❯", 3), ("", 0)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn clusters_keep_marks_and_joined_emoji_together() {
        let cut = |text| clusters(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cut("ae\u{301}b"), ["a", "e\u{301}", "b"]);
        assert_eq!(cut("👩\u{200d}🚀x"), ["👩\u{200d}🚀", "x"]);
        assert_eq!(cut("\u{301}a"), ["\u{301}", "a"]);
        assert!(cut("").is_empty());
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(printable("a\u{1b}[31m\tb\u{7f}\u{9b}\u{202e}\n"), "a␛[31m    b␡\u{fffd}\u{fffd}␊");
    }

    #[test]
    fn words_wrap_at_blanks_and_long_words_break() {
        assert_eq!(wrap("one two three", 8, Break::Words), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4, Break::Words), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("    x", 10, Break::Words), ["    x"]);
        assert_eq!(wrap("", 10, Break::Words), [""]);
        assert_eq!(wrap("日本語の", 5, Break::Words), ["日本", "語の"]);
    }

    #[test]
    fn drafts_wrap_at_the_edge_and_lose_nothing() {
        assert_eq!(wrap("ab  cd ", 3, Break::Anywhere), ["ab ", " cd", " "]);
        assert_eq!(wrap("🐒🐒", 3, Break::Anywhere), ["🐒", "🐒"]);
    }

    #[test]
    fn a_row_is_never_too_wide_unless_one_character_is() {
        for columns in 2..30 {
            for at in [Break::Anywhere, Break::Words] {
                for row in
                    wrap("the 日本語 monkey 🐒👩\u{200d}🚀 e\u{301}é averyveryverylongwordindeed  x", columns, at)
                {
                    assert!(width(&row) <= columns.max(4), "{columns}: {row}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(fit("monkey", 6), "monkey");
        assert_eq!(fit("monkeys", 6), "monke…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
    }
}
