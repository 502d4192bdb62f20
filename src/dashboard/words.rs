//! Small texts: durations, what fits, the line that says most about an agent.

use crate::model::{AgentView, Status};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands where something was left out.
const LEFT_OUT: char = '…';

/// How long ago `since` is, in its largest unit, and when that text changes.
pub(super) fn ago(since: Timestamp, now: Timestamp) -> (String, Timestamp) {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (unit, word) = match seconds {
        ..60 => (1, 's'),
        60..3600 => (60, 'm'),
        3600..86_400 => (3600, 'h'),
        _ => (86_400, 'd'),
    };
    let shown = seconds / unit;
    let next = since.checked_add(SignedDuration::from_secs((shown + 1) * unit)).unwrap_or(Timestamp::MAX);
    (format!("{shown}{word}"), next)
}

/// The columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text` without control characters, cut to `columns` with a mark where it was.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let text = clean(text);
    if text.width() <= columns {
        return text;
    }
    let mut out = head(&text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        out.push(LEFT_OUT);
    }
    out
}

/// The same, cut in the middle: a path's begin and end say most.
pub(super) fn fit_middle(text: &str, columns: usize) -> String {
    let text = clean(text);
    if text.width() <= columns {
        return text;
    }
    let room = columns.saturating_sub(1);
    let begin = head(&text, room / 2);
    let end = tail(&text, room - begin.width());
    let mark = if columns > 0 { LEFT_OUT.to_string() } else { String::new() };
    format!("{begin}{mark}{end}")
}

/// As much of the begin of `text` as `columns` hold.
pub(super) fn head(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// As much of the end of `text` as `columns` hold.
fn tail(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let begin = text.char_indices().rev().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    begin.map_or(text, |(at, c)| &text[at + c.len_utf8()..])
}

/// Lines of at most `columns`, broken where they are too long.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        loop {
            let part = head(rest, columns.max(2));
            lines.push(part);
            rest = &rest[part.len()..];
            if rest.is_empty() || part.is_empty() {
                break;
            }
        }
    }
    lines
}

/// Lines of at most `columns`, broken between words where that is possible.
pub(super) fn wrap_words(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ').flat_map(|word| if word.is_empty() { vec![word] } else { wrap(word, columns) }) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `text` without control characters, in one line.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

/// The one line about an agent: what it asks, what it works on, or how its last answer ended.
pub(super) fn last_line(view: &AgentView) -> String {
    let first = |text: &str| text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    match view.status() {
        Status::Blocked => {
            if let Some(question) = &view.evidence.question {
                return format!("? {}", question.text.join(" ").split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        Status::Pending | Status::Active => {
            if let Some(turn) = view.turns.last().filter(|turn| !turn.has_ended() && !turn.prompt.trim().is_empty()) {
                return format!("› {}", first(&turn.prompt));
            }
        }
        _ => {}
    }
    let reply = view.turns.iter().rev().find(|turn| turn.has_ended()).and_then(|turn| turn.reply.as_ref());
    let last = reply.and_then(|reply| reply.text.lines().map(str::trim).rfind(|line| !line.is_empty()));
    last.unwrap_or_default().to_owned()
}

/// Whether a session with that root is one of the Home at `home`.
pub(super) fn is_in_home(session_root: &Path, home: &Path) -> bool {
    session_root.starts_with(home.join("sessions"))
}
