//! `troop list`.

use super::args::Common;
use super::context::{Context, is_settled, tell_unseen};
use crate::daemon::Scope;
use crate::error::Result;
use crate::model::{AgentId, AgentView, Listing, Snapshot};
use crate::store::Scan;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

/// How long the list waits for states that only time can tell.
const STATE_LIMIT: Duration = Duration::from_millis(400);

/// One line of the list.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) tool: String,
    pub(super) since: String,
    pub(super) cwd: Option<String>,
    pub(super) id: String,
    pub(super) backend: String,
    pub(super) tmux_session: Option<String>,
    pub(super) session_root: Option<String>,
    pub(super) why: String,
}

impl Row {
    /// What people are shown of it, without control characters.
    pub(super) fn cells(&self) -> [String; 5] {
        let cwd = self.cwd.clone().unwrap_or_else(|| "-".to_owned());
        [self.name.clone(), self.status.clone(), self.tool.clone(), self.since.clone(), cwd]
            .map(|cell| cell.replace(char::is_control, "?"))
    }
}

/// Prints the agents, aligned for people or as JSON.
pub(super) fn run(common: &Common, all: bool, json: bool) -> Result<()> {
    let mut context = Context::new(common)?;
    // What changes from now on is in the next list.
    context.settings.follows = false;
    // Read beside the loop, which reads the same records for itself.
    let scan = all.then(|| {
        let registry = context.registry.clone();
        std::thread::spawn(move || registry.scan())
    });
    let daemon = context.start(Scope::All)?;
    let told = |snapshot: &Snapshot| snapshot.agents.values().all(|agent| is_settled(agent.status())).then_some(());
    daemon.port().wait_for(STATE_LIMIT, told);
    let snapshot = daemon.port().snapshot();
    let mut rows: Vec<Row> = snapshot
        .all()
        .filter(|(listing, _)| all || *listing == Listing::Live)
        .map(|(listing, agent)| row(agent, listing))
        .collect();
    if let Some(scan) = scan.and_then(|scan| scan.join().ok()) {
        rows.extend(unlisted(scan, &snapshot));
    }
    if json {
        super::print(|out| {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)
        })?;
    } else {
        super::print(|out| table(out, &rows))?;
    }
    tell_unseen(&snapshot);
    if snapshot.oddities.problems > 0 {
        super::say(&format!("troop: {} files could not be understood; see troop doctor", snapshot.oddities.problems));
    }
    Ok(())
}

/// The line of an agent.
pub(super) fn row(agent: &AgentView, listing: Listing) -> Row {
    let identity = &agent.state.identity;
    Row {
        name: agent.dir_name.to_string(),
        status: match listing {
            Listing::Live => agent.status().to_string(),
            Listing::Stopped => "stopped".to_owned(),
        },
        tool: identity.tool.clone(),
        since: time(agent.state.status_since),
        cwd: identity.working_directory.clone(),
        id: agent.id.to_string(),
        backend: identity.backend.as_str().to_owned(),
        tmux_session: identity.tmux_session_name.clone(),
        session_root: identity.session_root.as_ref().map(|root| root.display().to_string()),
        why: agent.why().to_owned(),
    }
}

/// What the tree does not list: retired agents, expired ones, those of other machines.
fn unlisted(scan: Scan, snapshot: &Snapshot) -> Vec<Row> {
    let listed: BTreeSet<&AgentId> = snapshot.all().map(|(_, agent)| &agent.id).collect();
    let local = scan.entries.into_iter().map(|entry| entry.record).filter(|record| !listed.contains(&record.id));
    let local = local.map(|record| Row {
        name: record.name,
        status: if record.lifecycle.state.is_live() { "expired" } else { record.lifecycle.state.as_str() }.to_owned(),
        tool: record.tool,
        since: time(record.lifecycle.updated_at),
        cwd: None,
        id: record.id.to_string(),
        backend: record.backend.as_str().to_owned(),
        tmux_session: record.session,
        session_root: record.session_root.map(|root| root.display().to_string()),
        why: record.lifecycle.stop_reason.unwrap_or_default(),
    });
    let external = scan.external.into_iter().map(|agent| Row {
        name: agent.name,
        status: "external".to_owned(),
        tool: agent.tool,
        since: time(agent.updated_at),
        cwd: None,
        id: agent.id,
        backend: "external".to_owned(),
        tmux_session: None,
        session_root: None,
        why: format!("driven by {}", agent.api_base_url),
    });
    local.chain(external).collect()
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The table, aligned.
pub(super) fn table(out: &mut dyn Write, rows: &[Row]) -> std::io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "no agents; launch one with: troop launch NAME");
    }
    let head = ["NAME", "STATUS", "TOOL", "SINCE", "CWD"].map(str::to_owned);
    aligned(out, std::iter::once(head).chain(rows.iter().map(Row::cells)))
}

/// Prints lines whose cells stand below each other, and no control characters.
pub(super) fn aligned<const COLUMNS: usize>(
    out: &mut dyn Write,
    lines: impl Iterator<Item = [String; COLUMNS]>,
) -> std::io::Result<()> {
    let lines: Vec<_> = lines.map(|line| line.map(|cell| cell.replace(char::is_control, "?"))).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}
