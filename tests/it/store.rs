//! The store on real files, against Houmao's own schemas and samples.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod disk;
mod doctor;
mod homes;
mod hostile;
mod journal;
mod manifest;
mod many;
mod records;
mod registry;
mod rotation;
mod watch;

use jiff::Timestamp;
use serde_json::Value;
use std::path::{Path, PathBuf};
use troop::model::record::{Backend, Lease};
use troop::model::{AgentId, Lifecycle, LifecycleState, Record};
use troop::store::{Registry, Roots, names};

/// A fixed present.
fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/houmao").join(path)
}

/// The samples Houmao wrote.
fn samples() -> Vec<PathBuf> {
    let mut samples: Vec<PathBuf> =
        std::fs::read_dir(data("samples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    samples.sort();
    assert!(samples.len() >= 6);
    samples
}

/// Fails with every violation when `bytes` do not follow Houmao's packaged schema.
fn assert_valid(schema: &str, bytes: &[u8]) {
    let schema: Value = serde_json::from_slice(&std::fs::read(data("schemas").join(schema)).unwrap()).unwrap();
    let document: Value = serde_json::from_slice(bytes).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let violations: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(violations.is_empty(), "{violations:?}\n{document:#}");
}

const RECORD_SCHEMA: &str = "managed_agent_registry_record.v3.schema.json";
const MANIFEST_SCHEMA: &str = "session_manifest.v4.schema.json";

/// A record as troop launches it.
fn active(name: &str) -> Record {
    let session = names::tmux_session_name(name, 1_795_225_318_902);
    Record {
        id: names::agent_id_for(name),
        name: name.to_owned(),
        generation: format!("generation-of-{name}").into(),
        lifecycle: Lifecycle {
            state: LifecycleState::Active,
            relaunchable: true,
            updated_at: now(),
            stopped_at: None,
            stop_reason: None,
        },
        backend: Backend::LocalInteractive,
        tool: "claude".to_owned(),
        manifest_path: Path::new("/sessions/s/manifest.json").into(),
        session_root: Some(Path::new("/sessions/s").into()),
        agent_def_dir: None,
        session: Some(session.clone()),
        last_session: session,
        lease: Some(troop::store::lifecycle::lease(now())),
        gateway: None,
        mailbox: None,
    }
}

/// The same with a lease that is over at [`now`].
fn expired(name: &str) -> Record {
    let (published_at, expires_at) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-02T00:00:00Z".parse().unwrap());
    Record { lease: Some(Lease { published_at, expires_at }), ..active(name) }
}

/// A registry of its own in a directory that goes with it.
struct Fixture {
    registry: Registry,
    _dir: tempfile::TempDir,
    base: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let roots = Roots {
            registry: base.join("registry"),
            legacy_registry: None,
            home: base.join("home"),
            state: base.join("state"),
        };
        Self { registry: Registry::new(roots), _dir: dir, base }
    }

    /// The same with an older registry beside it.
    fn with_legacy() -> Self {
        let fixture = Self::new();
        let legacy = fixture.base.join("legacy");
        std::fs::create_dir(&legacy).unwrap();
        let roots = Roots { legacy_registry: Some(legacy), ..fixture.registry.roots().clone() };
        Self { registry: Registry::new(roots), ..fixture }
    }

    fn live_agents(&self) -> PathBuf {
        self.base.join("registry/live_agents")
    }

    fn record_path(&self, id: &AgentId) -> PathBuf {
        self.live_agents().join(id.as_str()).join("record.json")
    }

    /// Writes bytes as somebody else would, into a directory of that name.
    fn plant(&self, directory: &str, bytes: &[u8]) -> PathBuf {
        plant(&self.live_agents(), directory, bytes)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.registry.scan().entries.into_iter().map(|entry| entry.record.name).collect();
        names.sort();
        names
    }
}

fn plant(section: &Path, directory: &str, bytes: &[u8]) -> PathBuf {
    let dir = section.join(directory);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("record.json"), bytes).unwrap();
    dir.join("record.json")
}
