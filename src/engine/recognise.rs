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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Pane, Screen};

    fn found(session: &str, window_index: u32, id: &str) -> FoundPane {
        FoundPane {
            session: session.to_owned(),
            window: "@1".to_owned(),
            window_index,
            window_name: String::new(),
            pane_index: 0,
            pane: Pane::new(PaneId::parse(id).unwrap(), 1),
        }
    }

    fn claim(session: &str, pane: Option<&str>, joined: bool) -> Claim {
        Claim {
            name: "a".to_owned(),
            socket: PathBuf::from("/s"),
            session: session.to_owned(),
            pane: pane.and_then(PaneId::parse),
            joined,
        }
    }

    #[test]
    fn an_agent_is_in_the_pane_it_names_or_in_the_first() {
        let panes = [found("x", 1, "%1"), found("x", 0, "%2"), found("y", 0, "%3")];
        for (claim, expected) in [
            (claim("x", Some("%1"), false), Some("%1")),
            (claim("x", None, false), Some("%2")),
            // Of a server before this one, or of another session by now.
            (claim("x", Some("%9"), false), Some("%2")),
            (claim("x", Some("%3"), false), Some("%2")),
            (claim("x", Some("%1"), true), Some("%1")),
            // The other panes of a joined session are their owner's.
            (claim("x", Some("%9"), true), None),
            (claim("x", Some("%3"), true), None),
            (claim("z", None, false), None),
        ] {
            let panes: Vec<String> = claimed([&claim], &panes).into_keys().map(|id| id.to_string()).collect();
            assert_eq!(panes, expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{claim:?}");
        }
    }

    fn process(pid: i32, comm: &str, argv: &[&str]) -> Process {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        Process { pid, start_time: 1, comm: comm.to_owned(), argv }
    }

    #[test]
    fn a_name_in_an_argument_needs_a_screen_that_agrees() {
        let (tools, _) = Tools::with_overrides(&[]);
        let recognised = |all: Vec<Process>, foreground: &[i32], screen: &str| {
            let programs = Programs { all, foreground: foreground.to_vec() };
            assert!(may_be_agent(&tools, &programs));
            let look = Look {
                pane: Pane::new(PaneId::parse("%1").unwrap(), 1),
                screen: Screen::parse(screen.as_bytes()),
                programs,
            };
            recognise(&tools, &look).map(|found| (found.tool.name.clone(), found.process.pid, found.status))
        };
        let is = |name: &str, pid, status| Some((name.to_owned(), pid, status));
        let vim = process(1, "vim", &["vim", "claude"]);
        assert_eq!(recognised(vec![vim], &[1], "some text\n"), None);
        let claude = process(1, "claude", &["claude"]);
        assert_eq!(recognised(vec![claude.clone()], &[1], "\n"), is("claude", 1, Status::Unknown));
        // The outermost of those in front, and whoever is in front before who is not.
        let codex = process(3, "codex", &["/usr/bin/codex"]);
        assert_eq!(recognised(vec![claude.clone(), codex.clone()], &[1, 3], "\n"), is("claude", 1, Status::Unknown));
        let shell = process(2, "sh", &["sh"]);
        assert_eq!(recognised(vec![shell, claude, codex], &[2, 3], "\n"), is("codex", 3, Status::Unknown));
    }
}
