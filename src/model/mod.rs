//! The nouns: agent, record, live state, turn, event, snapshot. Plain values,
//! without files, tmux or clocks.

pub mod chat_session;
pub mod event;
pub mod evidence;
pub mod found;
pub mod headless;
pub mod history;
pub mod home;
pub mod launch_options;
pub mod listed;
pub mod live;
pub mod name;
pub mod pane;
pub mod receipt;
pub mod record;
pub mod recovery;
pub mod role;
pub mod screen;
pub mod snapshot;
pub mod style;
pub mod transcript;
pub mod turn;
pub mod wait;

pub use chat_session::ChatSession;
pub use event::{Actor, Event, EventKind};
pub use evidence::{Choice, Clue, Evidence, Question};
pub use found::{FoundAgent, FoundPane, PaneName};
pub use headless::HeadlessTurns;
pub use history::{History, HistoryFormat};
pub use home::Home;
pub use launch_options::{LaunchOptions, Presets};
pub use live::{LiveState, Status};
pub use name::{AgentId, AgentName};
pub use pane::{Look, Pane, PaneId, Process, Programs, Terminal};
pub use receipt::{Pressed, Receipt, Stage};
pub use record::{Lifecycle, LifecycleState, Manifest, Record};
pub use recovery::{Placed, Probe, Recovery};
pub use role::{Role, RoleMethod};
pub use screen::Screen;
pub use snapshot::{AgentView, Listing, Queued, Snapshot};
pub use style::{Style, Styles};
pub use transcript::{Exchange, Transcript};
pub use turn::{Reply, ReplySource, Turn, TurnOutcome};
pub use wait::{Asked, Awaited, Condition, Line, Wait};
