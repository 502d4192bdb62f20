//! Panes that somebody else made, what runs in them, and how a person names one.

use super::live::Status;
use super::name::AgentId;
use super::pane::{Pane, PaneId, Process};
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A pane of a tmux server: where it is and what tmux states about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPane {
    /// The session's name; of several that show the pane the first.
    pub session: String,
    /// The window's id, `@3`.
    pub window: String,
    /// The window's index in its session.
    pub window_index: u32,
    /// The window's name.
    pub window_name: String,
    /// The pane's index in its window.
    pub pane_index: u32,
    /// The pane.
    pub pane: Pane,
}

/// An agent that was found running in a pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAgent {
    /// Stands for this very process in this pane; the id of one that nobody has registered.
    pub id: AgentId,
    /// The tmux server's socket.
    pub socket: Arc<Path>,
    /// Whether that is the user's default server.
    pub is_default_server: bool,
    /// Where it runs.
    pub at: FoundPane,
    /// The tool's name.
    pub tool: String,
    /// Its process.
    pub process: Process,
    /// What one look at its screen says.
    pub status: Status,
    /// Where it works; none when that cannot be seen.
    pub cwd: Option<PathBuf>,
    /// Under which name it is registered.
    pub registered: Option<String>,
}

impl FoundAgent {
    /// A name for it, while nobody has given it another: the tool and the number of its pane.
    pub fn made_up_name(&self) -> String {
        format!("{}-{}", self.tool, self.at.pane.id.number())
    }
}

/// A pane as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaneName {
    /// `%7`
    Id(PaneId),
    /// `session`, `session:window` or `session:window.pane`.
    Place {
        /// The session's name.
        session: String,
        /// The window's index or name; none means any of the session.
        window: Option<String>,
        /// The pane's index; none means any of the window.
        pane: Option<u32>,
    },
}

impl PaneName {
    /// What `text` names, or the sentence that says how panes are named.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(
                Kind::Invalid,
                format!(
                    "{text:?} names no pane; write its id, such as %7, or session, session:window or session:window.pane"
                ),
            )
        };
        if text.starts_with('%') {
            return PaneId::parse(text).map(Self::Id).ok_or_else(wrong);
        }
        let (session, rest) = text.split_once(':').map_or((text, None), |(session, rest)| (session, Some(rest)));
        let (window, pane) = match rest.map(|rest| rest.split_once('.').unwrap_or((rest, ""))) {
            None => (None, None),
            Some((window, "")) if !rest.is_some_and(|rest| rest.ends_with('.')) => (Some(window), None),
            Some((window, pane)) => (Some(window), Some(pane.parse().map_err(|_| wrong())?)),
        };
        if session.is_empty() || session.chars().any(char::is_control) || window.is_some_and(str::is_empty) {
            return Err(wrong());
        }
        Ok(Self::Place { session: session.to_owned(), window: window.map(str::to_owned), pane })
    }

    /// Whether that pane is meant.
    pub fn means(&self, found: &FoundPane) -> bool {
        match self {
            Self::Id(id) => found.pane.id == *id,
            Self::Place { session, window, pane } => {
                let is_window = |wanted: &String| {
                    *wanted == found.window_index.to_string() || *wanted == found.window_name || *wanted == found.window
                };
                found.session == *session
                    && window.as_ref().is_none_or(is_window)
                    && pane.is_none_or(|pane| pane == found.pane_index)
            }
        }
    }
}

impl std::fmt::Display for PaneName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "pane {id}"),
            Self::Place { session, window: None, .. } => write!(f, "session {session}"),
            Self::Place { session, window: Some(window), pane: None } => write!(f, "window {session}:{window}"),
            Self::Place { session, window: Some(window), pane: Some(pane) } => {
                write!(f, "pane {session}:{window}.{pane}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(session: &str, window: Option<&str>, pane: Option<u32>) -> PaneName {
        PaneName::Place { session: session.to_owned(), window: window.map(str::to_owned), pane }
    }

    #[test]
    fn panes_have_names() {
        assert_eq!(PaneName::parse("%7").unwrap(), PaneName::Id(PaneId::parse("%7").unwrap()));
        assert_eq!(PaneName::parse("work").unwrap(), place("work", None, None));
        assert_eq!(PaneName::parse("my work:2").unwrap(), place("my work", Some("2"), None));
        assert_eq!(PaneName::parse("work:edit.3").unwrap(), place("work", Some("edit"), Some(3)));
        for wrong in ["", "%", "%x", "%7x", ":1", "work:", "work:1.", "work:1.x", "work:.1", "a\nb"] {
            assert!(PaneName::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_names_a_pane_or_not(text: String) {
            if let Ok(name) = PaneName::parse(&text) {
                let shown = name.to_string();
                let (_, shown) = shown.split_once(' ').unwrap();
                proptest::prop_assert_eq!(PaneName::parse(shown).unwrap(), name);
            }
        }
    }
}
