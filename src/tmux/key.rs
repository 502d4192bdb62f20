//! Names of keys, the ones tmux's `send-keys` understands.

use super::quote;
use crate::error::{Error, Kind, Result};

/// One key press, checked: an unknown name would be typed letter by letter by tmux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    name: String,
    literal: bool,
}

/// Keys that have a name (tmux(1), KEY BINDINGS), in tmux's spelling.
const NAMED: &[&str] = &[
    "Enter", "Escape", "Tab", "BTab", "Space", "BSpace", "Up", "Down", "Left", "Right", "Home", "End", "PageUp",
    "PPage", "PgUp", "PageDown", "NPage", "PgDn", "IC", "DC", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9",
    "F10", "F11", "F12",
];

/// What can be held down with Control beside letters, as ASCII defines it.
const CONTROL_PUNCTUATION: &str = "@[\\]^_?";

impl Key {
    /// One printable character, a name (`Enter`, `F5`), or either with `C-`, `M-`
    /// or `S-` before it, each at most once.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(c) = only_char(text)
            && !c.is_control()
        {
            let literal = c != ' ';
            return Ok(Self { name: if literal { text.to_owned() } else { "Space".to_owned() }, literal });
        }
        let (modifiers, base) = split_modifiers(text);
        let known = NAMED.contains(&base)
            || only_char(base).is_some_and(|c| {
                c.is_ascii_graphic()
                    && !modifiers.contains('S')
                    && (!modifiers.contains('C') || c.is_ascii_alphabetic() || CONTROL_PUNCTUATION.contains(c))
            });
        if known {
            // A terminal has one code for both, and tmux sends nothing for `C-Z`.
            let name = match only_char(base) {
                Some(c) if modifiers.contains('C') => {
                    format!("{}{}", &text[..text.len() - base.len()], c.to_ascii_lowercase())
                }
                _ => text.to_owned(),
            };
            Ok(Self { name, literal: false })
        } else {
            Err(Error::new(
                Kind::Invalid,
                format!(
                    "{:?} is not the name of a key; use one printable character, Enter, Escape, Tab, BTab, Space, BSpace, Up, Down, Left, Right, Home, End, PageUp, PageDown, IC, DC or F1 to F12, with C-, M- or S- before it",
                    shown(text)
                ),
            ))
        }
    }

    /// The key's name, as tmux writes it.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Plain Enter: a carriage return.
    pub(super) fn is_enter(&self) -> bool {
        !self.literal && self.name == "Enter"
    }

    /// The arguments that make `send-keys` press it.
    pub(super) fn arguments(&self) -> String {
        format!("{}{}", if self.literal { "-l " } else { "" }, quote(&self.name))
    }
}

/// The beginning of what somebody wrote, short enough for a sentence.
fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    text.chars().take(SHOWN_CHARS).collect()
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The modifiers in front, as letters, and what they modify.
fn split_modifiers(text: &str) -> (String, &str) {
    let mut modifiers = String::new();
    let mut base = text;
    while let Some(letter) = base.chars().next().filter(|c| "CMS".contains(*c) && !modifiers.contains(*c)) {
        let Some(rest) = base[1..].strip_prefix('-').filter(|rest| !rest.is_empty()) else { break };
        modifiers.push(letter);
        base = rest;
    }
    (modifiers, base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        for good in
            ["Enter", "Escape", "C-c", "M-x", "C-M-Up", "S-Tab", "F12", "a", "é", "-", "C", "M--", "C-[", "1", "😀"]
        {
            assert!(Key::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "enter", "Enterr", "F13", "C-", "C-C-c", "ab", "\n", "\u{1b}", "C-é", "C-1", "S-a", "Enter ", "X-a"]
        {
            let error = Key::parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{bad}");
        }
    }

    #[test]
    fn a_space_has_a_name() {
        assert_eq!(Key::parse(" ").unwrap(), Key::parse("Space").unwrap());
        assert_eq!(Key::parse("C-Z").unwrap(), Key::parse("C-z").unwrap());
        assert_eq!(Key::parse("M-Z").unwrap().as_str(), "M-Z");
        assert_eq!(Key::parse(";").unwrap().arguments(), "-l \"\\073\"");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_key_or_a_sentence(text: String) {
            let _ = Key::parse(&text);
        }
    }
}
