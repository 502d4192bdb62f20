//! A private world for one test: its own HOME, registry, tmux directory, and nothing inherited.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::leaks;
use super::wait::wait_until;

/// How long what was started in a sandbox may take to end after its tmux server.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Names of the troop program to run instead of the one just built, where that cannot be reached.
pub const TROOP_BIN: &str = "TROOP_TEST_BIN";

/// A directory with everything a test touches; what was started in it ends with it.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("troop-").tempdir().unwrap();
        let sandbox = Self { dir };
        for private in [sandbox.home(), sandbox.tmux_dir(), sandbox.work(), sandbox.path().join("run")] {
            std::fs::create_dir_all(&private).unwrap();
            // tmux refuses a directory that others may enter.
            std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        }
        sandbox
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
        vec![
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
        ]
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

    fn end_processes(&self) {
        let mut killed = Vec::new();
        wait_until("the processes of a sandbox to end", END_LIMIT, || {
            let left = leaks::processes_in(self.path());
            for process in &left {
                if !killed.contains(&process.pid) {
                    killed.push(process.pid);
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid), nix::sys::signal::SIGKILL);
                }
            }
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
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
