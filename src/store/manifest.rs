//! Reading and changing session manifests, which Houmao rewrites in place (the reference,
//! section 2.2): a torn one is read again before it counts as malformed.

use super::atomic::{PRIVATE_FILE, write_replace};
use super::dir::read_regular;
use super::wire::manifest_v4::{ManifestV4, Origin};
use super::wire::{self, Object, Word, malformed};
use crate::error::{Error, Kind, Result};
use crate::model::{Manifest, PaneId, Record};
use nix::fcntl::OFlag;
use serde_json::Value;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most bytes a manifest may have; real ones have up to 20 thousand.
pub const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// How often a torn manifest is read before it counts as malformed.
pub const TORN_ATTEMPTS: u32 = 10;

/// The pause between two such readings; a write takes far less than one.
pub const TORN_PAUSE: Duration = Duration::from_millis(5);

/// The version of the schema that manifests are written in, and the only one that is read.
pub const SCHEMA_VERSION: u32 = 4;

/// The key in `launch_plan.metadata` that says which tmux server the agent is on.
/// Houmao keeps foreign keys there, and only there.
pub const SOCKET_KEY: &str = "troop_tmux_socket";

/// The key there that says that a session was joined; Houmao writes it.
pub(super) const ORIGIN_KEY: &str = "session_origin";

/// Reads a manifest. Blocks for [`TORN_ATTEMPTS`] times [`TORN_PAUSE`] at most,
/// and only while it is torn. [`Kind::NotFound`] or [`Kind::Malformed`] when that cannot be done.
pub fn read(path: &Path) -> Result<Manifest> {
    read_wire(path).and_then(|wire| model_of(&wire).map_err(malformed)).map_err(|error| at(path, error))
}

/// The tmux session that the manifest at `path` names, and its server when that is not the usual one. Fails where [`read`] does.
pub fn session(path: &Path) -> Result<(Option<String>, Option<PathBuf>)> {
    let wire = read_wire(path).map_err(|error| at(path, error))?;
    let model = model_of(&wire).map_err(|reason| at(path, malformed(reason)))?;
    Ok((wire.tmux_session_name, model.tmux_socket))
}

/// What the manifest at `path` and the record of one agent say differently, a sentence
/// each. Fails where [`read`] does.
pub fn check(path: &Path, record: &Record) -> Result<Vec<String>> {
    let manifest = read_wire(path).map_err(|error| at(path, error))?;
    let mut found = Vec::new();
    let mut compare = |what: &str, manifest: &str, record: &str| {
        if manifest != record {
            found.push(format!("the {what} is {manifest:?} in the manifest and {record:?} in the record"));
        }
    };
    compare("backend", manifest.backend.0.as_str(), record.backend.as_str());
    compare("tool", &manifest.tool, &record.tool);
    if let Some(generation) = &manifest.registry_generation_id {
        compare("generation", generation, &record.generation);
    }
    if let Some(session) = &manifest.tmux_session_name {
        compare("tmux session", session, record.session.as_deref().unwrap_or(&record.last_session));
    }
    drop(model_of(&manifest).map_err(|reason| at(path, malformed(reason)))?);
    Ok(found)
}

/// The manifest as it is on the wire, once it is whole.
pub(crate) fn read_wire(path: &Path) -> Result<ManifestV4> {
    let mut attempt = 1;
    loop {
        let bytes = read_bytes(path)?;
        let decoded = decode(&bytes);
        if decoded.is_ok() || !is_torn(&bytes) {
            return decoded;
        }
        if attempt == TORN_ATTEMPTS {
            return Err(malformed(format_args!(
                "it ends in the middle ({} bytes), and stayed so; the program that writes it was perhaps killed",
                bytes.len()
            )));
        }
        attempt += 1;
        std::thread::sleep(TORN_PAUSE);
    }
}

/// The manifest of the agent called `name` as JSON. [`Kind::Invalid`] when a value cannot stand in it.
pub(super) fn to_json(name: &str, wire: &ManifestV4) -> Result<Vec<u8>> {
    wire.check().map_err(|reason| {
        Error::new(Kind::Invalid, format!("the manifest of {name:?} cannot be written, because {reason}"))
    })?;
    wire::to_json(wire)
}

/// Changes the manifest at `path`, and leaves the rest of it as it is by now. Fails where [`read`] does, or when it cannot
/// be written.
pub(super) fn change(path: &Path, change: impl FnOnce(&mut ManifestV4)) -> Result<()> {
    let mut wire = read_wire(path).map_err(|error| at(path, error))?;
    change(&mut wire);
    write_replace(path, &wire::to_json(&wire)?, PRIVATE_FILE)
}

/// The bytes of a manifest, checked against each other.
pub(crate) fn decode(bytes: &[u8]) -> Result<ManifestV4> {
    let is_that = |manifest: &ManifestV4| manifest.schema_version == SCHEMA_VERSION;
    let manifest = match wire::object::<ManifestV4>(bytes).ok().filter(is_that) {
        Some(manifest) => manifest,
        // Of another version that is said first.
        None => {
            wire::schema_version(bytes, 0, &[SCHEMA_VERSION.into()])?;
            wire::object::<ManifestV4>(bytes)?
        }
    };
    manifest.check().map_err(malformed)?;
    Ok(manifest)
}

/// Whether a newer program wrote the manifest, in a schema that is not known here.
pub fn is_newer(path: &Path) -> bool {
    #[derive(serde::Deserialize)]
    struct Version {
        schema_version: u64,
    }
    let version = read_bytes(path).ok().and_then(|bytes| serde_json::from_slice::<Version>(&bytes).ok());
    version.is_some_and(|version| version.schema_version > 4)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|error| Error::io("cannot open it", &error))?;
    read_regular(file, MAX_MANIFEST_BYTES)
}

/// Truncated and not yet written to the end: JSON that is right as far as it goes.
fn is_torn(bytes: &[u8]) -> bool {
    match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        Ok(_) => false,
        Err(error) => error.is_eof(),
    }
}

fn at(path: &Path, error: Error) -> Error {
    error.while_doing(format_args!("manifest {}", path.display()))
}

pub(crate) fn model_of(wire: &ManifestV4) -> std::result::Result<Manifest, wire::Reason> {
    let metadata = &wire.launch_plan.0.metadata;
    let authority = wire.agent_launch_authority.as_ref().map(|Object(authority)| authority);
    let pane = [
        wire.tmux.as_ref().and_then(|Object(tmux)| tmux.primary_pane_id.as_deref()),
        authority.and_then(|authority| authority.primary_pane_id.as_deref()),
        wire.backend_state.get("tmux_pane_id").and_then(Value::as_str),
    ];
    let window = [
        wire.tmux.as_ref().and_then(|Object(tmux)| tmux.primary_window_id.as_deref()),
        authority.and_then(|authority| authority.primary_window_id.as_deref()),
    ];
    let joined = authority.and_then(|authority| authority.session_origin) == Some(Word(Origin::JoinedTmux))
        || metadata.get(ORIGIN_KEY).and_then(Value::as_str) == Some("joined_tmux");
    let provenance = wire.launch_policy_provenance.as_ref().or(wire.launch_plan.0.launch_policy_provenance.as_ref());
    Ok(Manifest {
        window: window.into_iter().flatten().next().map(str::to_owned),
        pane: pane.into_iter().flatten().find_map(PaneId::parse),
        tmux_socket: socket(metadata.get(SOCKET_KEY))?,
        joined,
        tool_version: provenance.map(|Object(provenance)| provenance.detected_tool_version.clone()),
        working_directory: wire.working_directory.clone().into(),
    })
}

// A wrong socket must not pass for the default server: the same pane id is
// somebody else's pane there.
fn socket(value: Option<&Value>) -> std::result::Result<Option<PathBuf>, wire::Reason> {
    let Some(value) = value else { return Ok(None) };
    value
        .as_str()
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .map(Some)
        .ok_or_else(|| format!("launch_plan.metadata.{SOCKET_KEY} is {value}, which is not an absolute path"))
}
