//! What a mount knows already: quicker than looking at every agent again.

use crate::fuse;
use crate::model::Status;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long mounts may take to answer before they count as none.
const LIMIT: Duration = Duration::from_millis(200);

/// The live agents that a mount shows, by name, where one answers whose agents have their records in `registry`. A mount
/// without agents does not tell whose it is.
pub(super) fn agents(registry: &Path) -> Option<Vec<(String, Status)>> {
    let mounts: Vec<PathBuf> = fuse::mount::troop_mounts().ok()?.into_iter().map(|mount| mount.path).collect();
    if mounts.is_empty() || !fuse::mount::stopped().is_empty() {
        return None;
    }
    let registry = registry.to_owned();
    let (answer, answered) = channel();
    // A server that hangs would hold us as well; a thread that waits for it ends with the program.
    let ask = std::thread::Builder::new().name("troop-asks".to_owned());
    ask.spawn(move || answer.send(mounts.iter().find_map(|mount| read(mount, &registry)))).ok()?;
    answered.recv_timeout(LIMIT).ok().flatten()
}

fn read(mount: &Path, registry: &Path) -> Option<Vec<(String, Status)>> {
    let index = std::fs::read_to_string(mount.join("index")).ok()?;
    let mut found = Vec::new();
    for line in index.lines() {
        let mut cells = line.split('\t');
        let (name, status) = (cells.next()?, cells.next()?);
        // Stopped agents are in the index too, and not in this directory.
        let Ok(record) = std::fs::read_link(mount.join("agents").join(name).join("record")) else { continue };
        if !record.starts_with(registry) {
            return None;
        }
        found.push((name.to_owned(), Status::ALL.into_iter().find(|known| known.as_str() == status)?));
    }
    (!found.is_empty()).then_some(found)
}
