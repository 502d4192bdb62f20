//! What takes the place of list and pane, and what stands over them.

use super::super::ui::{Homes, Mode, Ui};
use super::super::words::{ago, fit, fit_middle, width, wrap, wrap_words};
use super::{put, row};
use crate::command::AGENT_VERBS;
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Block, Clear, Widget};

/// The keys and what they do. A verb that this build does not have is left out.
const KEYS: &[(&str, &str)] = &[
    ("j k ↓ ↑", "move the cursor; in the pane, scroll or pan"),
    ("h l ← →", "pan the screen sideways"),
    ("g G", "to the first, to the last"),
    ("pgdn pgup", "a page; ^d ^u half of one"),
    ("tab", "from the list to the pane and back"),
    ("z", "give the one with the focus all of the terminal"),
    ("v", "the next view: screen, history, explain"),
    ("t", "history; again: the screen"),
    ("e", "explain what the status rests on; again: the screen"),
    ("o", "the whole screen scaled down"),
    ("/", "search in names, tools, statuses, directories and last lines"),
    ("s", "sort: longest in its status, name, tool, cwd"),
    ("f F", "filter by status, forwards and backwards"),
    ("H", "pick a Home"),
    ("esc", "take back: full size, overview, focus, search, filter"),
    ("enter A", "attach to its terminal; tmux's own key for detach comes back"),
    ("p", "type a prompt; ^j makes a new line, enter sends"),
    ("i", "interrupt its turn"),
    ("a", "approve what it asks, after a yes"),
    ("d", "deny what it asks, after a yes"),
    ("1-9", "answer with that choice, after a yes"),
    ("x", "stop it, after a yes"),
    ("r", "relaunch it, after a yes"),
    ("^l", "draw everything anew"),
    ("^z", "suspend"),
    ("q ^c", "quit; agents stay as they are"),
];

/// The column in which explanations of keys begin.
const EXPLAINED: usize = 12;
/// The widest question in its frame.
const MAX_QUESTION: u16 = 72;

/// Draws the keys or the Homes; gives when a shown duration changes.
pub(super) fn page(ui: &mut Ui, now: Timestamp, area: Rect, frame: &mut Frame<'_>) -> Option<Timestamp> {
    match &mut ui.mode {
        Mode::Help(from) => {
            help(from, area, frame.buffer_mut());
            None
        }
        Mode::Homes(homes) => picker(homes, ui.home.as_deref(), now, area, frame.buffer_mut()),
        _ => None,
    }
}

fn help(from: &mut usize, area: Rect, buffer: &mut Buffer) {
    let has = |explained: &str| {
        let verb = explained.split([' ', ',']).next().unwrap_or_default();
        verb != "relaunch" || AGENT_VERBS.iter().any(|known| known.syntax.starts_with(verb))
    };
    let mut lines = Vec::new();
    for (keys, explained) in KEYS.iter().filter(|(_, explained)| has(explained)) {
        let wrapped = wrap_words(explained, usize::from(area.width).saturating_sub(EXPLAINED));
        lines.extend(wrapped.into_iter().enumerate().map(|(at, text)| (if at == 0 { *keys } else { "" }, text)));
    }
    *from = (*from).min(lines.len().saturating_sub(area.height.into()));
    for (number, (keys, explained)) in lines.iter().skip(*from).enumerate() {
        let Some(place) = row(area, number) else { break };
        put(buffer, place, 0, keys, Style::new().add_modifier(Modifier::BOLD));
        put(buffer, place, EXPLAINED, explained, Style::new());
    }
}

fn picker(
    homes: &mut Homes,
    current: Option<&std::path::Path>,
    now: Timestamp,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<Timestamp> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let shown = homes.shown();
    let at = homes.at.min(shown.len());
    let title = match &homes.known {
        None => "Homes: looking for them".to_owned(),
        Some(known) if shown.len() == known.len() => format!("Homes ({})", known.len()),
        Some(known) => format!("Homes ({} of {}, /{})", shown.len(), known.len(), homes.search.text()),
    };
    put(buffer, area, 0, &fit(&title, area.width.into()), Style::new().add_modifier(Modifier::BOLD));
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let height = usize::from(area.height);
    let top = at.saturating_sub(height / 2).min((shown.len() + 1).saturating_sub(height));
    let mut next: Option<Timestamp> = None;
    for (number, line) in (top..=shown.len()).take(height).enumerate() {
        let Some(place) = row(area, number) else { break };
        let home = line.checked_sub(1).and_then(|at| shown.get(at));
        let mark = if current == home.map(|home| &*home.path) { "●" } else { " " };
        let cursor = if line == at { "▸" } else { " " };
        put(buffer, place, 0, &format!("{cursor}{mark}"), Style::new());
        match home {
            None => put(buffer, place, 3, "all Homes", Style::new()),
            Some(home) => {
                let (seen, changes) = ago(home.last_seen, now);
                next = Some(next.map_or(changes, |next| next.min(changes)));
                let about = if area.width < 60 {
                    format!("{}/{} {seen}", home.active, home.total)
                } else {
                    format!("{} live of {}  last seen {seen} ago", home.active, home.total)
                };
                let room = usize::from(area.width).saturating_sub(3 + 2 + width(&about));
                let style = if home.active == 0 { dim } else { Style::new() };
                put(buffer, place, 3, &fit_middle(&home.path.display().to_string(), room), style);
                put(buffer, place, usize::from(area.width).saturating_sub(width(&about)), &about, dim);
            }
        }
        if line == at {
            buffer.set_style(place, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
    next
}

/// Draws what is to be confirmed, in a frame over the rest.
pub(super) fn question(ui: &Ui, area: Rect, frame: &mut Frame<'_>) {
    let Mode::Confirm(confirm) = &ui.mode else { return };
    let columns = area.width.saturating_sub(2).min(MAX_QUESTION);
    let inside = usize::from(columns).saturating_sub(4);
    let mut lines: Vec<String> = wrap_words(&fit(&confirm.asks, inside * 2), inside);
    if let Some(question) = &confirm.question {
        lines.push(String::new());
        let text = crate::model::snapshot::printable(&question.to_text());
        lines.extend(wrap(&text, inside).into_iter().map(str::to_owned));
    }
    let most = usize::from(area.height).saturating_sub(4).max(1);
    if lines.len() > most {
        lines.retain(|line| !line.trim().is_empty());
    }
    if lines.len() > most {
        lines.truncate(most - 1);
        lines.push("…".to_owned());
    }
    if lines.len() < most {
        lines.push(String::new());
    }
    lines.push("y yes   n no".to_owned());
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let (x, y) = (area.x + (area.width - columns) / 2, area.y + (area.height - height) / 2);
    let place = Rect { x, y, width: columns, height };
    Clear.render(place, frame.buffer_mut());
    // A wide character that reaches into the frame would hide its edge.
    for y in place.top()..place.bottom() {
        let left = place.x.checked_sub(1).and_then(|x| frame.buffer_mut().cell_mut((x, y)));
        if let Some(cell) = left.filter(|cell| width(cell.symbol()) > 1) {
            cell.set_symbol(" ");
        }
    }
    Block::bordered().render(place, frame.buffer_mut());
    let within =
        Rect { x: place.x + 2, y: place.y + 1, width: columns.saturating_sub(4), height: height.saturating_sub(2) };
    for (number, line) in lines.iter().enumerate() {
        let Some(at) = row(within, number) else { break };
        let style = if number == 0 { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        put(frame.buffer_mut(), at, 0, &fit(line, inside), style);
    }
}
