//! An agent's terminal, as it is or scaled down. It is only ever looked at: its size is its own.

use super::super::ui::Ui;
use super::{put, row};
use crate::model::{AgentView, Styles, style};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Dots of one character of the overview (Unicode's braille patterns): columns and rows.
const DOTS: (usize, usize) = (2, 4);
/// The pattern without dots, and the bit of each dot by row and column.
const BRAILLE: u32 = 0x2800;
const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// One grapheme on the screen, with the column it begins in.
struct Cell {
    column: usize,
    width: usize,
    symbol: String,
    style: Style,
}

/// Draws the screen, its last rows unless it is panned; says its size and where it goes on.
pub(super) fn draw(ui: &mut Ui, view: &AgentView, area: Rect, buffer: &mut Buffer) -> String {
    let rows = cells(&view.screen.ansi);
    let rows = &rows[..rows.iter().rposition(|row| !row.iter().all(is_blank)).map_or(0, |last| last + 1)];
    let columns = rows.iter().flat_map(|row| row.last()).map(|cell| cell.column + cell.width).max().unwrap_or(0);
    if rows.is_empty() {
        let dim = Style::new().add_modifier(Modifier::DIM);
        put(buffer, area, 0, if view.status().is_alive() { "its screen is empty" } else { "it has no screen" }, dim);
        return String::new();
    }
    if ui.is_overview {
        let scale = overview(rows, columns, area, buffer);
        return format!(" {columns}x{} · overview 1:{scale}", rows.len());
    }
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let most = (columns.saturating_sub(width), rows.len().saturating_sub(height));
    ui.pan = (ui.pan.0.min(most.0), ui.pan.1.min(most.1));
    let (left, top) = (ui.pan.0, most.1 - ui.pan.1);
    for (number, cells) in rows.iter().skip(top).take(height).enumerate() {
        let Some(place) = row(area, number) else { break };
        for cell in cells {
            // Of a wide character that begins to the left of the edge nothing is shown.
            if let Some(column) = cell.column.checked_sub(left).filter(|column| column + cell.width <= width) {
                put(buffer, place, column, &cell.symbol, cell.style);
            }
        }
    }
    let sides = [(left > 0, '←'), (left < most.0, '→'), (top > 0, '↑'), (top < most.1, '↓')];
    let clipped: String = sides.into_iter().filter(|(is_clipped, _)| *is_clipped).map(|(_, sign)| sign).collect();
    let clip = if clipped.is_empty() { String::new() } else { format!(" · clip {clipped}") };
    format!(" {columns}x{}{clip}", rows.len())
}

fn is_blank(cell: &Cell) -> bool {
    cell.symbol.trim().is_empty() && cell.style.bg.is_none() && !cell.style.add_modifier.contains(Modifier::REVERSED)
}

/// The graphemes of a screen, row by row.
fn cells(ansi: &str) -> Vec<Vec<Cell>> {
    let styles = Styles::parse(ansi);
    let text = strip_ansi_escapes::strip_str(ansi);
    text.lines().enumerate().map(|(number, line)| row_cells(&styles, number, line)).collect()
}

fn row_cells(styles: &Styles, number: usize, line: &str) -> Vec<Cell> {
    let mut spans: Vec<(style::Style, usize, usize)> = Vec::new();
    for (at, c) in line.char_indices() {
        let (style, end) = (styles.at(number, at), at + c.len_utf8());
        match spans.last_mut() {
            Some(last) if last.0 == style => last.2 = end,
            _ => spans.push((style, at, end)),
        }
    }
    let spans = spans.into_iter().map(|(style, from, to)| Span::styled(&line[from..to], shown(style)));
    let line = Line::from_iter(spans);
    let mut column = 0;
    let mut cells = Vec::new();
    for grapheme in line.styled_graphemes(Style::new()) {
        let width = grapheme.symbol.width();
        cells.push(Cell { column, width, symbol: grapheme.symbol.to_owned(), style: grapheme.style });
        column += width;
    }
    cells
}

/// A style of the agent's terminal in ours.
fn shown(style: style::Style) -> Style {
    let colour = |colour| match colour {
        style::Color::Default => None,
        style::Color::Index(index) => Some(Color::Indexed(index)),
        style::Color::Rgb(r, g, b) => Some(Color::Rgb(r, g, b)),
    };
    let modifiers = [
        (style.bold, Modifier::BOLD),
        (style.dim, Modifier::DIM),
        (style.italic, Modifier::ITALIC),
        (style.underline, Modifier::UNDERLINED),
        (style.reverse, Modifier::REVERSED),
        (style.strike, Modifier::CROSSED_OUT),
    ];
    let modifier =
        modifiers.into_iter().filter(|(is_set, _)| *is_set).fold(Modifier::empty(), |all, (_, one)| all | one);
    Style { fg: colour(style.fg), bg: colour(style.bg), ..Style::new().add_modifier(modifier) }
}

/// Draws the whole screen as dots, one for every `scale` times `scale` characters that have something in them; gives the scale.
fn overview(rows: &[Vec<Cell>], columns: usize, area: Rect, buffer: &mut Buffer) -> usize {
    let (width, height) = (usize::from(area.width).max(1), usize::from(area.height).max(1));
    let scale = columns.div_ceil(width * DOTS.0).max(rows.len().div_ceil(height * DOTS.1)).max(1);
    let mut dots = vec![(0, Style::new()); width * height];
    for (number, cells) in rows.iter().enumerate() {
        let down = number / scale;
        for cell in cells.iter().filter(|cell| !is_blank(cell)) {
            for column in cell.column..cell.column + cell.width {
                let across = column / scale;
                if let Some(dot) = dots.get_mut(down / DOTS.1 * width + across / DOTS.0) {
                    dot.0 |= BITS[down % DOTS.1][across % DOTS.0];
                    dot.1 = Style { fg: cell.style.fg.or(dot.1.fg), ..Style::new() };
                }
            }
        }
    }
    for (number, line) in dots.chunks(width).enumerate() {
        let Some(place) = row(area, number) else { break };
        for (column, (bits, style)) in line.iter().enumerate().filter(|(_, (bits, _))| *bits > 0) {
            let symbol = char::from_u32(BRAILLE + bits).unwrap_or(' ');
            put(buffer, place, column, symbol.encode_utf8(&mut [0; 4]), *style);
        }
    }
    scale
}
