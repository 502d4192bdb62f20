//! The nouns: agent, record, live state, turn, event, snapshot. Plain values,
//! without files, tmux or clocks.

pub mod event;
pub mod live;
pub mod name;
pub mod pane;
pub mod record;
pub mod snapshot;

pub use event::{Actor, Event, EventKind};
pub use live::{LiveState, Status};
pub use name::{AgentId, AgentName};
pub use pane::{Look, Pane, PaneId, Process, Programs, Screen, Terminal};
pub use record::{Lifecycle, LifecycleState, Manifest, Record};
pub use snapshot::{AgentView, Listing, Snapshot};
