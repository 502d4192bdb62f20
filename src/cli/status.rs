//! `troop status`: all agents in one line, for a status bar.

use super::args::Common;
use super::context::{Context, is_settled, tell_unseen};
use super::mounted;
use crate::daemon::Scope;
use crate::dashboard::summary;
use crate::error::Result;
use crate::model::{Snapshot, Status};
use std::time::Duration;

/// How long the line waits for states that only time can tell.
const STATE_LIMIT: Duration = Duration::from_millis(400);

/// Prints the line. A mount that shows the same agents is asked, because it knows already; else they are looked at.
pub(super) fn run(common: &Common) -> Result<()> {
    let context = Context::new(common)?;
    let agents = match mounted::agents(&context.settings.roots.registry) {
        Some(agents) => agents,
        None => look(&context)?,
    };
    let line = summary(agents.iter().map(|(name, status)| (name.as_str(), *status)));
    super::print(|out| writeln!(out, "{line}"))
}

fn look(context: &Context) -> Result<Vec<(String, Status)>> {
    let daemon = context.start(Scope::All)?;
    let told = |snapshot: &Snapshot| snapshot.agents.values().all(|agent| is_settled(agent.status())).then_some(());
    daemon.port().wait_for(STATE_LIMIT, told);
    let snapshot = daemon.port().snapshot();
    tell_unseen(&snapshot);
    Ok(snapshot.agents.values().map(|view| (view.dir_name.to_string(), view.status())).collect())
}
