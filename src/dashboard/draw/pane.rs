//! What is shown of the selected agent.

use super::super::rows::Row;
use super::super::ui::{Focus, Ui, View};
use super::super::words::{fit, fit_middle, width, wrap};
use super::{put, row, screen};
use crate::model::snapshot::printable;
use crate::model::{AgentView, HistoryFormat};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// How much of a history can be scrolled through, in bytes from its end.
const MAX_HISTORY: usize = 64 << 10;

/// The least that is shown of a directory.
const MIN_CWD: usize = 8;

/// Draws the pane under its title; `side` says that the list stands to the left of it.
pub(super) fn draw(ui: &mut Ui, selected: Option<&Row>, side: bool, area: Rect, buffer: &mut Buffer) {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut area = area;
    if side {
        for y in area.top()..area.bottom() {
            buffer.set_string(area.x, y, "│", dim);
        }
        area = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    }
    let Some(view) = selected.map(|row| row.view.clone()) else {
        return title(ui, "no agent is selected", None, area, buffer);
    };
    let inside = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let about = match ui.view {
        View::Screen => screen::draw(ui, &view, inside, buffer),
        View::History => {
            let shown = history(&view);
            text(&shown, &mut ui.scroll, true, inside, buffer)
        }
        View::Explain => {
            let shown = explain(&view);
            text(&shown, &mut ui.scroll, false, inside, buffer)
        }
    };
    let name = format!("{} · {}{about}", view.dir_name, ui.view.word());
    title(ui, &name, view.state.identity.working_directory.as_deref(), area, buffer);
}

fn title(ui: &Ui, text: &str, cwd: Option<&str>, area: Rect, buffer: &mut Buffer) {
    let focused = ui.focus == Focus::Pane;
    let mark = if focused { "▸ " } else { "─ " };
    let style = Style::new().add_modifier(if focused { Modifier::BOLD } else { Modifier::DIM });
    put(buffer, area, 0, &"─".repeat(area.width.into()), Style::new().add_modifier(Modifier::DIM));
    let columns = usize::from(area.width);
    let text = format!("{mark}{} ", fit(text, columns.saturating_sub(4)));
    put(buffer, area, 0, &text, style);
    // With a piece of the line on both sides.
    let room = columns.saturating_sub(width(&text) + 4);
    if let Some(cwd) = cwd.filter(|_| room >= MIN_CWD) {
        let cwd = format!(" {} ", fit_middle(cwd, room));
        put(buffer, area, columns.saturating_sub(width(&cwd) + 1), &cwd, Style::new().add_modifier(Modifier::DIM));
    }
}

/// The end of an agent's history, from a whole line on.
fn history(view: &AgentView) -> String {
    let numbers = [view.history.number_before(), Some(view.history.number())];
    let mut bytes = Vec::new();
    for part in numbers.into_iter().flatten().filter_map(|number| view.history.part(number)) {
        let from = part.len(HistoryFormat::Text).saturating_sub(MAX_HISTORY);
        bytes.extend(part.read(HistoryFormat::Text, from, MAX_HISTORY));
    }
    let text = String::from_utf8_lossy(&bytes);
    let from = text.len().saturating_sub(MAX_HISTORY);
    let from = if from == 0 { 0 } else { (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0) };
    let text = &text[from..];
    let text = if from == 0 { text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    if text.is_empty() { "nothing has happened yet\n".to_owned() } else { text.to_owned() }
}

/// What `explain` and `question` of the mount show.
fn explain(view: &AgentView) -> String {
    let question = view.evidence.question();
    let why = view.evidence.explain(&view.state);
    printable(&if question.is_empty() { why } else { format!("{why}\n{question}") })
}

/// Draws a text from where it is scrolled to; says how far that is.
fn text(text: &str, scroll: &mut usize, from_end: bool, area: Rect, buffer: &mut Buffer) -> String {
    let lines = wrap(text, area.width.into());
    let height = usize::from(area.height);
    let most = lines.len().saturating_sub(height);
    *scroll = (*scroll).min(most);
    let top = if from_end { most - *scroll } else { *scroll };
    for (number, line) in lines.iter().skip(top).take(height).enumerate() {
        if let Some(place) = row(area, number) {
            put(buffer, place, 0, &fit(line, area.width.into()), Style::new());
        }
    }
    let above = if top > 0 { "↑" } else { "" };
    let below = if top < most { "↓" } else { "" };
    if most == 0 { String::new() } else { format!(" · more {above}{below}") }
}
