//! The live state of one agent: the shape of `state.json` (contract, section 3;
//! seed `live-state-model`; the reference, section 4.1). Field order is the order
//! in the file.

mod words;

pub use words::{
    Attention, Availability, BusinessState, ChatContext, InputMode, ParseStatus, ProcessState, Status, TransportState,
    Tristate, TurnPhase, TurnResult, TurnSource, UiContext,
};

use super::record::LifecycleState;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Everything known about an agent at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveState {
    /// The word in `status`.
    pub status: Status,
    /// When the status was entered.
    #[schemars(with = "String")]
    pub status_since: Timestamp,
    /// Which agent.
    // Shared, because it outlives the states.
    pub identity: Arc<Identity>,
    /// The registry's lifecycle.
    pub lifecycle: LifecycleView,
    /// In what condition its session is; null for an agent that is not live, is being relaunched, or has not been
    /// looked at.
    pub recovery: Option<super::recovery::Recovery>,
    /// What needs a person.
    pub attention: Attention,
    /// Whether it can be observed.
    pub diagnostics: Diagnostics,
    /// The last look; null before the first.
    // Boxed, as what follows, because most agents that do not run have none.
    pub probe_snapshot: Option<Box<ProbeSnapshot>>,
    /// What the screen shows; null when it was not understood.
    pub parsed_surface: Option<Box<ParsedSurface>>,
    /// What may be typed.
    pub surface: Surface,
    /// The turn now.
    pub turn: Turn,
    /// The last turn that ended.
    pub last_turn: LastTurn,
    /// Whether its conversation is whole.
    pub chat_context: ChatContext,
    /// Its last turn, where each is a process of its own; null otherwise.
    #[serde(default)]
    pub headless: Option<Box<super::headless::Headless>>,
    /// For how long nothing has changed.
    pub stability: Stability,
    /// The newest changes, oldest first, at most [`RECENT_TRANSITIONS`].
    pub recent_transitions: Vec<Arc<Transition>>,
    /// Where the verdicts come from.
    pub sources: Box<[Source]>,
}

/// The bound of `recent_transitions` (the reference, section 4.4).
pub const RECENT_TRANSITIONS: usize = 24;

/// Which agent a state belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The name in the registry.
    pub agent_name: String,
    /// The id in the registry.
    pub agent_id: Arc<str>,
    /// Whether it is registered. One that was only found in somebody's pane can be read and not driven.
    pub managed: bool,
    /// The launch this state belongs to.
    pub generation_id: Arc<str>,
    /// Which program.
    pub tool: String,
    /// How it is driven.
    pub backend: super::record::Backend,
    /// The version seen at launch.
    pub observed_tool_version: Option<String>,
    /// Its tmux session.
    pub tmux_session_name: Option<String>,
    /// Its tmux server's socket.
    pub tmux_socket: Option<String>,
    /// Its manifest.
    pub manifest_path: Arc<Path>,
    /// Its session root.
    pub session_root: Option<Arc<Path>>,
    /// Where it works.
    pub working_directory: Option<String>,
    /// Where a gateway of Houmao answers that types into its terminal.
    pub gateway: Option<String>,
}

/// The registry's lifecycle, as `state.json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LifecycleView {
    /// The state.
    pub state: LifecycleState,
    /// Whether it can come back after a stop.
    pub relaunchable: bool,
    /// Why it was stopped.
    pub stop_reason: Option<String>,
}

/// Low-level observation outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostics {
    /// The summary of the rest.
    pub availability: Availability,
    /// tmux.
    pub transport_state: TransportState,
    /// The program.
    pub process_state: ProcessState,
    /// The screen.
    pub parse_status: ParseStatus,
    /// Why asking failed.
    pub probe_error: Option<String>,
    /// Why the screen could not be read, or the manifest.
    pub parse_error: Option<String>,
}

/// The last look at the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeSnapshot {
    /// When.
    #[schemars(with = "String")]
    pub observed_at_utc: Timestamp,
    /// The pane.
    pub pane_id: Option<String>,
    /// Its first process.
    pub pane_pid: Option<i32>,
    /// SHA-1 of the visible text.
    pub captured_text_hash: Option<String>,
    /// Its length in characters.
    pub captured_text_length: usize,
    /// The processes of the tool that were found.
    pub matched_process_names: Vec<String>,
    /// The title the program set.
    pub title: Option<String>,
}

/// What the screen was understood to show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ParsedSurface {
    /// Whose rules were used.
    pub parser_family: String,
    /// What the interface is busy with.
    pub business_state: BusinessState,
    /// What typing would do.
    pub input_mode: InputMode,
    /// What stands in front of the composer.
    pub ui_context: UiContext,
    /// The lines a person has to answer, when blocked.
    pub operator_blocked_excerpt: Option<String>,
}

/// What may be typed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Surface {
    /// Typing reaches the composer.
    pub accepting_input: Tristate,
    /// A draft stands in the composer.
    pub editing_input: Tristate,
    /// A prompt would start a turn.
    pub ready_posture: Tristate,
    /// A prompt waits inside the program.
    pub pending_input: Tristate,
}

/// The turn now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// Where it stands.
    pub phase: TurnPhase,
}

/// The last turn that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LastTurn {
    /// How it ended.
    pub result: TurnResult,
    /// How it is known to have begun.
    pub source: TurnSource,
    /// When the result was seen.
    #[schemars(with = "Option<String>")]
    pub updated_at_utc: Option<Timestamp>,
}

/// For how long the state has not changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Stability {
    /// Whether it has settled.
    pub stable: bool,
    /// Since when it has not changed.
    #[schemars(with = "Option<String>")]
    pub stable_since_utc: Option<Timestamp>,
}

/// One change of the public state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// When.
    #[schemars(with = "String")]
    pub recorded_at_utc: Timestamp,
    /// `field: before -> after`, joined by `; `.
    pub summary: String,
    /// The fields that changed.
    pub changed_fields: Vec<Cow<'static, str>>,
    /// The status after it.
    pub status: Status,
}

/// One piece of evidence and what it says; the first of them decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// `record`, `tmux`, `process`, `title`, `screen`, `delivery`, `hook`, `status file`.
    pub source: Cow<'static, str>,
    /// The rule or fact.
    pub rule: String,
    /// What it says.
    pub says: String,
}
