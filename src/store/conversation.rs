//! Which conversation the next turn of a headless agent goes on with: the manifest's section `headless` (the reference,
//! section 2.2).

use super::manifest::{change, read_wire};
use super::plan;
use super::session_root::MANIFEST_FILE;
use super::wire::manifest_v4::{ManifestV4, Resume, RoleMethod};
use super::wire::{Object, Word};
use crate::error::Result;
use crate::model::{ChatSession, Role};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What the next turn starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextTurn {
    /// Program and arguments of the launch, without those of a turn.
    pub argv: Vec<String>,
    /// Where the program works.
    pub cwd: PathBuf,
    /// The number of the last turn, as far as the manifest knows.
    pub turn_index: u64,
    /// The conversation to go on with.
    pub chat: ChatSession,
    /// What the program is told at each start; none when that was the first prompt.
    pub role: Option<Role>,
}

/// What the manifest in that session root says of the next turn.
pub fn next_turn(session_root: &Path) -> Result<NextTurn> {
    let wire = read_wire(&session_root.join(MANIFEST_FILE)).map_err(|error| error.while_doing("its manifest"))?;
    let method = wire.launch_plan.0.role_injection.0.method.0;
    let role = plan::role(&wire, method).filter(|_| !matches!(method, RoleMethod::BootstrapMessage));
    let plan = wire.launch_plan.0;
    let argv = std::iter::once(plan.executable).chain(plan.args).collect();
    let (turn_index, chat) = match wire.headless {
        None => (0, ChatSession::New),
        Some(Object(headless)) => {
            let exact = |id: Option<String>| id.and_then(|id| ChatSession::exact(&id).ok());
            let known = exact(headless.session_id).unwrap_or_default();
            let chat = match headless.resume_selection_kind.0 {
                Resume::None => known,
                Resume::Last => ChatSession::Last,
                Resume::Exact => exact(headless.resume_selection_value).unwrap_or(known),
            };
            (u64::try_from(headless.turn_index).unwrap_or(0), chat)
        }
    };
    Ok(NextTurn { argv, cwd: wire.working_directory.into(), turn_index, chat, role })
}

/// Has the next turn go on with `chat`. For a new one the manifest counts turns anew: a number without a session
/// makes a manifest that Houmao refuses.
pub fn select(session_root: &Path, chat: &ChatSession) -> Result<()> {
    let (session, kind, value) = match chat {
        ChatSession::New => (None, Resume::None, None),
        ChatSession::Last => (None, Resume::Last, None),
        ChatSession::Exact(id) => (Some(id.clone()), Resume::Exact, Some(id.clone())),
    };
    change(&session_root.join(MANIFEST_FILE), |wire| {
        let index = wire.headless.as_ref().map_or(0, |Object(headless)| headless.turn_index);
        set(wire, session, if chat == &ChatSession::New { 0 } else { index }, kind, value);
    })
}

/// A turn of that number went on with `session`, or began it: so does the next.
pub fn went_on(session_root: &Path, session: &str, turn_index: u64) -> Result<()> {
    let index = i64::try_from(turn_index).unwrap_or(i64::MAX);
    change(&session_root.join(MANIFEST_FILE), |wire| set(wire, Some(session.to_owned()), index, Resume::None, None))
}

fn set(wire: &mut ManifestV4, session: Option<String>, index: i64, kind: Resume, value: Option<String>) {
    let Some(Object(headless)) = &mut wire.headless else { return };
    (headless.session_id, headless.turn_index) = (session.clone(), index);
    (headless.resume_selection_kind, headless.resume_selection_value) = (Word(kind), value.clone());
    if let Some(Object(interactive)) = &mut wire.interactive {
        interactive.turn_index = index;
    }
    let word = serde_json::to_value(kind).unwrap_or_default();
    for (key, value) in [
        ("session_id", Value::from(session)),
        ("turn_index", index.into()),
        ("resume_selection_kind", word),
        ("resume_selection_value", Value::from(value)),
    ] {
        wire.backend_state.insert(key.to_owned(), value);
    }
}
