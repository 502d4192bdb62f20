//! `troop doctor`: what is wrong, where, and what to do about it.

use super::args::Common;
use super::context::Context;
use super::exit;
use crate::error::{Error, Kind, Result};
use crate::fuse::mount;
use crate::store::{Finding, Severity, doctor, manifest};
use crate::tmux::Socket;
use crate::tool::Tools;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints every finding; fails when one is an error.
pub(super) fn run(common: &Common, json: bool) -> Result<ExitCode> {
    let context = Context::new(common)?;
    let mut findings = machine();
    findings.extend(tools(&context));
    findings.extend(servers(&context));
    findings.extend(doctor::check(&context.registry, Timestamp::now()));
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    if json {
        super::print(|out| {
            serde_json::to_writer_pretty(&mut *out, &findings)?;
            writeln!(out)
        })?;
    } else {
        super::print(|out| {
            for finding in &findings {
                writeln!(out, "{:8} {}: {}", finding.severity.as_str(), finding.path.display(), finding.sentence)?;
            }
            if findings.is_empty() { writeln!(out, "nothing is wrong") } else { Ok(()) }
        })?;
    }
    Ok(if failed { exit::findings() } else { ExitCode::SUCCESS })
}

/// The version of tmux, or the sentence that says how to get one.
pub(super) fn tmux_version() -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("cannot ask tmux for its version", &error))?;
    runtime.block_on(crate::tmux::version(|name| std::env::var(name).ok()))
}

fn machine() -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, path: &str, sentence: String| {
        findings.push(Finding { severity, path: PathBuf::from(path), sentence });
    };
    if let Err(error) = tmux_version() {
        add(Severity::Error, "tmux", error.to_string());
    }
    if !Path::new("/dev/fuse").exists() {
        add(Severity::Error, "/dev/fuse", "it is not there; load the kernel module (modprobe fuse)".to_owned());
    }
    if !nix::unistd::geteuid().is_root() && !on_path("fusermount3") {
        add(
            Severity::Error,
            "fusermount3",
            "it is not installed, and only root can mount without it; install fuse3".to_owned(),
        );
    }
    let stopped = mount::stopped();
    for pid in stopped.iter().map(|stopped| stopped.pid) {
        let sentence = format!(
            "process {pid} serves a mount and is stopped, so whoever looks there waits for it; kill -CONT {pid} lets it go on"
        );
        add(Severity::Error, &format!("/proc/{pid}"), sentence);
    }
    let mounts = mount::troop_mounts().unwrap_or_default().into_iter();
    for mount in mounts.filter(|mount| mount::can_be_asked(mount, &stopped)) {
        // A dead mount answers ENOTCONN, which no live one does.
        if std::fs::metadata(&mount.path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotConnected) {
            let sentence = format!("its daemon has died; troop umount {} takes it away", mount.path.display());
            findings.push(Finding { severity: Severity::Warning, path: mount.path, sentence });
        }
    }
    findings
}

/// The tmux servers that do not answer, of those that live agents are on and those that new ones would be on.
fn servers(context: &Context) -> Vec<Finding> {
    let settings = &context.settings;
    let now = Timestamp::now();
    let live = context.registry.scan().entries.into_iter().filter(|entry| entry.record.claims_live(now));
    let named = live.filter_map(|entry| manifest::read(&entry.record.manifest_path).ok()?.tmux_socket);
    let mut servers: BTreeMap<PathBuf, Socket> =
        named.map(|path| settings.socket_at(&path)).map(|socket| (socket.path().to_owned(), socket)).collect();
    servers.extend(settings.servers().into_iter().map(|socket| (socket.path().to_owned(), socket)));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    // At once: each that hangs is waited for.
    let asked: Vec<_> = servers
        .into_values()
        .filter(|socket| socket.path().exists())
        .map(|socket| runtime.spawn(async move { (socket.sessions().await, socket) }))
        .collect();
    let answers = asked.into_iter().filter_map(|asked| runtime.block_on(asked).ok());
    let silent = answers.filter_map(|(answer, socket)| Some((answer.err()?, socket)));
    // That there is no tmux is a finding of its own.
    silent
        .filter(|(error, _)| error.kind() != Kind::Unavailable)
        .map(|(error, socket)| Finding {
            severity: Severity::Error,
            path: socket.path().to_owned(),
            sentence: error.to_string(),
        })
        .collect()
}

fn tools(context: &Context) -> Vec<Finding> {
    let (_, wrong) = Tools::with_overrides(&context.settings.tool_overrides);
    let errors = context.tool_errors.iter().chain(&wrong).map(|error| (error, "tools"));
    let config = context.settings.presets.wrong.iter().map(|error| (error, super::config::CONFIG_FILE));
    errors
        .chain(config)
        .map(|(error, at)| Finding {
            severity: if error.kind() == Kind::Malformed { Severity::Error } else { Severity::Warning },
            path: super::context::config_dir().join(at),
            sentence: error.to_string(),
        })
        .collect()
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
