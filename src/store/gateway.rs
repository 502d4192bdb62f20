//! The gateway of Houmao that serves a session (the reference, section 2.7): which process it is.

use super::dir::read_regular;
use nix::fcntl::OFlag;
use serde::Deserialize;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Its directory in the session root.
const DIRECTORY: &str = "gateway";
/// The file there, while it runs, that names its process.
const INSTANCE_FILE: &str = "run/current-instance.json";
/// The module that it is (Houmao 2.4.0).
const MODULE: &str = "houmao.agents.realm_controller.gateway_service";
/// The argument before its directory.
const ROOT_ARGUMENT: &str = "--gateway-root";
/// The most bytes that the file may have; real ones have some 300.
const MAX_INSTANCE_BYTES: u64 = 64 << 10;

#[derive(Deserialize)]
struct Instance {
    pid: i32,
}

/// The process that the session names as its gateway; it may have ended, and another have its number.
pub fn pid(session_root: &Path) -> Option<i32> {
    let path = session_root.join(DIRECTORY).join(INSTANCE_FILE);
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let instance: Instance = serde_json::from_slice(&read_regular(file, MAX_INSTANCE_BYTES).ok()?).ok()?;
    Some(instance.pid).filter(|pid| *pid > 1)
}

/// Whether a command line is that of the gateway of exactly that session.
pub fn is_its(argv: &[String], session_root: &Path) -> bool {
    let directory = session_root.join(DIRECTORY);
    argv.iter().any(|word| word == MODULE)
        && argv.windows(2).any(|pair| pair[0] == ROOT_ARGUMENT && Path::new(&pair[1]) == directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(pid(root.path()), None);
        std::fs::create_dir_all(root.path().join("gateway/run")).unwrap();
        for (text, wanted) in [("{\"pid\": 17889, \"port\": 1}", Some(17889)), ("{\"pid\": 1}", None), ("{", None)] {
            std::fs::write(root.path().join("gateway").join(INSTANCE_FILE), text).unwrap();
            assert_eq!(pid(root.path()), wanted);
        }
        let argv = |root: &Path| -> Vec<String> {
            let directory = root.join("gateway").display().to_string();
            ["python", "-m", MODULE, ROOT_ARGUMENT, &directory, "--port", "1"].map(str::to_owned).into()
        };
        assert!(is_its(&argv(root.path()), root.path()));
        assert!(!is_its(&argv(Path::new("/other")), root.path()));
        assert!(!is_its(&["vi".to_owned(), root.path().display().to_string()], root.path()));
    }
}
