//! The agents, one a line, in groups.

use super::super::rows::{Group, Row};
use super::super::ui::{Focus, Ui};
use super::super::words::{ago, fit, fit_middle, last_line, width};
use super::{look, put, row};
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// From this many rows on there is a line with the names of the columns.
const HEADED: u16 = 6;
/// From this many rows on groups have headings even when not all agents are in sight.
const GROUPED: u16 = 9;
/// A sign, the longest status, and for how long.
const STATUS: usize = 14;
/// The widest name and tool.
const MAX_NAME: usize = 24;
const MAX_TOOL: usize = 12;
/// The least that is shown of a last line.
const MIN_LAST: usize = 10;
/// The same beside a directory, which the title of the pane has as well.
const MIN_LAST_BESIDE_CWD: usize = 20;
/// From which width on there is a column for the tool, the turn and the directory.
const WITH_TOOL: usize = 56;
const WITH_TURN: usize = 66;
const WITH_CWD: usize = 76;
/// Between two columns.
const GAP: usize = 2;
/// Before the name: where the cursor is.
const MARK: usize = 2;
const TURN: usize = 4;

/// The columns in order: what stands at the top, and how wide. What has no width is left out.
struct Columns {
    name: usize,
    tool: usize,
    turn: usize,
    last: usize,
    cwd: usize,
}

impl Columns {
    fn of(rows: &[Row], columns: usize) -> Self {
        let widest = |text: &dyn Fn(&Row) -> usize| rows.iter().map(text).max().unwrap_or(0);
        let room = columns.saturating_sub(MARK + GAP + STATUS);
        let name = widest(&|row| width(&row.view.dir_name)).clamp(4, MAX_NAME).min(room);
        let mut left = room - name;
        let mut take = |wanted: usize, from: usize, least: usize| {
            if columns < from || left < wanted + GAP + least + GAP {
                return 0;
            }
            left -= wanted + GAP;
            wanted
        };
        let tool = take(widest(&|row| width(&row.view.state.identity.tool)).clamp(4, MAX_TOOL), WITH_TOOL, MIN_LAST);
        let turn = take(TURN, WITH_TURN, MIN_LAST);
        let cwd = widest(&|row| row.view.state.identity.working_directory.as_deref().map_or(0, width));
        let cwd = take(cwd.min(columns / 4).max(3), WITH_CWD, MIN_LAST_BESIDE_CWD);
        let last = if left >= MIN_LAST + GAP { left - GAP } else { 0 };
        Self { name, tool, turn, last, cwd }
    }
}

enum Entry<'a> {
    Heading(Group, usize),
    Agent(usize, &'a Row),
}

/// Draws the list with its cursor in sight; gives when a shown duration changes.
pub(super) fn draw(ui: &Ui, rows: &[Row], now: Timestamp, area: Rect, buffer: &mut Buffer) -> Option<Timestamp> {
    let columns = Columns::of(rows, area.width.into());
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut area = area;
    if area.height >= HEADED {
        line(buffer, area, &columns, ["NAME", "STATUS", "TOOL", "TURN", "LAST", "CWD"], [dim; 6]);
        area = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }
    if rows.is_empty() {
        let why = if ui.search.is_empty() && ui.home.is_none() && ui.filter == Default::default() {
            "no agents; launch one with: troop launch NAME"
        } else {
            "no agents like that; f filter, / search, H Homes, esc takes back"
        };
        put(buffer, area, MARK, &fit(why, usize::from(area.width).saturating_sub(MARK)), dim);
        return None;
    }
    let all = entries(rows, true);
    let grouped = area.height >= GROUPED || all.len() <= area.height.into();
    let entries = if grouped { all } else { entries(rows, false) };
    let selected = entries.iter().position(|entry| matches!(entry, Entry::Agent(at, _) if *at == ui.at)).unwrap_or(0);
    let height = usize::from(area.height);
    let top = selected.saturating_sub(height / 2).min(entries.len().saturating_sub(height));
    let mut next: Option<Timestamp> = None;
    for (number, entry) in entries.iter().skip(top).take(height).enumerate() {
        let Some(place) = row(area, number) else { break };
        match entry {
            Entry::Heading(group, count) => {
                let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
                put(buffer, place, 0, &format!("{} ({count})", group.title()), style);
            }
            Entry::Agent(at, row) => {
                let changes = agent(ui, row, *at == ui.at, now, &columns, place, buffer);
                next = Some(next.map_or(changes, |next| next.min(changes)));
            }
        }
    }
    // Where the list goes on, out of sight.
    for (is_more, place, sign) in [(top > 0, area.y, "↑"), (top + height < entries.len(), area.bottom() - 1, "↓")] {
        if is_more {
            buffer.set_string(area.right() - 1, place, sign, dim);
        }
    }
    next
}

/// The rows that the list would take of `most`, with the names of the columns, and with headings where they fit.
pub(super) fn height(rows: &[Row], most: u16) -> u16 {
    let with_headings = u16::try_from(entries(rows, true).len() + 1).unwrap_or(u16::MAX);
    if with_headings <= most || most > GROUPED {
        with_headings
    } else {
        u16::try_from(rows.len() + 1).unwrap_or(u16::MAX)
    }
}

fn entries(rows: &[Row], with_headings: bool) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut group = None;
    for (at, row) in rows.iter().enumerate() {
        if with_headings && group != Some(row.group) {
            group = Some(row.group);
            entries.push(Entry::Heading(row.group, rows.iter().filter(|other| other.group == row.group).count()));
        }
        entries.push(Entry::Agent(at, row));
    }
    entries
}

fn agent(
    ui: &Ui,
    row: &Row,
    is_selected: bool,
    now: Timestamp,
    columns: &Columns,
    place: Rect,
    buffer: &mut Buffer,
) -> Timestamp {
    let view = &row.view;
    let (sign, style) = look(view.status());
    let (since, changes) = ago(view.state.status_since, now);
    let word = if row.group == Group::Stopped { "stopped" } else { view.status().as_str() };
    let status = format!("{sign} {word:8} {since:>3}");
    let turn = view.turns.last().map_or_else(String::new, |turn| turn.number.to_string());
    let cwd = view.state.identity.working_directory.as_deref().unwrap_or("-");
    let dim = Style::new().add_modifier(Modifier::DIM);
    let texts = [&*view.dir_name, &status, &view.state.identity.tool, &turn, &last_line(view), cwd];
    line(
        buffer,
        place,
        columns,
        texts,
        [Style::new().add_modifier(Modifier::BOLD), style, dim, dim, Style::new(), dim],
    );
    if is_selected {
        put(buffer, place, 0, "▸", style);
        if ui.focus == Focus::List {
            buffer.set_style(place, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
    changes
}

fn line(buffer: &mut Buffer, place: Rect, columns: &Columns, texts: [&str; 6], styles: [Style; 6]) {
    let widths = [columns.name, STATUS, columns.tool, columns.turn, columns.last, columns.cwd];
    let mut at = MARK;
    for (number, ((text, columns), style)) in texts.iter().zip(widths).zip(styles).enumerate() {
        if columns > 0 {
            let text = if number == 5 { fit_middle(text, columns) } else { fit(text, columns) };
            put(buffer, place, at, &text, style);
            at += columns + GAP;
        }
    }
}
