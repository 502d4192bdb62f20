//! What the tests with programs that nobody here wrote share: where those
//! programs are, a private world to run them in, and waiting with a limit.

pub(crate) mod drive;
pub(crate) mod model;
pub(crate) mod prompts;

use crate::support::mount::Mount;
use crate::support::sandbox::{Sandbox, troop_bin};
use crate::support::skip::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// How long anything may take; a program that starts cold on a busy machine needs most of it.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(40);

/// The directory `scripts/fetch-real` fills, when everything in `needs` (paths below it) is there. Otherwise says
/// so, and is `None`, or fails under `TROOP_TEST_REQUIRE_REAL=1`.
pub(crate) fn programs(test: &str, needs: &[&str]) -> Option<PathBuf> {
    let cache = std::env::var_os("TROOP_TEST_CACHE").map_or_else(|| repo(".cache"), PathBuf::from);
    let real = cache.join("real");
    let missing: Vec<_> = needs.iter().filter(|need| !real.join(need).exists()).collect();
    if missing.is_empty() {
        return Some(real);
    }
    let sentence = format!("{test}: {missing:?} not below {}; run scripts/fetch-real", real.display());
    assert!(std::env::var_os("TROOP_TEST_REQUIRE_REAL").is_none_or(|v| v != "1"), "{sentence}");
    skip(&sentence);
    None
}

/// A path of this repository.
pub(crate) fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Looks until there is something to see, and panics with `what` and the last look's `else_show` after [`LIMIT`].
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>, else_show: impl Fn() -> String) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited {LIMIT:?} for {what}; instead:\n{}", else_show());
        std::thread::sleep(POLL);
    }
}

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A sandbox with its mount, and what one does in it.
pub(crate) struct World {
    mount: Option<Mount>,
    sandbox: Sandbox,
}

impl World {
    /// Everything empty, nothing running. `path` goes in front of PATH.
    pub(crate) fn new(path: &[&Path]) -> Self {
        let system = std::env::var("PATH").unwrap();
        let path = path.iter().map(|p| p.to_str().unwrap()).chain([system.as_str()]).collect::<Vec<_>>().join(":");
        let mut world = Self { mount: None, sandbox: Sandbox::new() };
        world.set("PATH", path);
        // Houmao starts programs in the user's login shell.
        world.set("SHELL", "/bin/bash");
        world.set("LC_ALL", "C.UTF-8");
        world
    }

    /// One more variable for every program of this world.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<std::ffi::OsString>) {
        self.sandbox.set(key, value);
    }

    /// Whatever programs would call besides the mock ends at a port where nobody listens.
    pub(crate) fn stay_offline(&mut self) {
        self.set("HTTP_PROXY", "http://127.0.0.1:9");
        self.set("HTTPS_PROXY", "http://127.0.0.1:9");
        self.set("NO_PROXY", "127.0.0.1,localhost");
    }

    /// A path in this world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    /// A path in the mount.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path("mnt").join(name)
    }

    /// A file of the mount, or its error in words.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| format!("({name}: {error})"))
    }

    /// A program with this world's environment and nothing else, in its `work` directory.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.sandbox.command(program)
    }

    /// Runs a program to its end, which has to be a good one.
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&self, program: &str, arguments: &[S]) -> Output {
        let output = self.command(program).args(arguments).output().unwrap();
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{program}: {}\n{}{}",
            output.status,
            show(&output.stdout),
            show(&output.stderr)
        );
        output
    }

    /// Runs troop.
    pub(crate) fn troop<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Output {
        self.run(troop_bin().to_str().unwrap(), arguments)
    }

    /// Mounts, so that questions may be answered, and waits until the mount answers.
    pub(crate) fn mount(&mut self) {
        self.mount = Some(self.sandbox.mount_with(&["--allow-approvals"]));
    }

    /// Waits until a file of the mount, trimmed, is `value`.
    pub(crate) fn wait_for(&self, name: &str, value: &str) {
        wait(
            &format!("{name} to be {value:?}"),
            || (self.read(name).trim() == value).then_some(()),
            || self.show(name),
        );
    }

    /// Waits until a file of the mount contains `text`.
    pub(crate) fn wait_to_contain(&self, name: &str, text: &str) {
        wait(&format!("{text:?} in {name}"), || self.read(name).contains(text).then_some(()), || self.show(name));
    }

    /// Waits until a path of the mount is there, or is not.
    pub(crate) fn wait_to_exist(&self, name: &str, there: bool) {
        let what = format!("{name} to be {}", if there { "there" } else { "gone" });
        wait(&what, || (self.file(name).symlink_metadata().is_ok() == there).then_some(()), || self.show(name));
    }

    /// Writes to a file of the mount as people do: `echo` in a shell. A refusal fails the test, with its sentence.
    pub(crate) fn echo(&self, text: &str, name: &str) {
        let output =
            self.command("sh").args(["-c", "echo \"$1\" > \"$2\"", "sh", text]).arg(self.file(name)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "echo {text:?} > {name}: {said}{}", self.show(name));
    }

    /// Everything that explains the agent of `name`, for a failing test.
    pub(crate) fn show(&self, name: &str) -> String {
        let agent = name.rsplit_once('/').map_or(name, |(agent, _)| agent);
        let files = ["status", "error", "state.json", "screen", "history"];
        let parts = files.map(|file| format!("== {file}\n{}\n", self.read(&format!("{agent}/{file}"))));
        format!(
            "{}== index\n{}\n== log\n{}",
            parts.concat(),
            self.read("index"),
            self.mount.as_ref().map(Mount::log).unwrap_or_default()
        )
    }
}
