//! `troop list`.

use super::args::Common;
use super::context::Context;
use super::glance::glance;
use super::mounted;
use crate::engine::{Fact, World};
use crate::error::Result;
use crate::model::listed::{Listed, time};
use crate::model::{Listing, Record};
use crate::store::{Entry, ExternalRecord, manifest, parallel};
use crate::tool::Tools;
use jiff::Timestamp;
use std::io::Write;

/// Prints the agents, aligned for people or as JSON.
pub(super) fn run(common: &Common, all: bool, json: bool) -> Result<()> {
    let mut context = Context::new(common)?;
    // What changes from now on is in the next list.
    context.settings.follows = false;
    let mounts = mounted::ask();
    let scan = context.registry.scan();
    let (now, problems) = (Timestamp::now(), scan.defects());
    let (live, others): (Vec<Entry>, Vec<Entry>) =
        scan.entries.into_iter().partition(|entry| entry.record.claims_live(now));
    let mut rows = glance(&context, live, mounts)?;
    if all {
        rows.extend(ended(&context, others, now));
        rows.extend(scan.external.into_iter().map(external));
    }
    if json {
        super::print(|out| {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)
        })?;
    } else {
        super::print(|out| table(out, &rows))?;
    }
    if problems > 0 {
        super::say(&format!("troop: {problems} files could not be understood; see troop doctor"));
    }
    Ok(())
}

/// The agents that do not live: those that were stopped as a mount would list them, by name, then what a mount does not list, retired and
/// expired ones.
fn ended(context: &Context, others: Vec<Entry>, now: Timestamp) -> Vec<Listed> {
    let (stopped, rest): (Vec<Entry>, Vec<Entry>) =
        others.into_iter().partition(|entry| entry.record.lifecycle.can_return());
    let manifests = parallel::map(&stopped, |entry| manifest::read(&entry.record.manifest_path));
    let (tools, _) = Tools::with_overrides(&context.settings.tool_overrides);
    let mut world = World::new(tools, context.settings.presets.clone(), context.settings.default_cwd.clone());
    for (entry, manifest) in stopped.into_iter().zip(manifests) {
        let manifest = manifest.map(Box::new).map_err(|error| error.to_string());
        world.take(Fact::Record { record: Box::new(entry.record), path: entry.path.into(), manifest }, now);
    }
    let snapshot = world.publish(now).unwrap_or_default();
    let stopped = snapshot.stopped.values().map(|agent| Listed::of(agent, Listing::Stopped));
    stopped.chain(rest.into_iter().map(|entry| unlisted(entry.record))).collect()
}

fn unlisted(record: Record) -> Listed {
    Listed {
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
        source: None,
    }
}

/// An agent of another machine.
fn external(agent: ExternalRecord) -> Listed {
    Listed {
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
        source: None,
    }
}

/// What people are shown of an agent, without control characters.
pub(super) fn cells(agent: &Listed) -> [String; 5] {
    let cwd = agent.cwd.clone().unwrap_or_else(|| "-".to_owned());
    [agent.name.clone(), agent.status.clone(), agent.tool.clone(), agent.since.clone(), cwd]
        .map(|cell| cell.replace(char::is_control, "?"))
}

/// The table, aligned.
pub(super) fn table(out: &mut dyn Write, rows: &[Listed]) -> std::io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "no agents; launch one with: troop launch NAME");
    }
    let head = ["NAME", "STATUS", "TOOL", "SINCE", "CWD"].map(str::to_owned);
    aligned(out, std::iter::once(head).chain(rows.iter().map(cells)))
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
