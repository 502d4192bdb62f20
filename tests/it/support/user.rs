//! Running a test as an ordinary user, also when the tests run as root.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::sandbox::{TROOP_BIN, troop_bin};
use super::skip;

/// `nobody`, who owns nothing.
const USER: u32 = 65534;

/// `/dev/fuse` as it is on an ordinary machine, whatever this one has.
pub const USUAL_DEVICE: &str = "chmod 666 \"$dev/fuse\"";

/// As root, runs the test `name` again as an ordinary user, in a mount namespace of its
/// own in which the shell commands `setup` were carried out (`$dev/fuse` becomes
/// `/dev/fuse`); as such a user, runs `body`.
#[track_caller]
pub fn as_user(name: &str, setup: &str, body: impl FnOnce()) {
    if !nix::unistd::Uid::effective().is_root() {
        body();
        return;
    }
    if !["unshare", "setpriv"].iter().all(|program| skip::have_program(program)) {
        return;
    }
    let dir = tempfile::Builder::new().prefix("troop-user-").tempdir().unwrap();
    let (dev, tmp) = (dir.path().join("dev"), dir.path().join("tmp"));
    fs::create_dir(&dev).unwrap();
    fs::create_dir(&tmp).unwrap();
    let bin = dir.path().join("troop");
    fs::hard_link(troop_bin(), &bin).or_else(|_| fs::copy(troop_bin(), &bin).map(drop)).unwrap();
    chown(&tmp, Some(USER), Some(USER)).unwrap();
    set_mode(dir.path(), 0o755);

    let script = format!(
        "set -e; dev=$1; shift
         mount -t tmpfs -o mode=755,dev none \"$dev\"
         mknod -m 600 \"$dev/fuse\" c 10 229
         {setup}
         mount --bind \"$dev/fuse\" /dev/fuse
         exec setpriv --reuid={USER} --regid={USER} --clear-groups -- \"$@\""
    );
    // The test program is its own standard input: the user may not be able to reach its path.
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
        .arg(&dev)
        .args(["/proc/self/fd/0", "--exact", name, "--nocapture", "--test-threads=1"])
        .stdin(File::open("/proc/self/exe").unwrap())
        .current_dir("/")
        .env("TMPDIR", &tmp)
        .env("HOME", &tmp)
        .env(TROOP_BIN, &bin)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{name} as user {USER}:\n{said}");
    if let Some(why) = said.lines().find(|line| line.starts_with("SKIPPED: ")) {
        skip::skip(why);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}
