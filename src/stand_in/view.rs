//! From the state to the rows below the transcript: working line, composer or
//! question, footer.
//!
//! These rows are made to be read by rules. Only they put anything but a mark into
//! the first two columns, the last row always says in its first word what this
//! is, and nothing that a prompt or an answer says can stand in their place.

use super::app::{App, CHOICES, Phase, Question};
use super::line::{Line, Style};
use super::text::{self, Break};

/// Rows that the draft takes at most; longer drafts show their end.
const MAX_DRAFT_ROWS: usize = 8;
/// Queued prompts that are shown on a high screen.
const MAX_QUEUED_ROWS: usize = 3;
/// Below this height one row stands for the queue.
const HIGH: usize = 18;
/// Rows around the draft: the box's two sides, the footer, and two of the transcript.
const AROUND_DRAFT: usize = 5;

/// The rows below the transcript, top to bottom; none once the program is over.
pub(super) fn live(app: &App) -> Vec<Line> {
    let columns = app.size.columns;
    let spaced = app.transcript.rows().back().is_none_or(|row| *row == Line::default());
    let mut rows = if spaced { Vec::new() } else { vec![Line::default()] };
    match &app.phase {
        Phase::Over(_) => return Vec::new(),
        Phase::Starting { .. } => {
            rows.push(Line::new(text::fit(&format!("· Starting {}…", app.name), columns), Style::Dim));
        }
        Phase::Turn(turn) => {
            queued(app, &mut rows);
            if let Some(question) = &turn.question {
                rows.push(Line::default());
                ask(question, columns, &mut rows);
            } else {
                let seconds = app.now.saturating_sub(turn.began).as_secs();
                let working = Line::new("✶", Style::Warn).with(" Working", Style::Bold);
                rows.push(working.with(format!(" ({seconds}s · esc to interrupt)"), Style::Dim));
                composer(app, "working · esc stops · enter queues", &mut rows);
            }
        }
        Phase::Idle => {
            rows.push(Line::default());
            composer(app, "ready · enter sends · /help · ctrl-j new line", &mut rows);
        }
    }
    rows
}

fn queued(app: &App, rows: &mut Vec<Line>) {
    let shown = if app.size.rows < HIGH { 1 } else { MAX_QUEUED_ROWS };
    for (at, prompt) in app.queue.iter().take(shown).enumerate() {
        let more = if at + 1 == shown { app.queue.len() - shown } else { 0 };
        let tail = if more > 0 { format!(" · {more} more queued") } else { String::new() };
        let room = app.size.columns.saturating_sub("  queued · ".len() + text::width(&tail));
        // A prefix long enough for any screen: a queued prompt can be megabytes.
        let first: String = prompt.trim_start().lines().next().unwrap_or("").chars().take(room + 1).collect();
        let row = Line::new("  queued · ", Style::Warn).with(text::fit(&text::printable(&first), room), Style::Dim);
        rows.push(row.with(tail, Style::Dim));
    }
}

fn composer(app: &App, hint: &str, rows: &mut Vec<Line>) {
    let columns = app.size.columns;
    let most = app.size.rows.saturating_sub(AROUND_DRAFT + rows.len()).clamp(1, MAX_DRAFT_ROWS);
    let folded = format!("[Pasted {} bytes]", app.draft.len());
    let shown = if app.folded && !app.draft.is_empty() { &folded } else { &app.draft };
    let draft = draft_rows(shown, columns.saturating_sub(7).max(2), most);
    rows.push(side('╭', "", '╮', columns, Style::Dim));
    for (at, (row, first)) in draft.iter().enumerate() {
        let line = Line::new("│ ", Style::Dim).with(if *first { "❯ " } else { "  " }, Style::Accent);
        let line = line.with(row.clone(), Style::Plain);
        let line = if at + 1 == draft.len() { line.with(" ", Style::Cursor) } else { line };
        rows.push(line.edged("│", Style::Dim));
    }
    rows.push(side('╰', "", '╯', columns, Style::Dim));
    let footer = match &app.phase {
        _ if app.armed.is_some() => "ready · press ctrl-c again to leave".to_owned(),
        Phase::Idle if app.popup && !app.draft.is_empty() => "draft · enter takes the first of the list".to_owned(),
        Phase::Idle if !app.draft.is_empty() => {
            let lines = app.draft.split('\n').count();
            format!("draft · {} bytes, {lines} lines · enter sends · ctrl-u clears", app.draft.len())
        }
        _ => hint.to_owned(),
    };
    rows.push(Line::new(text::fit(&format!("  {footer}"), columns), Style::Dim));
}

/// The last `most` rows of the draft, each with whether it is the draft's first.
fn draft_rows(draft: &str, columns: usize, most: usize) -> Vec<(String, bool)> {
    let mut rows = Vec::new();
    let mut end = draft.len();
    loop {
        let start = draft[..end].rfind('\n').map_or(0, |at| at + 1);
        let wrapped = text::wrap(&text::printable(&draft[start..end]), columns, Break::Anywhere);
        rows.extend(wrapped.into_iter().enumerate().rev().map(|(at, row)| (row, start == 0 && at == 0)));
        if start == 0 || rows.len() >= most {
            break;
        }
        end = start - 1;
    }
    rows.truncate(most);
    rows.reverse();
    rows
}

fn ask(question: &Question, columns: usize, rows: &mut Vec<Line>) {
    let boxed = |line: Line| line.edged("│", Style::Warn);
    let row = || Line::new("│ ", Style::Warn);
    let command = text::fit(&question.command, columns.saturating_sub(8));
    rows.push(side('╭', "─ Allow this command? ", '╮', columns, Style::Warn));
    rows.push(boxed(row().with("  ", Style::Plain).with(command, Style::Bold)));
    rows.push(boxed(row()));
    for (at, choice) in CHOICES.iter().enumerate() {
        let selected = at == question.selected;
        let (mark, style) = if selected { ("❯ ", Style::Bold) } else { ("  ", Style::Plain) };
        rows.push(boxed(row().with(mark, Style::Accent).with(format!("{}. {choice}", at + 1), style)));
    }
    rows.push(side('╰', "", '╯', columns, Style::Warn));
    let footer = "  answer 1-3 or enter · esc denies";
    rows.push(Line::new(text::fit(footer, columns), Style::Dim));
}

fn side(left: char, title: &str, right: char, columns: usize, style: Style) -> Line {
    let fill = "─".repeat(columns.saturating_sub(2 + text::width(title)));
    Line::new(text::fit(&format!("{left}{title}{fill}{right}"), columns), style)
}
