//! `managed_agents/<tracked agent id>/` below a Home: whose turns are run there, the one that goes on, and a record of each
//! (the reference, section 3). Fields and words are Houmao's; files are replaced whole.

use super::atomic::{PRIVATE_FILE, write_replace};
use super::dir::{make_private, read_regular};
use super::lock::our_directory;
use super::wire::to_json;
use crate::error::Result;
use crate::model::headless::TurnStanding;
use crate::model::record::Backend;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The directory below a Home.
pub const MANAGED: &str = "managed_agents";
/// The most agents of a Home that are looked through for one.
const MAX_AGENTS: usize = 4096;
/// The most bytes of one of these files.
const MAX_BYTES: u64 = 1 << 20;
/// In our directory of a session root: where its agent is managed.
const POINTER: &str = "managed";
const AUTHORITY: &str = "authority.json";
const ACTIVE: &str = "active_turn.json";
const TURNS: &str = "turns";

/// `authority.json`: whose turns these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are Houmao's")]
pub struct Authority {
    pub tracked_agent_id: String,
    pub backend: Backend,
    pub tool: String,
    pub manifest_path: PathBuf,
    pub session_root: PathBuf,
    pub tmux_session_name: String,
    pub tmux_window_id: Option<String>,
    pub tmux_pane_id: Option<String>,
    pub agent_def_dir: PathBuf,
    pub agent_name: Option<String>,
    pub agent_id: Option<String>,
    pub created_at_utc: String,
    pub updated_at_utc: String,
}

/// `active_turn.json`: the turn that goes on. While it is there no other is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are Houmao's")]
pub struct ActiveTurn {
    pub tracked_agent_id: String,
    pub turn_id: String,
    pub turn_index: u64,
    pub turn_artifact_dir: PathBuf,
    pub started_at_utc: String,
    pub tmux_session_name: String,
    pub tmux_window_name: Option<String>,
    pub tmux_window_id: Option<String>,
    pub tmux_pane_id: Option<String>,
    pub process_path: Option<PathBuf>,
    pub process_started_at_utc: Option<String>,
    pub runner_pid: Option<i32>,
    pub child_pid: Option<i32>,
    pub interrupt_requested_at_utc: Option<String>,
}

/// `turns/<turn id>.json`: one turn, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are Houmao's")]
pub struct TurnRecord {
    pub tracked_agent_id: String,
    pub turn_id: String,
    pub turn_index: u64,
    pub status: TurnStanding,
    pub started_at_utc: String,
    pub completed_at_utc: Option<String>,
    pub turn_artifact_dir: PathBuf,
    pub tmux_session_name: String,
    pub tmux_window_name: Option<String>,
    pub tmux_window_id: Option<String>,
    pub tmux_pane_id: Option<String>,
    pub process_path: Option<PathBuf>,
    pub process_started_at_utc: Option<String>,
    pub runner_pid: Option<i32>,
    pub child_pid: Option<i32>,
    pub stdout_path: Option<PathBuf>,
    pub stderr_path: Option<PathBuf>,
    pub status_path: Option<PathBuf>,
    pub completion_source: Option<String>,
    pub returncode: Option<i32>,
    pub error: Option<String>,
    pub interrupt_requested_at_utc: Option<String>,
    pub history_summary: Option<String>,
    pub diagnostics: BTreeMap<String, String>,
}

impl TurnRecord {
    /// The record of a turn that has just been admitted.
    pub fn new(active: &ActiveTurn) -> Self {
        Self {
            tracked_agent_id: active.tracked_agent_id.clone(),
            turn_id: active.turn_id.clone(),
            turn_index: active.turn_index,
            status: TurnStanding::Active,
            started_at_utc: active.started_at_utc.clone(),
            completed_at_utc: None,
            turn_artifact_dir: active.turn_artifact_dir.clone(),
            tmux_session_name: active.tmux_session_name.clone(),
            tmux_window_name: active.tmux_window_name.clone(),
            tmux_window_id: active.tmux_window_id.clone(),
            tmux_pane_id: active.tmux_pane_id.clone(),
            process_path: active.process_path.clone(),
            process_started_at_utc: active.process_started_at_utc.clone(),
            runner_pid: active.runner_pid,
            child_pid: active.child_pid,
            stdout_path: None,
            stderr_path: None,
            status_path: None,
            completion_source: None,
            returncode: None,
            error: None,
            interrupt_requested_at_utc: active.interrupt_requested_at_utc.clone(),
            history_summary: None,
            diagnostics: BTreeMap::new(),
        }
    }
}

/// The directory of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed {
    dir: PathBuf,
}

impl Managed {
    /// The directory at that path.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The directory of the agent with that session root, made with `authority` when there is none; its times and its
    /// id count only then. What has changed of an agent that is there already is written anew.
    pub fn of(home: &Path, session_root: &Path, authority: Authority) -> Result<Self> {
        let known = Self::known(session_root).or_else(|| Self::find(home, &authority.manifest_path));
        let managed = known.unwrap_or_else(|| Self::at(home.join(MANAGED).join(&authority.tracked_agent_id)));
        let before: Option<Authority> = managed.read(AUTHORITY);
        let authority = match &before {
            Some(before) => Authority {
                tracked_agent_id: before.tracked_agent_id.clone(),
                created_at_utc: before.created_at_utc.clone(),
                ..authority
            },
            None => Authority { tracked_agent_id: managed.id().to_owned(), ..authority },
        };
        let same = |before: &Authority| {
            Authority { updated_at_utc: before.updated_at_utc.clone(), ..authority.clone() } == *before
        };
        // The pointer first: whoever finds nothing there goes on.
        if Self::known(session_root).as_ref() != Some(&managed) {
            make_private(&our_directory(session_root))?;
            let text = managed.dir.to_string_lossy().into_owned();
            write_replace(&our_directory(session_root).join(POINTER), text.as_bytes(), PRIVATE_FILE)?;
        }
        if !before.as_ref().is_some_and(same) {
            make_private(&managed.dir.join(TURNS))?;
            managed.write(AUTHORITY, &authority)?;
        }
        Ok(managed)
    }

    /// Where that session root says that its agent is managed.
    fn known(session_root: &Path) -> Option<Self> {
        let bytes = read(&our_directory(session_root).join(POINTER))?;
        let dir = PathBuf::from(String::from_utf8(bytes).ok()?);
        dir.is_absolute().then_some(Self { dir })
    }

    fn find(home: &Path, manifest_path: &Path) -> Option<Self> {
        let entries = std::fs::read_dir(home.join(MANAGED)).ok()?;
        let mut all = entries.flatten().take(MAX_AGENTS).map(|entry| Self { dir: entry.path() });
        all.find(|managed| {
            managed.read::<Authority>(AUTHORITY).is_some_and(|authority| authority.manifest_path == manifest_path)
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The agent's id here.
    pub fn id(&self) -> &str {
        self.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The turn that goes on.
    pub fn active(&self) -> Option<ActiveTurn> {
        self.read(ACTIVE)
    }

    /// Admits a turn, or writes down more of one that is.
    pub fn set_active(&self, turn: &ActiveTurn) -> Result<()> {
        self.write(ACTIVE, turn)
    }

    /// The turn of that id does not go on any more.
    pub fn clear_active(&self, turn_id: &str) {
        if self.active().is_some_and(|active| active.turn_id == turn_id) {
            // One that stays is cleared again before the next is admitted.
            let _ = std::fs::remove_file(self.dir.join(ACTIVE));
        }
    }

    /// The record of a turn.
    pub fn turn(&self, turn_id: &str) -> Option<TurnRecord> {
        self.read(&format!("{TURNS}/{turn_id}.json"))
    }

    /// Writes the record of a turn.
    pub fn set_turn(&self, record: &TurnRecord) -> Result<()> {
        make_private(&self.dir.join(TURNS))?;
        self.write(&format!("{TURNS}/{}.json", record.turn_id), record)
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&read(&self.dir.join(name))?).ok()
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<()> {
        write_replace(&self.dir.join(name), &to_json(value)?, PRIVATE_FILE)
    }
}

/// The directories of agents in that Home whose session root is gone.
pub fn abandoned(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join(MANAGED)).into_iter().flatten().flatten().take(MAX_AGENTS);
    let all = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let all = all.map(|entry| Managed { dir: entry.path() });
    let is_gone = |authority: Authority| authority.session_root.symlink_metadata().is_err();
    all.filter(|managed| managed.read(AUTHORITY).is_some_and(is_gone)).map(|managed| managed.dir).collect()
}

/// A new id of an agent or of a turn.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..12].to_owned()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = (nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOFOLLOW).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    read_regular(file, MAX_BYTES).ok()
}
