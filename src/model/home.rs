//! Homes: state roots that have hosted a session (contract, section 7).

use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// The directory of a Home with one directory a backend.
pub const SESSIONS: &str = "sessions";

/// A Home and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Where it is.
    pub path: PathBuf,
    /// When a session was last made there, as far as the index or a record says.
    pub last_seen: Timestamp,
    /// Sessions whose record claims a live agent.
    pub active: usize,
    /// Sessions that have a manifest, whatever became of them.
    pub total: usize,
    /// Whether the index has it; else a record led to it.
    pub is_registered: bool,
}

/// The Home of a session root, when that lies in one: `HOME/sessions/BACKEND/SESSION`.
pub fn home_of(session_root: &Path) -> Option<&Path> {
    let sessions = session_root.parent()?.parent()?;
    (sessions.file_name()? == SESSIONS).then(|| sessions.parent()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_root_is_in_a_home_or_not() {
        assert_eq!(home_of(Path::new("/h/sessions/local_interactive/s-1")), Some(Path::new("/h")));
        for none in ["/h/local_interactive/s-1", "/sessions", "/", "s"] {
            assert_eq!(home_of(Path::new(none)), None, "{none}");
        }
    }
}
