//! `troop list --watch`: the list, kept up to date.

use super::args::Common;
use super::context::Context;
use super::list::{cells, table};
use super::signals;
use crate::daemon::Scope;
use crate::error::{Error, Result};
use crate::model::listed::Listed;
use crate::model::{Listing, Snapshot};
use crate::port::Port;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::channel;
use std::time::Duration;
use unicode_width::UnicodeWidthChar;

/// Between two tables: what changes all the time is not drawn all the time.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest wait; only so that a limit has a name.
const IDLE: Duration = Duration::from_secs(3600);
/// The size of a terminal that does not tell its own: columns and rows.
const UNKNOWN_SIZE: (u16, u16) = (80, 24);

/// Prints the list and whatever changes in it, until a signal comes or nobody reads any more.
pub(super) fn run(common: &Common, json: bool) -> Result<()> {
    let (ends, ended) = channel();
    signals::forward(Ok(()), ends.clone())?;
    let daemon = Context::new(common)?.start(Scope::All)?;
    let port = daemon.port().clone();
    let in_place = std::io::stdout().is_terminal() && !json;
    let watch = move || {
        let _ = ends.send(watch(&port, in_place, json));
    };
    let thread = std::thread::Builder::new().name("troop-watches".to_owned());
    thread.spawn(watch).map_err(|error| Error::io("cannot start a thread to watch", &error))?;
    ended.recv().unwrap_or(Ok(()))
}

fn watch(port: &Port, in_place: bool, json: bool) -> Result<()> {
    let mut snapshot = port.snapshot();
    let mut shown: Option<Vec<Listed>> = None;
    let mut height = 0;
    loop {
        let rows = rows(&snapshot);
        if shown.as_ref() != Some(&rows) {
            let text = if in_place {
                let (text, drawn) = redrawn(&rows, height)?;
                height = drawn;
                text
            } else {
                changed(shown.as_deref().unwrap_or_default(), &rows, json)
            };
            let mut out = std::io::stdout().lock();
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(|error| Error::io("cannot write to standard output", &error))?,
            }
            shown = Some(rows);
        }
        std::thread::sleep(PAUSE);
        snapshot = port.wait_newer(snapshot.version, IDLE);
    }
}

fn rows(snapshot: &Snapshot) -> Vec<Listed> {
    snapshot.agents.values().map(|view| Listed::of(view, Listing::Live)).collect()
}

/// The lines that are new or other than before, and one for each agent that is not listed any more.
fn changed(before: &[Listed], now: &[Listed], json: bool) -> String {
    let old: BTreeMap<&str, &Listed> = before.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut lines: Vec<Listed> = now.iter().filter(|row| old.get(row.id.as_str()) != Some(row)).cloned().collect();
    let left = before.iter().filter(|row| now.iter().all(|other| other.id != row.id) && row.status != "gone");
    lines.extend(left.map(|row| Listed { status: "gone".to_owned(), ..row.clone() }));
    let mut text = String::new();
    for row in lines {
        let _ = match serde_json::to_string(&row).ok().filter(|_| json) {
            Some(line) => writeln!(text, "{line}"),
            None => writeln!(text, "{}", cells(&row).join("\t")),
        };
    }
    text
}

/// What puts the table in the place of one of `height` lines, and how many lines it has: those that fit.
fn redrawn(rows: &[Listed], height: usize) -> Result<(String, usize)> {
    let (columns, lines) = crossterm::terminal::size().unwrap_or(UNKNOWN_SIZE);
    let mut bytes = Vec::new();
    table(&mut bytes, rows).map_err(|error| Error::io("cannot make the table", &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut out = String::new();
    if height > 0 {
        let _ = write!(out, "\u{1b}[{height}A\r");
    }
    out.push_str("\u{1b}[J");
    let kept: Vec<&str> = text.lines().take(usize::from(lines).saturating_sub(1).max(1)).collect();
    for line in &kept {
        let mut used = 0;
        // The last column stays empty, so that no terminal goes on in the next line.
        out.extend(line.chars().take_while(|c| {
            used += c.width().unwrap_or(0);
            used < usize::from(columns)
        }));
        out.push('\n');
    }
    Ok((out, kept.len()))
}
