//! Text as one argument of a tmux command.

use std::fmt::Write as _;

/// `text` as one argument of a command line that tmux parses: a double-quoted
/// string on one line, in which nothing is expanded. A NUL, which no tmux argument
/// can hold, is left out.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\0' => {}
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '-' | '_' | '.' | ',' | '/' | ':' | '=' | '@' | '%' | '+' => {
                quoted.push(c);
            }
            // Three octal digits stand for any other character of ASCII (tmux(1),
            // PARSING SYNTAX), so quotes, `$`, `~` at the start, `\` and newline need no rules of their own.
            c if c.is_ascii() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\{:03o}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `text` for an argument that tmux expands as a format (a start directory, a
/// file name, a window's name): the expansion gives `text` again.
///
/// `#` is doubled, but not where a run of them stands before `[`, which tmux
/// leaves as it is for styles.
pub fn literal_format(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('#') {
        literal.push_str(&rest[..at]);
        let tail = rest[at..].trim_start_matches('#');
        let run = &rest[at..rest.len() - tail.len()];
        literal.push_str(run);
        if !tail.starts_with('[') {
            literal.push_str(run);
        }
        rest = tail;
    }
    literal.push_str(rest);
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_characters_stay_bare() {
        assert_eq!(quote("a b"), "\"a b\"");
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote("~;$\"'\\\n{}#é"), "\"\\176\\073\\044\\042\\047\\134\\012\\173\\175\\043é\"");
        assert_eq!(quote("a\0b"), "\"ab\"");
    }

    #[test]
    fn formats_are_made_literal() {
        assert_eq!(literal_format("/a#b##c/#[x"), "/a##b####c/#[x");
        assert_eq!(literal_format("#"), "##");
    }
}
