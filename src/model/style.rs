//! How text on a screen looks: SGR escapes, read into runs of one style.

/// A colour of the foreground or the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// The terminal's own.
    #[default]
    Default,
    /// One of the 256 of the palette; the first 16 are the basic and the bright ones.
    Index(u8),
    /// Red, green and blue.
    Rgb(u8, u8, u8),
}

/// How a character looks (ECMA-48, SGR; colours as in xterm's ctlseqs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// The colour of the character.
    pub fg: Color,
    /// The colour behind it.
    pub bg: Color,
    /// 1.
    pub bold: bool,
    /// 2.
    pub dim: bool,
    /// 3.
    pub italic: bool,
    /// 4.
    pub underline: bool,
    /// 7.
    pub reverse: bool,
    /// 9.
    pub strike: bool,
}

/// The styles of a whole screen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Styles {
    /// For each row, where a style begins: the byte of the row's plain text, ascending.
    rows: Vec<Vec<(usize, Style)>>,
}

impl Styles {
    /// Reads rows as [`crate::model::Screen::ansi`] holds them: any text, of which only SGR escapes count.
    pub fn parse(ansi: &str) -> Self {
        let mut style = Style::default();
        let rows = ansi.split('\n').map(|row| {
            let mut runs = vec![(0, style)];
            let (mut at, mut rest) = (0, row);
            while let Some(escape) = rest.find('\u{1b}') {
                at += escape;
                rest = &rest[escape + 1..];
                let Some(end) = rest.find('m').filter(|_| rest.starts_with('[')) else { continue };
                style = style.after(&rest[1..end]);
                rest = &rest[end + 1..];
                match runs.last_mut() {
                    Some(last) if last.0 == at => last.1 = style,
                    _ => runs.push((at, style)),
                }
            }
            runs
        });
        Self { rows: rows.collect() }
    }

    /// The style of the character that begins at byte `at` of the plain text of row `row`.
    pub fn at(&self, row: usize, at: usize) -> Style {
        let Some(runs) = self.rows.get(row) else { return Style::default() };
        let after = runs.partition_point(|(start, _)| *start <= at);
        after.checked_sub(1).and_then(|run| runs.get(run)).map_or_else(Style::default, |(_, style)| *style)
    }
}

impl Style {
    /// The style after the parameters of one SGR escape.
    fn after(mut self, parameters: &str) -> Self {
        let mut rest = parameters.split(';');
        while let Some(parameter) = rest.next() {
            let mut parts = parameter.split(':');
            let code: u16 = match parts.next() {
                Some("") | None => 0,
                Some(number) => number.parse().unwrap_or(u16::MAX),
            };
            let sub: Vec<&str> = parts.collect();
            match code {
                0 => self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = sub.first() != Some(&"0"),
                7 => self.reverse = true,
                9 => self.strike = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.reverse = false,
                29 => self.strike = false,
                30..=37 => self.fg = Color::Index(low(code - 30)),
                39 => self.fg = Color::Default,
                40..=47 => self.bg = Color::Index(low(code - 40)),
                49 => self.bg = Color::Default,
                90..=97 => self.fg = Color::Index(low(code - 90) + 8),
                100..=107 => self.bg = Color::Index(low(code - 100) + 8),
                38 | 48 | 58 => {
                    let color = if sub.is_empty() { color(&mut rest) } else { sub_color(&sub) };
                    match (code, color) {
                        (38, Some(color)) => self.fg = color,
                        (48, Some(color)) => self.bg = color,
                        // 58 colours the underline, which says nothing here.
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        self
    }
}

/// `5;N` or `2;R;G;B`.
fn color<'a>(rest: &mut impl Iterator<Item = &'a str>) -> Option<Color> {
    let mut number = || rest.next().and_then(|part| part.parse::<u8>().ok());
    match number()? {
        5 => number().map(Color::Index),
        2 => Some(Color::Rgb(number()?, number()?, number()?)),
        _ => None,
    }
}

/// `5:N`, `2:R:G:B` or, with a colour space, `2::R:G:B`.
fn sub_color(sub: &[&str]) -> Option<Color> {
    let number = |part: &&str| part.parse::<u8>().ok();
    match sub {
        ["5", index] => number(index).map(Color::Index),
        ["2", r, g, b] | ["2", _, r, g, b, ..] => Some(Color::Rgb(number(r)?, number(g)?, number(b)?)),
        _ => None,
    }
}

fn low(code: u16) -> u8 {
    u8::try_from(code).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn styles(ansi: &str) -> Vec<Style> {
        let styles = Styles::parse(ansi);
        strip_ansi_escapes::strip_str(ansi).char_indices().map(|(at, _)| styles.at(0, at)).collect()
    }

    #[test]
    fn colours_are_read_in_every_spelling() {
        let rgb = Color::Rgb(1, 2, 3);
        for (sgr, fg) in [
            ("31", Color::Index(1)),
            ("97", Color::Index(15)),
            ("38;5;231", Color::Index(231)),
            ("38:5:231", Color::Index(231)),
            ("38;2;1;2;3", rgb),
            ("38:2:1:2:3", rgb),
            ("38:2::1:2:3", rgb),
            ("38;2;1;2;3;39", Color::Default),
            ("38;9", Color::Default),
        ] {
            assert_eq!(styles(&format!("\u{1b}[{sgr}mx"))[0].fg, fg, "{sgr}");
        }
    }

    #[test]
    fn attributes_begin_and_end() {
        let read = styles("a\u{1b}[2mb\u{1b}[1;22;7mc\u{1b}[md");
        assert_eq!(
            read.iter().map(|s| (s.dim, s.bold, s.reverse)).collect::<Vec<_>>(),
            [(false, false, false), (true, false, false), (false, false, true), (false, false, false)]
        );
        // A colour that is not understood takes its parameters with it, and nothing else.
        assert_eq!(styles("\u{1b}[58;2;9;9;9;1mx")[0], Style { bold: true, ..Style::default() });
    }

    #[test]
    fn a_style_goes_on_in_the_next_row() {
        let styles = Styles::parse("\u{1b}[2ma\nb\u{1b}[0mc");
        assert!(styles.at(1, 0).dim && !styles.at(1, 1).dim);
        assert_eq!(styles.at(9, 9), Style::default());
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_styles(text: String, row: usize, at: usize) {
            let _ = Styles::parse(&text).at(row, at);
        }
    }
}
