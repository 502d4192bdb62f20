//! How a definition names the look of text: `dim`, `bold fg:8`, `!dim`.

use crate::model::Style;
use crate::model::style::Color;

/// What every character of a text has to look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look(Vec<(bool, Trait)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trait {
    Bold,
    Dim,
    Italic,
    Underline,
    Reverse,
    Strike,
    Fg(Color),
    Bg(Color),
}

impl Look {
    /// Reads words joined by blanks, each with `!` before it to mean the opposite: `bold`, `dim`, `italic`,
    /// `underline`, `reverse`, `strike`, and `fg:` or `bg:` followed by `default`, a number of the
    /// palette (0 to 255) or `#rrggbb`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words = text.split_whitespace().map(|word| {
            let (wanted, name) = word.strip_prefix('!').map_or((true, word), |name| (false, name));
            let found = match name {
                "bold" => Some(Trait::Bold),
                "dim" => Some(Trait::Dim),
                "italic" => Some(Trait::Italic),
                "underline" => Some(Trait::Underline),
                "reverse" => Some(Trait::Reverse),
                "strike" => Some(Trait::Strike),
                other => match other.split_once(':') {
                    Some(("fg", name)) => color(name).map(Trait::Fg),
                    Some(("bg", name)) => color(name).map(Trait::Bg),
                    _ => None,
                },
            };
            found.map(|found| (wanted, found)).ok_or_else(|| {
                format!(
                    "style {word:?} is not bold, dim, italic, underline, reverse, strike, fg:COLOR or bg:COLOR, with COLOR \
                     default, 0 to 255 or #rrggbb"
                )
            })
        });
        let words = words.collect::<Result<Vec<_>, _>>()?;
        if words.is_empty() { Err("a style needs at least one word".to_owned()) } else { Ok(Self(words)) }
    }

    /// Whether there is a character, and all of them look like this.
    pub(super) fn fits_all(&self, styles: &[Style]) -> bool {
        !styles.is_empty() && styles.iter().all(|style| self.0.iter().all(|(wanted, t)| t.holds(style) == *wanted))
    }
}

impl Trait {
    fn holds(self, style: &Style) -> bool {
        match self {
            Self::Bold => style.bold,
            Self::Dim => style.dim,
            Self::Italic => style.italic,
            Self::Underline => style.underline,
            Self::Reverse => style.reverse,
            Self::Strike => style.strike,
            Self::Fg(color) => style.fg == color,
            Self::Bg(color) => style.bg == color,
        }
    }
}

fn color(name: &str) -> Option<Color> {
    if name == "default" {
        return Some(Color::Default);
    }
    if let Some(hex) = name.strip_prefix('#') {
        let byte = |at: usize| hex.get(at..at + 2).and_then(|part| u8::from_str_radix(part, 16).ok());
        return (hex.len() == 6).then(|| Some(Color::Rgb(byte(0)?, byte(2)?, byte(4)?))).flatten();
    }
    name.parse().ok().map(Color::Index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_looks() {
        let dim = Style { dim: true, ..Style::default() };
        let grey = Style { fg: Color::Index(8), ..Style::default() };
        let fits = |look: &str, styles: &[Style]| Look::parse(look).unwrap().fits_all(styles);
        assert!(fits("dim", &[dim, dim]) && !fits("dim", &[dim, grey]) && !fits("dim", &[]));
        assert!(fits("!dim fg:8", &[grey]) && !fits("fg:8", &[dim]));
        assert!(fits("fg:#010203 bg:default", &[Style { fg: Color::Rgb(1, 2, 3), ..Style::default() }]));
        for wrong in ["", "  ", "grey", "fg:", "fg:256", "fg:#12345", "bg:#12345é", "!"] {
            assert!(Look::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
