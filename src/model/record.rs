//! What the registry and the session manifests say of an agent, whatever the
//! schema version they were written in (the reference, sections 1.3 and 2.2).

use super::name::AgentId;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where an agent is in its life, as the registry records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleState {
    /// Launched and not stopped since; says nothing about whether it still runs.
    Active,
    /// Stopped; can come back when it is relaunchable.
    Stopped,
    /// On its way back.
    Relaunching,
    /// Finished for good.
    Retired,
}

impl LifecycleState {
    /// The registry's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stopped => "stopped",
            Self::Relaunching => "relaunching",
            Self::Retired => "retired",
        }
    }

    /// Active and relaunching agents have a session; stopped and retired ones do not.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::Relaunching)
    }
}

/// The lifecycle section of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// The state.
    pub state: LifecycleState,
    /// Whether a stopped agent can come back.
    pub relaunchable: bool,
    /// When the state was entered.
    pub updated_at: Timestamp,
    /// When it was stopped; set exactly for stopped and retired.
    pub stopped_at: Option<Timestamp>,
    /// Why it was stopped.
    pub stop_reason: Option<String>,
}

impl Lifecycle {
    /// Whether it is stopped and can be relaunched.
    pub fn can_return(&self) -> bool {
        self.state == LifecycleState::Stopped && self.relaunchable
    }
}

/// The lease of a live record. It runs for a century in practice and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// When the record was published.
    pub published_at: Timestamp,
    /// When it is no longer fresh.
    pub expires_at: Timestamp,
}

/// Where a gateway of Houmao listens for this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// `127.0.0.1` or `0.0.0.0`.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Its state file.
    pub state_path: PathBuf,
}

/// Mail bindings of an agent: kept when a record is rewritten, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox(pub serde_json::Value);

/// Where the files of an agent are that has none: a place in which nobody, root included, can make any.
pub const NOWHERE: &str = "/proc/nonexistent";

/// One agent in the registry. Texts are shared where more than the record needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The authoritative id; the directory's name should equal it.
    pub id: AgentId,
    /// The name people use. Not unique.
    pub name: String,
    /// Changes with every launch; whoever holds another generation must stand down.
    pub generation: Arc<str>,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// How it is driven: `local_interactive`, `claude_headless`, ...
    pub backend: Backend,
    /// Which program it is: `claude`, `codex`, ...
    pub tool: String,
    /// Its session manifest.
    pub manifest_path: Arc<Path>,
    /// Its session root.
    pub session_root: Option<Arc<Path>>,
    /// Where its definition lives.
    pub agent_def_dir: Option<Arc<Path>>,
    /// The tmux session it runs in now.
    pub session: Option<String>,
    /// The tmux session it ran in last; never empty.
    pub last_session: String,
    /// Set exactly for live records.
    pub lease: Option<Lease>,
    /// Where its gateway is, if one is attached.
    pub gateway: Option<Gateway>,
    /// Its mail bindings.
    pub mailbox: Option<Mailbox>,
}

impl Record {
    /// Whether the record claims a live agent: active or relaunching, lease not over.
    pub fn claims_live(&self, now: Timestamp) -> bool {
        self.lifecycle.state.is_live() && self.lease.is_some_and(|lease| lease.expires_at >= now)
    }
}

/// How an agent is driven. The names are Houmao's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The program's own interface in tmux window 0, pane 0.
    LocalInteractive,
    /// One `codex exec` process a turn.
    CodexHeadless,
    /// A JSON-RPC child without a terminal.
    CodexAppServer,
    /// One `claude -p` process a turn.
    ClaudeHeadless,
    /// One kimi process a turn.
    KimiHeadless,
    /// Legacy.
    CaoRest,
    /// Legacy.
    HoumaoServerRest,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::LocalInteractive,
        Self::CodexHeadless,
        Self::CodexAppServer,
        Self::ClaudeHeadless,
        Self::KimiHeadless,
        Self::CaoRest,
        Self::HoumaoServerRest,
    ];

    /// The registry's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalInteractive => "local_interactive",
            Self::CodexHeadless => "codex_headless",
            Self::CodexAppServer => "codex_app_server",
            Self::ClaudeHeadless => "claude_headless",
            Self::KimiHeadless => "kimi_headless",
            Self::CaoRest => "cao_rest",
            Self::HoumaoServerRest => "houmao_server_rest",
        }
    }

    /// Whether each turn is a process of its own.
    pub fn is_headless(self) -> bool {
        matches!(self, Self::CodexHeadless | Self::ClaudeHeadless | Self::KimiHeadless)
    }
}

/// What troop needs from a session manifest (schema version 4) and has no record of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Where the program works.
    pub working_directory: PathBuf,
    /// The agent's window, `@` and digits, as it was when the manifest was written.
    pub window: Option<String>,
    /// The agent's pane, as it was when the manifest was written.
    pub pane: Option<super::pane::PaneId>,
    /// The tmux server's socket, from `launch_plan.metadata.troop_tmux_socket`;
    /// absent means the user's default server, which is Houmao's only one.
    pub tmux_socket: Option<PathBuf>,
    /// The user's own session that was joined: never killed, only left.
    pub joined: bool,
    /// The program version seen at launch.
    pub tool_version: Option<String>,
}
