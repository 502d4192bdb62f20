//! `troop home`.

use super::args::HomeCommand;
use super::context::Context;
use crate::error::{Error, Result};
use crate::model::Home;
use crate::store::Registry;
use crate::store::homes::{Index, homes};
use jiff::Timestamp;
use serde::Serialize;

/// One Home of the list.
#[derive(Serialize)]
struct Row {
    path: String,
    active_sessions: usize,
    total_sessions: usize,
    last_seen_at: String,
    registered: bool,
}

impl From<Home> for Row {
    fn from(home: Home) -> Self {
        Self {
            path: home.path.display().to_string(),
            active_sessions: home.active,
            total_sessions: home.total,
            last_seen_at: home.last_seen.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            registered: home.is_registered,
        }
    }
}

pub(super) fn run(common: &super::args::Common, command: HomeCommand) -> Result<()> {
    match command {
        HomeCommand::List { all, json } => list(&Context::new(common)?, all, json),
        HomeCommand::Forget { path } => forget(&Context::new(common)?, &path),
    }
}

/// Lists the Homes that have a live agent, or all that have a session.
fn list(context: &Context, all: bool, json: bool) -> Result<()> {
    let found = found(&context.registry, |error| super::say(&format!("troop: {error}")));
    let rows: Vec<Row> = found.into_iter().filter(|home| all || home.active > 0).map(Row::from).collect();
    super::print(|out| {
        if json {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            return writeln!(out);
        }
        if rows.is_empty() {
            let hint = if all { "" } else { "; --all lists those where nothing runs" };
            return writeln!(out, "no Homes{hint}");
        }
        for row in &rows {
            let path = row.path.replace(char::is_control, "?");
            let (active, total) = (row.active_sessions, row.total_sessions);
            writeln!(out, "{path}  {active}/{total} active  last seen {}", row.last_seen_at)?;
        }
        Ok(())
    })
}

/// Every Home that has a session; an index that cannot be read is told and does without.
pub(super) fn found(registry: &Registry, tell: impl FnOnce(Error)) -> Vec<Home> {
    let known = Index::new(&registry.roots().state).known().unwrap_or_else(|error| {
        tell(error);
        Vec::new()
    });
    homes(&known, &registry.scan().sessions(Timestamp::now()))
}

/// Takes a Home out of the index.
fn forget(context: &Context, path: &std::path::Path) -> Result<()> {
    let path =
        std::path::absolute(path).map_err(|error| Error::io(format!("cannot use {}", path.display()), &error))?;
    Index::new(&context.settings.roots.state).forget(&path)
}
