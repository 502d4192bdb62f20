//! Which agents are listed, in which order and group.

use super::ui::Ui;
use super::words::{is_in_home, last_line};
use crate::model::{AgentView, Listing, Snapshot, Status};
use std::sync::Arc;

/// What a row belongs to: who needs a person most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// It asks something.
    Blocked,
    /// It waits for a prompt.
    Ready,
    /// It works.
    Active,
    /// It starts, or was just given a prompt.
    Pending,
    /// It cannot be told.
    Unknown,
    /// Its program or its session has ended.
    Down,
    /// It was stopped and can come back.
    Stopped,
}

impl Group {
    /// Where an agent belongs.
    pub(super) fn of(listing: Listing, status: Status) -> Self {
        match (listing, status) {
            (Listing::Stopped, _) => Self::Stopped,
            (_, Status::Blocked) => Self::Blocked,
            (_, Status::Ready) => Self::Ready,
            (_, Status::Active) => Self::Active,
            (_, Status::Pending | Status::Starting) => Self::Pending,
            (_, Status::Unknown) => Self::Unknown,
            (_, Status::Down | Status::Gone) => Self::Down,
        }
    }

    /// Its heading.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Pending => "pending and starting",
            Self::Unknown => "unknown",
            Self::Down => "down and gone",
            Self::Stopped => "stopped",
        }
    }
}

/// Who is listed, by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Every live agent.
    #[default]
    Live,
    /// Those that need a person.
    Needing,
    /// Blocked ones.
    Blocked,
    /// Ready ones.
    Ready,
    /// Those that work or are about to.
    Working,
    /// Those that cannot be told.
    Unknown,
    /// Those whose program or session has ended.
    Down,
    /// Stopped ones too.
    All,
}

impl Filter {
    const ORDER: [Self; 8] =
        [Self::Live, Self::Needing, Self::Blocked, Self::Ready, Self::Working, Self::Unknown, Self::Down, Self::All];

    /// The one after it.
    pub(super) fn next(self, step: isize) -> Self {
        let at = Self::ORDER.iter().position(|filter| *filter == self).unwrap_or(0);
        let count = Self::ORDER.len();
        Self::ORDER[at.wrapping_add_signed(step).wrapping_add(count) % count]
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Needing => "needs a person",
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Working => "working",
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::All => "all, stopped too",
        }
    }

    fn shows(self, group: Group) -> bool {
        match self {
            Self::All => true,
            Self::Live => group != Group::Stopped,
            Self::Needing => matches!(group, Group::Blocked | Group::Ready),
            Self::Blocked => group == Group::Blocked,
            Self::Ready => group == Group::Ready,
            Self::Working => matches!(group, Group::Active | Group::Pending),
            Self::Unknown => group == Group::Unknown,
            Self::Down => group == Group::Down,
        }
    }
}

/// In which order, inside a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Who has been so for longest first.
    #[default]
    Longest,
    /// By name.
    Name,
    /// By tool, then name.
    Tool,
    /// By directory, then name.
    Cwd,
}

impl Sort {
    /// The one after it.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Longest => Self::Name,
            Self::Name => Self::Tool,
            Self::Tool => Self::Cwd,
            Self::Cwd => Self::Longest,
        }
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Longest => "longest",
            Self::Name => "name",
            Self::Tool => "tool",
            Self::Cwd => "cwd",
        }
    }
}

/// One agent of the list.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) group: Group,
    pub(super) view: Arc<AgentView>,
}

/// The agents that `ui` shows, in its order.
pub(super) fn rows(snapshot: &Snapshot, ui: &Ui) -> Vec<Row> {
    let words: Vec<String> = ui.search.split_whitespace().map(str::to_lowercase).collect();
    let mut rows: Vec<Row> = snapshot
        .all()
        .map(|(listing, view)| Row { group: Group::of(listing, view.status()), view: view.clone() })
        .filter(|row| ui.filter.shows(row.group))
        .filter(|row| {
            ui.home.as_deref().is_none_or(|home| {
                row.view.state.identity.session_root.as_deref().is_some_and(|root| is_in_home(root, home))
            })
        })
        .filter(|row| words.is_empty() || matches(&row.view, &words))
        .collect();
    // By name already, and sorting is stable.
    match ui.sort {
        Sort::Longest => rows.sort_by_key(|row| (row.group, row.view.state.status_since)),
        Sort::Name => rows.sort_by_key(|row| row.group),
        Sort::Tool => rows.sort_by(|a, b| (a.group, tool(a)).cmp(&(b.group, tool(b)))),
        Sort::Cwd => rows.sort_by(|a, b| (a.group, cwd(a)).cmp(&(b.group, cwd(b)))),
    }
    rows
}

fn tool(row: &Row) -> &str {
    &row.view.state.identity.tool
}

fn cwd(row: &Row) -> Option<&str> {
    row.view.state.identity.working_directory.as_deref()
}

/// Whether an agent has all the words somewhere.
fn matches(view: &AgentView, words: &[String]) -> bool {
    let identity = &view.state.identity;
    let cwd = identity.working_directory.as_deref().unwrap_or_default();
    let text =
        format!("{} {} {} {cwd} {}", view.dir_name, identity.tool, view.status(), last_line(view)).to_lowercase();
    words.iter().all(|word| text.contains(word))
}
