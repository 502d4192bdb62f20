//! What a terminal shows, and the one way from what tmux gives to it.

use std::sync::Arc;

/// The visible terminal, once with escapes and once as plain rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Screen {
    /// Rows joined by `\n`, with SGR escapes, ending in `\n`.
    pub ansi: Arc<str>,
    /// The same without any control character, rows right-trimmed, trailing empty rows dropped.
    pub text: Arc<str>,
}

impl Screen {
    /// The screen from the rows that `capture-pane -e` gives: any bytes.
    pub fn parse(rows: &[u8]) -> Self {
        let ansi = clean(&String::from_utf8_lossy(rows));
        let mut text = String::with_capacity(ansi.len());
        for row in strip_ansi_escapes::strip_str(&ansi).split('\n') {
            text.push_str(row.trim_end());
            text.push('\n');
        }
        let end = text.trim_end_matches('\n').len();
        text.truncate(if end == 0 { 0 } else { end + 1 });
        Self { ansi: ansi.into(), text: text.into() }
    }
}

/// Rows with SGR escapes and nothing else that a terminal would obey.
///
/// `capture-pane -e` also writes SO and SI around line-drawing characters, which
/// mean nothing without the program's choice of character sets: they become the
/// Unicode characters they stand for.
fn clean(rows: &str) -> String {
    const SHIFT_OUT: char = '\u{e}';
    const SHIFT_IN: char = '\u{f}';
    let mut cleaned = String::with_capacity(rows.len());
    let mut drawing = false;
    let mut rest = rows;
    while let Some(c) = rest.chars().next() {
        if let Some(sgr) = sgr(rest) {
            cleaned.push_str(sgr);
            rest = &rest[sgr.len()..];
            continue;
        }
        if let Some(len) = escape(rest) {
            rest = &rest[len..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            SHIFT_OUT => drawing = true,
            SHIFT_IN => drawing = false,
            '\n' => cleaned.push(c),
            c if c.is_control() => {}
            c if drawing => cleaned.push(line_drawing(c)),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// The SGR escape that `text` begins with: `ESC [`, digits, `;` or `:`, `m`.
fn sgr(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let after = parameters.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == ':');
    let after = after.strip_prefix('m')?;
    Some(&text[..text.len() - after.len()])
}

/// The length of any other escape sequence that `text` begins with, whole: what it
/// carries (a link's address, a title) is not on the screen. Nothing runs past its row.
fn escape(text: &str) -> Option<usize> {
    let row = &text[..text.find('\n').unwrap_or(text.len())];
    let body = row.strip_prefix('\u{1b}')?;
    let end = match body.chars().next()? {
        // OSC, DCS, SOS, PM and APC end with BEL or ST.
        ']' | 'P' | 'X' | '^' | '_' => {
            let bell = body.find('\u{7}').map(|at| at + 1);
            let terminator = body.find("\u{1b}\\").map(|at| at + 2);
            bell.into_iter().chain(terminator).min()?
        }
        '[' => body[1..].find(|c: char| ('@'..='~').contains(&c)).map(|at| at + 2)?,
        _ => return None,
    };
    Some(1 + end)
}

/// What a character of DEC's special graphics set looks like (VT100 user guide,
/// table 3-9; the arrows and blocks as in terminfo's `acsc`).
fn line_drawing(c: char) -> char {
    match c {
        '`' => '◆',
        'a' => '▒',
        'f' => '°',
        'g' => '±',
        'j' => '┘',
        'k' => '┐',
        'l' => '┌',
        'm' => '└',
        'n' => '┼',
        'o' => '⎺',
        'p' => '⎻',
        'q' => '─',
        'r' => '⎼',
        's' => '⎽',
        't' => '├',
        'u' => '┤',
        'v' => '┴',
        'w' => '┬',
        'x' => '│',
        'y' => '≤',
        'z' => '≥',
        '{' => 'π',
        '|' => '≠',
        '}' => '£',
        '~' => '·',
        '+' => '→',
        ',' => '←',
        '-' => '↑',
        '.' => '↓',
        '0' => '█',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_stay_in_a_screen() {
        let rows = "\u{e}qx\u{f}q \u{1b}[1;31mred\u{1b}[0m\u{1b}]8;;http://a/\u{1b}\\link\u{1b}]8;;\u{7}\u{1b}[2J\u{9b}\t  \n\u{1b}]0;\n x \n\n\n";
        let screen = Screen::parse(rows.as_bytes());
        assert_eq!(&*screen.ansi, "─│q \u{1b}[1;31mred\u{1b}[0mlink  \n]0;\n x \n\n\n");
        assert_eq!(&*screen.text, "─│q redlink\n]0;\n x\n");
        assert_eq!(&*Screen::parse(b"\n\n").text, "");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_screen_without_controls(bytes: Vec<u8>) {
            let screen = Screen::parse(&bytes);
            proptest::prop_assert!(!screen.text.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
