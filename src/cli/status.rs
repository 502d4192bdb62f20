//! `troop status`: all agents in one line, for a status bar.

use super::args::Common;
use super::context::Context;
use super::glance::{glance, status};
use super::mounted;
use crate::dashboard::summary;
use crate::error::Result;
use crate::store::Entry;
use jiff::Timestamp;

/// Prints the line. A mount that shows the same agents is asked, because it knows already; else they are looked at.
pub(super) fn run(common: &Common) -> Result<()> {
    let mut context = Context::new(common)?;
    context.settings.follows = false;
    let mounts = mounted::ask();
    let now = Timestamp::now();
    let entries = context.registry.scan().entries;
    let live: Vec<Entry> = entries.into_iter().filter(|entry| entry.record.claims_live(now)).collect();
    let agents = glance(&context, live, mounts)?;
    let line = summary(agents.iter().filter_map(|agent| Some((agent.name.as_str(), status(agent)?))));
    super::print(|out| writeln!(out, "{line}"))
}
