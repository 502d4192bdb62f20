//! A private world for one test: its own HOME, registry, tmux directory, and nothing inherited.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::leaks;

/// How long what was started in a sandbox may take to end after its tmux server.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Names of the troop program to run instead of the one just built, where that cannot be reached.
pub const TROOP_BIN: &str = "TROOP_TEST_BIN";

/// A directory with everything a test touches; what was started in it ends with it.
pub struct Sandbox {
    dir: TempDir,
    extra: Vec<(&'static str, OsString)>,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("troop-").tempdir().unwrap();
        let sandbox = Self { dir, extra: Vec::new() };
        for private in [sandbox.home(), sandbox.tmux_dir(), sandbox.work(), sandbox.path().join("run")] {
            std::fs::create_dir_all(&private).unwrap();
            // tmux refuses a directory that others may enter.
            std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        }
        sandbox
    }

    /// One more variable for everything that runs here.
    pub fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.extra.push((name, value.into()));
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// An empty directory for agents to work in.
    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    pub fn registry(&self) -> PathBuf {
        self.path().join("registry")
    }

    pub fn troop_home(&self) -> PathBuf {
        self.path().join("troop-home")
    }

    pub fn tmux_dir(&self) -> PathBuf {
        self.path().join("tmux")
    }

    /// The whole environment of what runs here.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        let home = self.home();
        let path = |path: PathBuf| path.into_os_string();
        let mut env: Vec<(&'static str, OsString)> = vec![
            ("HOME", path(home.clone())),
            ("XDG_CONFIG_HOME", path(home.join(".config"))),
            ("XDG_STATE_HOME", path(home.join(".local/state"))),
            ("XDG_DATA_HOME", path(home.join(".local/share"))),
            ("XDG_CACHE_HOME", path(home.join(".cache"))),
            ("XDG_RUNTIME_DIR", path(self.path().join("run"))),
            ("TMPDIR", path(self.work())),
            ("TMUX_TMPDIR", path(self.tmux_dir())),
            ("HOUMAO_GLOBAL_REGISTRY_DIR", path(self.registry())),
            ("TROOP_HOME", path(self.troop_home())),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "xterm-256color".into()),
            ("SHELL", "/bin/sh".into()),
        ];
        env.extend(self.extra.iter().cloned());
        env
    }

    /// The troop program, to be asserted on.
    pub fn troop<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> assert_cmd::Command {
        let mut command = self.command(troop_bin());
        command.args(args);
        assert_cmd::Command::from_std(command)
    }

    /// tmux, talking to the server of this sandbox alone.
    pub fn tmux<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command("tmux");
        command.args(["-f", "/dev/null"]).args(args);
        command
    }

    /// Any other program, with exactly the environment of this sandbox.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.env()).current_dir(self.work()).stdin(Stdio::null());
        command
    }

    fn end_tmux_servers(&self) {
        for socket in leaks::sockets_under(self.path()) {
            let _ = self.tmux([OsStr::new("-S"), socket.as_os_str(), OsStr::new("kill-server")]).output();
        }
    }

    /// Kills what is left, each by its pid, until nothing is: a process may start another in between.
    fn end_processes(&self) {
        let deadline = Instant::now() + END_LIMIT;
        let mut left = leaks::processes_in(self.path());
        while !left.is_empty() && Instant::now() < deadline {
            for process in left {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
            left = leaks::processes_in(self.path());
        }
        // A second panic would end the whole test program and hide the first.
        assert!(left.is_empty() || std::thread::panicking(), "these did not end within {END_LIMIT:?}: {left:?}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for mount in leaks::mounts_under(self.path()) {
            let _ = troop::fuse::mount::unmount_path(&mount);
        }
        self.end_tmux_servers();
        self.end_processes();
    }
}

/// The program under test.
pub fn troop_bin() -> PathBuf {
    std::env::var_os(TROOP_BIN).map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_troop")), PathBuf::from)
}

#[test]
fn what_is_started_in_it_ends_with_it() {
    let sandbox = Sandbox::new();
    let root = sandbox.path().to_owned();
    // A pane that survives the hangup of its terminal, and one that does not.
    for pane in ["trap '' HUP TERM; echo $$ > pid; while :; do sleep 60; done", "sleep 60"] {
        let status = sandbox.tmux(["new-session", "-d", pane]).status().unwrap();
        assert!(status.success());
    }
    super::wait_until("the pane to run", END_LIMIT, || std::fs::read_to_string(sandbox.work().join("pid")));
    assert!(leaks::processes_in(&root).len() >= 3, "{:?}", leaks::processes_in(&root));
    drop(sandbox);
    assert!(leaks::processes_in(&root).is_empty(), "{:?}", leaks::processes_in(&root));
    assert!(!root.exists());
}

#[test]
fn nothing_is_inherited() {
    let output = Sandbox::new().command("env").output().unwrap();
    let names: Vec<_> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| l.split('=').next().unwrap().to_owned()).collect();
    let foreign: Vec<_> =
        names.iter().filter(|name| name.starts_with("CARGO") || *name == "TMUX" || *name == "USER").collect();
    assert!(names.contains(&"TROOP_HOME".to_owned()) && foreign.is_empty(), "{names:?}");
}
