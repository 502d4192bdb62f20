//! What a gateway of Houmao writes beside its state while it runs (the reference, section 2.7).

use super::dir::read_regular;
use nix::fcntl::OFlag;
use serde::Deserialize;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The most bytes it may have; real ones have some 400.
const MAX_BYTES: u64 = 64 * 1024;

/// The process that answers for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GatewayProcess {
    /// Its process.
    pub pid: i32,
    /// The port it was given.
    pub port: u16,
}

/// The process that says that it is the gateway whose state file that is; none when none says so.
pub fn process(state_path: &Path) -> Option<GatewayProcess> {
    let path = state_path.parent()?.join("run/current-instance.json");
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let bytes = read_regular(file, MAX_BYTES).ok()?;
    serde_json::from_slice(&bytes).ok().filter(|process: &GatewayProcess| process.pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_read_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state.json");
        std::fs::create_dir(root.path().join("run")).unwrap();
        let write = |text: &str| std::fs::write(root.path().join("run/current-instance.json"), text).unwrap();
        assert_eq!(process(&state), None);
        write(
            r#"{"execution_mode": "detached_process", "host": "127.0.0.1", "pid": 17889, "port": 40353, "schema_version": 1}"#,
        );
        assert_eq!(process(&state), Some(GatewayProcess { pid: 17889, port: 40353 }));
        for wrong in
            ["", "{", "[]", r#"{"pid": 0, "port": 1}"#, r#"{"pid": -1, "port": 1}"#, r#"{"pid": 1, "port": 65536}"#]
        {
            write(wrong);
            assert_eq!(process(&state), None, "{wrong}");
        }
    }
}
