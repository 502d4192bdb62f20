//! Whether an agent runs in a pane that nobody has registered: by its processes, and by one look at its screen.

use crate::model::live::Status;
use crate::model::{FoundPane, Look, PaneId, Process, Programs, Terminal};
use crate::tool::{GENERIC, Shows, Tool, Tools};
use crate::tracker;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// An agent program in a pane.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// Which.
    pub tool: Arc<Tool>,
    /// The outermost process that is it.
    pub process: Process,
    /// What its screen says. Ready is believed at once here: there is only one look.
    pub status: Status,
}

/// Whether one of these processes may be an agent program: then its screen is worth a look.
pub fn may_be_agent(tools: &Tools, programs: &Programs) -> bool {
    programs.all.iter().any(|process| tools_of(tools, process).next().is_some())
}

/// The agent program that a look shows, if it shows one.
///
/// What calls itself as the program does is the program. What only has its name as first argument (`node
/// /usr/bin/gemini`, but also `vim gemini`) is it when the screen agrees. What owns the keyboard counts first, and of
/// that the outermost process.
pub fn recognise(tools: &Tools, look: &Look) -> Option<Recognised> {
    let behind = look.programs.all.iter().filter(|process| !look.programs.foreground.contains(&process.pid));
    look.programs.in_front().chain(behind).find_map(|process| {
        tools_of(tools, process).find_map(|tool| {
            let reading = tracker::read(tool, None, &Terminal::Seen(Box::new(look.clone())));
            let says = reading.posture(false);
            let is_it = names_itself(tool, process) || says.is_some();
            is_it.then(|| Recognised {
                tool: tool.clone(),
                process: process.clone(),
                status: says.map_or(Status::Unknown, |found| status(found.shows)),
            })
        })
    })
}

/// The tools one of whose processes this may be.
fn tools_of<'t>(tools: &'t Tools, process: &'t Process) -> impl Iterator<Item = &'t Arc<Tool>> {
    tools
        .iter()
        .filter(|tool| tool.name != GENERIC && !tool.process_names.is_empty())
        .filter(|tool| tool.owns(&process.comm, &process.argv))
}

fn names_itself(tool: &Tool, process: &Process) -> bool {
    tool.owns(&process.comm, process.argv.get(..1).unwrap_or_default())
}

fn status(shows: Shows) -> Status {
    match shows {
        Shows::Active => Status::Active,
        Shows::Starting => Status::Starting,
        shows if shows.is_blocked() => Status::Blocked,
        shows if shows.is_idle() => Status::Ready,
        _ => Status::Unknown,
    }
}

/// Where a registered agent says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// Its tmux server's socket.
    pub socket: PathBuf,
    /// Its session.
    pub session: String,
    /// The pane its manifest names.
    pub pane: Option<PaneId>,
    /// The session is somebody's own, so no other pane of it will do.
    pub joined: bool,
}

/// Which of a server's panes are those of registered agents, and of which: the pane that the manifest names while the
/// session has it, else the session's first.
pub fn claimed<'a>(claims: impl IntoIterator<Item = &'a Claim>, panes: &[FoundPane]) -> BTreeMap<PaneId, &'a str> {
    let mut all = BTreeMap::new();
    for claim in claims {
        let mut of_session: Vec<_> = panes.iter().filter(|found| found.session == claim.session).collect();
        of_session.sort_by_key(|found| (found.window_index, found.pane_index));
        let named = panes.iter().find(|found| Some(&found.pane.id) == claim.pane.as_ref());
        // Elsewhere that number is somebody else's, on a server that was started anew.
        let named = named.filter(|found| found.session == claim.session);
        let first = of_session.first().copied().filter(|_| !(claim.joined && claim.pane.is_some()));
        if let Some(found) = named.or(first) {
            all.entry(found.pane.id.clone()).or_insert(claim.name.as_str());
        }
    }
    all
}
