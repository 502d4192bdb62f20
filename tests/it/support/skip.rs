//! Saying loudly that a test could not be made here.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Tells on the real standard error, which the test harness does not hold back.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {}: {why}", thread.name().unwrap_or("a test"));
}

/// Whether `program` is on PATH; says SKIPPED when it is not.
pub fn have_program(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if !found {
        skip(&format!("needs the program {program}"));
    }
    found
}

/// Whether this runs as root; says SKIPPED when it does not.
pub fn have_root() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        skip("needs root");
    }
    root
}

/// A file of the `shared` folder beside the repository (or where `TROOP_SHARED` says);
/// says SKIPPED when it is not there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let file = std::env::var_os("TROOP_SHARED").map_or_else(beside, PathBuf::from).join(path);
    if !file.exists() {
        skip(&format!("needs {}", file.display()));
        return None;
    }
    Some(file)
}
