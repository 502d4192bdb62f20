//! What the benchmarks stand on: a sandbox with agents in it, and tables.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a toolbox shared with the tests: each benchmark takes what it needs, and what fails should say where"
)]

#[path = "../../tests/it/support/mod.rs"]
mod it;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use troop::model::record::Backend;
use troop::model::{Lifecycle, LifecycleState, Record};
use troop::store::wire::encode_record;
use troop::store::{LaunchManifest, lifecycle, names};

pub use it::sandbox::troop_bin;
pub use it::{Mount, Sandbox, hello};

/// Why a benchmark could not be run.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// How long anything that is waited for may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at a file that somebody else changes: the resolution of what is
/// measured by looking.
pub const LOOK_AGAIN: Duration = Duration::from_micros(250);

/// A record and a manifest of an agent whose tmux session does not exist, written with
/// plain writes as a script would. Gives the record's path.
pub fn plant(sandbox: &Sandbox, name: &str) -> Fallible<PathBuf> {
    plant_at(sandbox, name, &sandbox.troop_home())
}

/// The same with the session in a Home of its own.
pub fn plant_at(sandbox: &Sandbox, name: &str, home: &Path) -> Fallible<PathBuf> {
    // One that has just begun is starting, and whoever lists it waits a little for its session.
    let now = Timestamp::now() - SignedDuration::from_hours(1);
    let session_id = names::session_id(Backend::LocalInteractive, now);
    let root = home.join("sessions").join(Backend::LocalInteractive.as_str()).join(&session_id);
    let session = names::tmux_session_name(name, now.as_millisecond());
    let manifest_path = root.join("manifest.json");
    let record = lifecycle::begun(name, Backend::LocalInteractive, "claude", &root, &session, now);
    let manifest = LaunchManifest {
        name: name.to_owned(),
        id: record.id.clone(),
        generation: record.generation.to_string(),
        session_id,
        backend: Backend::LocalInteractive,
        own_backend: None,
        tool: record.tool.clone(),
        argv: vec!["/usr/bin/claude".to_owned()],
        cwd: sandbox.work(),
        home_variable: "HOME".to_owned(),
        home_path: sandbox.home(),
        session,
        window: None,
        pane: None,
        tmux_socket: None,
        tool_version: None,
        has_hooks: false,
        chat: troop::model::ChatSession::New,
        model: None,
        profile: None,
        env: Vec::new(),
        role: None,
        now,
    };
    fs::create_dir_all(&root)?;
    fs::write(&manifest_path, manifest.to_json(&root)?)?;
    let dir = sandbox.registry().join("live_agents").join(record.id.as_str());
    fs::create_dir_all(&dir)?;
    let path = dir.join("record.json");
    fs::write(&path, encode_record(&record)?)?;
    Ok(path)
}

/// Plants as many, `agent-0000` and on.
pub fn plant_many(sandbox: &Sandbox, count: usize) -> Fallible<()> {
    (0..count).try_for_each(|n| plant(sandbox, &format!("agent-{n:04}")).map(drop))
}

/// Launches a stand-in with `troop launch`, with more arguments of its own.
pub fn launch(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Fallible<()> {
    let mut command = sandbox.command(troop_bin());
    command.args(["launch", name]);
    if !arguments.is_empty() {
        command.arg("--").arg(troop_bin()).arg("stand-in").args(arguments);
    }
    done(&mut command)
}

/// Waits until an agent of the mount has that status.
pub fn wait_status(mount: &Mount, name: &str, status: &str) -> Fallible<()> {
    let file = mount.join(format!("agents/{name}/status"));
    wait(&format!("{name} to be {status}"), || fs::read_to_string(&file).is_ok_and(|text| text.trim_end() == status))
        .map(drop)
}

/// Waits until `holds` and gives how long that took.
pub fn wait(what: &str, mut holds: impl FnMut() -> bool) -> Fallible<Duration> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > LIMIT {
            return Err(format!("waited {LIMIT:?} for {what}").into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(start.elapsed())
}

/// Runs a program whose output nobody wants.
pub fn done(command: &mut Command) -> Fallible<()> {
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(
            format!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(())
}

/// Reads all of a file and gives how many bytes that were.
pub fn read_whole(path: &Path) -> io::Result<u64> {
    io::copy(&mut File::open(path)?, &mut io::sink())
}

/// The middle of `values` and the value below which 95 of 100 are.
pub fn median_and_p95(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() * 95 / 100])
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
