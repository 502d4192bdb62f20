//! What is wrong on disk, for `troop doctor`. Looks and never touches.

use super::finding::{Finding, Severity};
use super::registry::Registry;
use super::scan::{Entry, LIVE_AGENTS};
use super::{legacy, manifest};
use crate::error::Kind;
use crate::model::LifecycleState;
use jiff::{SignedDuration, Timestamp};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How old a temporary file is before it counts as forgotten; a write takes milliseconds.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Everything found, the worst first.
pub fn check(registry: &Registry, now: Timestamp) -> Vec<Finding> {
    let scan = registry.scan();
    let mut findings = scan.problems;
    for entry in &scan.entries {
        findings.extend(check_lease(entry, now));
        findings.extend(check_manifest(entry));
    }
    findings.extend(full_disks(&scan.entries));
    let roots = registry.roots();
    findings.extend(stale_files(&roots.registry.join(LIVE_AGENTS), now));
    if let Some(legacy) = &roots.legacy_registry {
        let count = scan.entries.iter().filter(|entry| entry.read_only).count();
        let sentence =
            format!("the older registry is still there, with {count} agents that can be seen and not changed");
        findings.push(Finding::new(Severity::Note, legacy, sentence));
    }
    let sessions = scan.entries.iter().filter_map(|entry| entry.record.session_root.as_deref());
    let mut homes = legacy::runtime_roots(sessions);
    homes.push(roots.home.clone());
    findings.extend(legacy::findings(&legacy::legacy(&homes)));
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.path.cmp(&b.path)));
    findings
}

fn check_lease(entry: &Entry, now: Timestamp) -> Option<Finding> {
    let record = &entry.record;
    let expired = record.lifecycle.state.is_live() && !record.claims_live(now);
    expired.then(|| {
        let sentence = format!(
            "the lease of {:?} is over and its state is still {}; stop it or launch it again",
            record.name,
            record.lifecycle.state.as_str()
        );
        Finding::new(Severity::Warning, &entry.path, sentence)
    })
}

fn check_manifest(entry: &Entry) -> Vec<Finding> {
    let record = &entry.record;
    // Nobody reads a retired agent's manifest again.
    if record.lifecycle.state == LifecycleState::Retired {
        return Vec::new();
    }
    let path = &*record.manifest_path;
    match manifest::check(path, record) {
        Ok(differences) => differences
            .into_iter()
            .map(|difference| Finding::new(Severity::Warning, path, format!("{difference} of {:?}", record.name)))
            .collect(),
        Err(error) if error.kind() == Kind::NotFound => {
            let sentence =
                format!("the manifest of {:?} is missing; it can be seen and stopped, and no more", record.name);
            vec![Finding::new(Severity::Error, path, sentence)]
        }
        Err(error) => vec![Finding::new(Severity::Error, path, error.sentence())],
    }
}

/// Disks that take no more of the history of live agents, each where the first of them is.
fn full_disks(entries: &[Entry]) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let live = entries.iter().filter(|entry| entry.record.lifecycle.state.is_live());
    live.filter_map(|entry| entry.record.session_root.as_deref().or_else(|| entry.record.manifest_path.parent()))
        .filter(|root| std::fs::metadata(root).is_ok_and(|about| seen.insert(about.dev())))
        .filter_map(|root| {
            let disk = statvfs(root).ok()?;
            let what = if disk.flags().contains(FsFlags::ST_RDONLY) {
                "can only be read"
            } else if disk.blocks() > 0 && disk.blocks_available() == 0 {
                "is full"
            } else if disk.files() > 0 && disk.files_available() == 0 {
                "takes no more files"
            } else {
                return None;
            };
            let sentence = format!(
                "the disk {what}; agents there go on, but their history is in memory only, and none can be launched"
            );
            Some(Finding::new(Severity::Warning, root, sentence))
        })
        .collect()
}

/// What a killed writer left beside a record.
fn stale_files(live_agents: &Path, now: Timestamp) -> Vec<Finding> {
    let listed = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for file in listed(live_agents)
        .filter(|agent| agent.file_type().is_ok_and(|kind| kind.is_dir()))
        .flat_map(|agent| listed(&agent.path()).collect::<Vec<_>>())
    {
        let is_temporary =
            file.file_name().to_str().is_some_and(|name| name.starts_with("record.json.") && name.ends_with(".tmp"));
        let modified = file.metadata().and_then(|about| about.modified()).ok();
        let age = modified.and_then(|at| Timestamp::try_from(at).ok()).map(|at| now.duration_since(at));
        if is_temporary && age.is_some_and(|age| age > STALE_AFTER) {
            let sentence = "it is the temporary file of a write that never ended; it can be removed";
            found.push(Finding::new(Severity::Note, file.path(), sentence));
        }
    }
    found
}
