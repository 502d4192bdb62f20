//! `troop discover`.

use super::args::Common;
use super::context::Context;
use crate::daemon;
use crate::error::Result;
use crate::model::FoundAgent;
use serde::Serialize;
use std::io::Write;

/// One line of what was found.
#[derive(Serialize)]
struct Row {
    socket: String,
    pane: String,
    session: String,
    window: u32,
    index: u32,
    tool: String,
    status: String,
    pid: i32,
    cwd: Option<String>,
    /// The name under which it is registered.
    agent: Option<String>,
}

/// Prints the agents on the servers named, aligned for people or as JSON. Of servers that did not answer the first is the error.
pub(super) fn run(common: &Common, servers: &[String], json: bool) -> Result<()> {
    let context = Context::new(common)?;
    let settings = &context.settings;
    let servers = match servers {
        [] => settings.servers(),
        named => named.iter().map(|name| settings.server(name)).collect(),
    };
    let (found, silent) = daemon::discover(settings, &servers)?;
    let rows: Vec<Row> = found.into_iter().map(row).collect();
    let mut silent = silent.into_iter();
    let first = silent.next();
    if json || !rows.is_empty() || first.is_none() {
        super::print(|out| {
            if !json {
                return table(out, &rows);
            }
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)
        })?;
    }
    silent.for_each(|error| super::say(&format!("troop: {error}")));
    first.map_or(Ok(()), Err)
}

fn row(found: FoundAgent) -> Row {
    Row {
        socket: found.socket.display().to_string(),
        pane: found.at.pane.id.to_string(),
        session: found.at.session,
        window: found.at.window_index,
        index: found.at.pane_index,
        tool: found.tool,
        status: found.status.to_string(),
        pid: found.process.pid,
        cwd: found.cwd.map(|cwd| cwd.display().to_string()),
        agent: found.registered,
    }
}

fn table(out: &mut dyn Write, rows: &[Row]) -> std::io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "no agents in these tmux panes");
    }
    let head = ["PANE", "SESSION", "TOOL", "STATUS", "AGENT", "PID", "CWD", "SERVER"].map(str::to_owned);
    let cells = |row: &Row| {
        [
            row.pane.clone(),
            format!("{}:{}.{}", row.session, row.window, row.index),
            row.tool.clone(),
            row.status.clone(),
            row.agent.clone().unwrap_or_else(|| "-".to_owned()),
            row.pid.to_string(),
            row.cwd.clone().unwrap_or_else(|| "-".to_owned()),
            row.socket.clone(),
        ]
    };
    super::list::aligned(out, std::iter::once(head).chain(rows.iter().map(cells)))
}
