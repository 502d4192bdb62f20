//! The gateway of Houmao that serves a session: which process it is, as it says itself while it runs (the reference, section 2.7).

use super::dir::read_regular;
use nix::fcntl::OFlag;
use serde::Deserialize;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Its directory in the session root.
const DIRECTORY: &str = "gateway";
/// The file there, while it runs, that names its process.
const INSTANCE_FILE: &str = "run/current-instance.json";
/// The module that it is (Houmao 2.4.0).
const MODULE: &str = "houmao.agents.realm_controller.gateway_service";
/// The argument before its directory.
const ROOT_ARGUMENT: &str = "--gateway-root";
/// The most bytes that the file may have; real ones have some 400.
const MAX_BYTES: u64 = 64 << 10;

/// The process that answers for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GatewayProcess {
    /// Its process.
    pub pid: i32,
    /// The port it was given, where it says so.
    #[serde(default)]
    pub port: Option<u16>,
}

/// Where the gateway of a session keeps its files.
pub fn directory(session_root: &Path) -> PathBuf {
    session_root.join(DIRECTORY)
}

/// The process that says in `directory` that it is the gateway; it may have ended, and another have its number.
pub fn process(directory: &Path) -> Option<GatewayProcess> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(directory.join(INSTANCE_FILE)).ok()?;
    let bytes = read_regular(file, MAX_BYTES).ok()?;
    serde_json::from_slice(&bytes).ok().filter(|process: &GatewayProcess| process.pid > 1)
}

/// Whether a command line is that of the gateway of exactly that session.
pub fn is_its(argv: &[String], session_root: &Path) -> bool {
    let directory = directory(session_root);
    argv.iter().any(|word| word == MODULE)
        && argv.windows(2).any(|pair| pair[0] == ROOT_ARGUMENT && Path::new(&pair[1]) == directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_read_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("run")).unwrap();
        let write = |text: &str| std::fs::write(root.path().join(INSTANCE_FILE), text).unwrap();
        assert_eq!(process(root.path()), None);
        write(
            r#"{"execution_mode": "detached_process", "host": "127.0.0.1", "pid": 17889, "port": 40353, "schema_version": 1}"#,
        );
        assert_eq!(process(root.path()), Some(GatewayProcess { pid: 17889, port: Some(40353) }));
        for wrong in
            ["", "{", "[]", r#"{"pid": 1, "port": 1}"#, r#"{"pid": -1, "port": 1}"#, r#"{"pid": 2, "port": 65536}"#]
        {
            write(wrong);
            assert_eq!(process(root.path()), None, "{wrong}");
        }
    }

    #[test]
    fn only_its_own() {
        let root = Path::new("/root/of/session");
        let argv = |root: &Path| -> Vec<String> {
            let directory = directory(root).display().to_string();
            ["python", "-m", MODULE, ROOT_ARGUMENT, &directory, "--port", "1"].map(str::to_owned).into()
        };
        assert!(is_its(&argv(root), root));
        assert!(!is_its(&argv(Path::new("/other")), root));
        assert!(!is_its(&["vi".to_owned(), root.display().to_string()], root));
    }
}
