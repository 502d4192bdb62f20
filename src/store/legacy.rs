//! What retired servers of Houmao have left below runtime roots (the reference, section 3): their registrations of sessions, and
//! the state of an interface that is gone. Nothing uses it any more and nothing of ours makes it; here it is found.

use super::finding::{Finding, Severity};
use crate::model::home::home_of;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The directory of the servers in a runtime root.
const SERVERS: &str = "houmao_servers";
/// The most entries of one directory that are looked at.
const MAX_ENTRIES: usize = 4096;

/// One thing that was left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Legacy {
    /// A directory; with it goes everything that belongs to it.
    pub path: PathBuf,
    /// What it is, in a few words.
    pub what: &'static str,
}

/// Everything that was left below these runtime roots, each once, in order. What the server uses that is still maintained is
/// passed over.
pub fn legacy(runtime_roots: &[PathBuf]) -> Vec<Legacy> {
    let roots: BTreeSet<&PathBuf> = runtime_roots.iter().collect();
    let servers = roots.into_iter().flat_map(|root| directories(&root.join(SERVERS)));
    let found: BTreeSet<Legacy> = servers.flat_map(|server| left_in(&server)).collect();
    found.into_iter().collect()
}

/// The runtime roots of sessions: two levels above each session root's backend.
pub fn runtime_roots<'a>(session_roots: impl IntoIterator<Item = &'a Path>) -> Vec<PathBuf> {
    let roots: BTreeSet<&Path> = session_roots.into_iter().filter_map(home_of).collect();
    roots.into_iter().map(Path::to_path_buf).collect()
}

/// A finding for each, for `troop doctor`.
pub fn findings(legacy: &[Legacy]) -> Vec<Finding> {
    let sentence = |left: &Legacy| format!("{}; nothing uses it any more, troop gc removes it", left.what);
    legacy.iter().map(|left| Finding::new(Severity::Note, &left.path, sentence(left))).collect()
}

fn left_in(server: &Path) -> Vec<Legacy> {
    let sessions = directories(&server.join("sessions"));
    let registered = sessions.into_iter().filter(|session| session.join("registration.json").is_file());
    let registered = registered
        .map(|path| Legacy { path, what: "a session's registration with a server of Houmao that is retired" });
    let compat = Some(server.join("state/cao_compat")).filter(|path| is_directory(path));
    let compat = compat.map(|path| Legacy { path, what: "state of an interface that Houmao has given up" });
    registered.chain(compat).collect()
}

fn directories(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.flatten().take(MAX_ENTRIES).map(|entry| entry.path());
    paths.filter(|path| is_directory(path)).collect()
}

/// A link is not followed: what it leads to belongs to somebody else.
fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("runtime");
        let server = root.join("houmao_servers/127.0.0.1-9889");
        for path in
            ["sessions/a", "sessions/b", "state/cao_compat/launch_projection", "managed_agents/5bdf84208747", "run"]
        {
            fs::create_dir_all(server.join(path)).unwrap();
        }
        fs::write(server.join("sessions/a/registration.json"), "not even JSON").unwrap();
        fs::write(server.join("run/current-instance.json"), "{}").unwrap();
        std::os::unix::fs::symlink(&server, root.join("houmao_servers/link")).unwrap();
        let found = legacy(&[root.clone(), root, dir.path().join("none")]);
        let paths: Vec<_> =
            found.iter().map(|left| left.path.strip_prefix(&server).unwrap().to_str().unwrap()).collect();
        assert_eq!(paths, ["sessions/a", "state/cao_compat"]);
        assert!(findings(&found).iter().all(|finding| finding.sentence.contains("nothing uses it")));
    }

    #[test]
    fn the_root_of_a_session() {
        let roots =
            runtime_roots(["/r/sessions/local_interactive/s-1", "/r/sessions/x/s-2", "/else/s", "/"].map(Path::new));
        assert_eq!(roots, [PathBuf::from("/r")]);
    }
}
