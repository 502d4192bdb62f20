//! In what condition the session of a live agent is (the reference, section 5; seed `session-lifecycle`).

use super::pane::PaneId;

/// The condition of a session that a live record claims. The words are Houmao's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// The session is there, and the agent's pane in it.
    Healthy,
    /// The session is there, and the agent's pane is not.
    DegradedMissingPrimary,
    /// There is no such session.
    StaleMissingSession,
    /// There is a first pane, and it is not the one that the manifest names.
    DegradedStalePrimaryHandles,
}

impl Recovery {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::DegradedMissingPrimary => "degraded_missing_primary",
            Self::StaleMissingSession => "stale_missing_session",
            Self::DegradedStalePrimaryHandles => "degraded_stale_primary_handles",
        }
    }
}

/// Where a pane is in its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The window's index.
    pub window_index: u32,
    /// The pane's index in its window.
    pub pane_index: u32,
    /// The window's id, `@3`.
    pub window: String,
    /// The pane.
    pub pane: PaneId,
}

/// What tmux says of the session that a record names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// Whether it is there.
    pub session: bool,
    /// Its panes, in order of window and pane.
    pub panes: Box<[Placed]>,
}
