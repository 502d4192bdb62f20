//! From what was chosen and a snapshot to a frame.

mod list;
mod over;
mod pane;
mod screen;

use super::rows::Row;
use super::summary::summary;
use super::ui::{Focus, Mode, Told, Ui};
use super::words::{clean, fit, fit_middle, width, wrap_words};
use crate::model::{Snapshot, Status};
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Clear, Widget};

/// From this many columns on, list and pane stand side by side.
const BESIDE: u16 = 160;
/// From this many rows on, the pane stands below the list; with fewer only one of them is there.
const BELOW: u16 = 20;

/// The most rows that a sentence takes.
const MAX_TOLD: u16 = 6;
/// The least rows of a list above a pane.
const MIN_LIST: u16 = 6;

/// Draws everything and says when something in it changes by itself. What was panned or scrolled too far is put right.
pub fn draw(ui: &mut Ui, snapshot: &Snapshot, now: Timestamp, frame: &mut Frame<'_>) -> Option<Timestamp> {
    let area = frame.area();
    let rows = ui.refresh(snapshot);
    let mut next = None;
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area };
    if area.height < 3 || area.width < 10 {
        put(frame.buffer_mut(), area, 0, "too small", Style::new());
        return None;
    }
    header(ui, snapshot, Rect { height: 1, ..area }, frame.buffer_mut());
    let below = matches!(ui.mode, Mode::Help(_) | Mode::Homes(_));
    if below {
        ui.page = body.height.into();
        next = over::page(ui, now, body, frame);
    } else {
        let (list_area, pane_area) = areas(ui, &rows, body);
        if let Some(list_area) = list_area {
            ui.page = list_area.height.into();
            next = list::draw(ui, &rows, now, list_area, frame.buffer_mut());
        }
        if let Some(pane_area) = pane_area {
            if list_area.is_none() || ui.focus == Focus::Pane {
                ui.page = pane_area.height.saturating_sub(1).into();
            }
            let side = pane_area.x > body.x;
            pane::draw(ui, rows.get(ui.at), side, pane_area, frame.buffer_mut());
        }
        over::question(ui, body, frame);
    }
    footer(ui, &rows, Rect { y: area.bottom() - 1, height: 1, ..area }, frame);
    if !ui.has_colour {
        plain(frame.buffer_mut());
    }
    next
}

/// Where the list and the pane are, if they are there.
fn areas(ui: &Ui, rows: &[Row], body: Rect) -> (Option<Rect>, Option<Rect>) {
    let is_alone = ui.is_large || (body.width < BESIDE && body.height + 2 < BELOW);
    if is_alone {
        return if ui.focus == Focus::List { (Some(body), None) } else { (None, Some(body)) };
    }
    if body.width >= BESIDE {
        let list = body.width * 2 / 5;
        let pane = Rect { x: body.x + list, width: body.width - list, ..body };
        // A blank column before the line between them.
        return (Some(Rect { width: list - 1, ..body }), Some(pane));
    }
    // Most is for the pane.
    let most = (body.height * 2 / 5).max(MIN_LIST);
    let list = list::height(rows, most).clamp(MIN_LIST, most);
    let pane = Rect { y: body.y + list, height: body.height - list, ..body };
    (Some(Rect { height: list, ..body }), Some(pane))
}

fn header(ui: &Ui, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let line = summary(snapshot.agents.values().map(|view| (&*view.dir_name, view.status())));
    put(buffer, area, 0, "troop", bold);
    let room = usize::from(area.width).saturating_sub(7);
    let line = fit(&line, room);
    put(buffer, area, 7, &line, Style::new());
    let mut chosen = vec![ui.filter.word().to_owned(), format!("by {}", ui.sort.word())];
    if !ui.search.is_empty() {
        chosen.push(format!("/{}", fit(&ui.search, 20)));
    }
    if let Some(home) = &ui.home {
        chosen.push(format!("Home {}", fit_middle(&home.display().to_string(), 40)));
    }
    // What narrows the list must be seen; the rest only where there is room.
    let room = room.saturating_sub(width(&line) + 2);
    while width(&chosen.join(" · ")) > room && chosen.len() > 1 {
        chosen.remove(if ui.filter == super::rows::Filter::default() { 0 } else { 1 });
    }
    let chosen = chosen.join(" · ");
    if width(&chosen) <= room {
        let at = usize::from(area.width) - width(&chosen);
        put(buffer, area, at, &chosen, Style::new().add_modifier(Modifier::DIM));
    }
}

/// The last line: what is typed, what is told, or what keys there are.
fn footer(ui: &Ui, rows: &[Row], area: Rect, frame: &mut Frame<'_>) {
    let typed = match &ui.mode {
        Mode::Search(line) => Some(("search: ".to_owned(), line)),
        Mode::Prompt(_, name, line) => Some((format!("prompt to {name}: "), line)),
        Mode::Homes(homes) if homes.is_typing => Some(("search: ".to_owned(), &homes.search)),
        _ => None,
    };
    let columns = usize::from(area.width);
    if let Some(told) = &ui.told {
        return tell(told, area, frame.buffer_mut());
    }
    if let Some((label, line)) = typed {
        let label = fit(&label, columns / 2);
        let at = width(&label);
        let (text, cursor) = line.shown(columns - at);
        put(frame.buffer_mut(), area, 0, &label, Style::new().add_modifier(Modifier::BOLD));
        put(frame.buffer_mut(), area, at, &fit(&text, columns - at), Style::new());
        let x = area.x + u16::try_from(at + cursor).unwrap_or(0).min(area.width - 1);
        return frame.set_cursor_position((x, area.y));
    }
    let hints: &[&str] = match &ui.mode {
        Mode::Help(_) => &["j k scroll", "any other key closes"],
        Mode::Homes(_) => &["enter picks", "esc closes", "j k move", "/ search"],
        Mode::Confirm(_) => &["y yes", "n no"],
        _ => match rows.get(ui.at).map(|row| row.view.status()) {
            Some(Status::Blocked) => {
                &["? keys", "a approve", "d deny", "1-9 answer", "enter attach", "tab pane", "q quit"]
            }
            _ => &[
                "? keys",
                "q quit",
                "p prompt",
                "enter attach",
                "tab pane",
                "v view",
                "/ search",
                "f filter",
                "H Homes",
            ],
        },
    };
    let mut text = String::new();
    for hint in hints {
        let more = if text.is_empty() { (*hint).to_owned() } else { format!("{text} · {hint}") };
        if width(&more) > columns {
            break;
        }
        text = more;
    }
    put(frame.buffer_mut(), area, 0, &text, Style::new().add_modifier(Modifier::DIM));
}

/// Writes a sentence whole where it fits into [`MAX_TOLD`] rows, over what stands above the last one.
fn tell(told: &Told, last: Rect, buffer: &mut Buffer) {
    let style = if told.is_refusal { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
    let columns = usize::from(last.width);
    let mut lines = wrap_words(&clean(&told.text), columns);
    let most = usize::from(MAX_TOLD.min(last.y));
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1)).join(" ");
        lines.push(fit(&rest, columns));
    }
    let y = last.bottom() - u16::try_from(lines.len()).unwrap_or(MAX_TOLD);
    let place = Rect { y, height: last.bottom() - y, ..last };
    Clear.render(place, buffer);
    for (number, line) in lines.iter().enumerate() {
        if let Some(place) = row(place, number) {
            put(buffer, place, 0, line, style);
        }
    }
}

/// Writes `text` from a column of the first row of `area` on, and not past its end.
fn put(buffer: &mut Buffer, area: Rect, column: usize, text: &str, style: Style) {
    let Ok(column) = u16::try_from(column) else { return };
    if column < area.width && area.height > 0 {
        buffer.set_stringn(area.x + column, area.y, text, usize::from(area.width - column), style);
    }
}

/// The row of `area` with that number, if it has it.
fn row(area: Rect, number: usize) -> Option<Rect> {
    let number = u16::try_from(number).ok().filter(|number| *number < area.height)?;
    Some(Rect { y: area.y + number, height: 1, ..area })
}

/// How a status looks beside its word.
fn look(status: Status) -> (&'static str, Style) {
    let (sign, colour) = match status {
        Status::Blocked => ("!", Color::Red),
        Status::Ready => ("●", Color::Green),
        Status::Active => ("▶", Color::Cyan),
        Status::Pending | Status::Starting => ("…", Color::Cyan),
        Status::Unknown => ("?", Color::Yellow),
        Status::Down | Status::Gone => ("×", Color::DarkGray),
    };
    (sign, Style::new().fg(colour))
}

/// Takes all colours away (<https://no-color.org>); what is bold, dim or reversed stays so.
fn plain(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
    }
}
