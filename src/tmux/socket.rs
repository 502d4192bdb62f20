//! Where a tmux server listens, and how its programs are started.

use super::door::Door;
use super::session::{self, SessionInfo};
use crate::error::{Error, Kind, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// The variables of the caller that tmux gets, and with them the sessions that other programs
/// make in a server that it starts. `TMUX` is not one of them: it would make tmux believe
/// that it runs inside a session.
const KEPT_VARIABLES: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_ADDRESS",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
    "TERM",
    "USER",
    "SHELL",
    "TMUX_TMPDIR",
];

/// Names the tmux server of new agents.
pub const SOCKET_VARIABLE: &str = "TROOP_TMUX_SOCKET";

/// How long a tmux program that only asks something may take.
pub const ONE_SHOT_DEADLINE: Duration = Duration::from_secs(5);

/// The oldest tmux with everything used here (`new-session -e`, `pause-after`).
const OLDEST_VERSION: (u32, u32) = (3, 2);

/// A tmux server's socket, and the environment in which its programs are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    path: Arc<Path>,
    environment: Arc<[(String, String)]>,
}

impl Socket {
    /// The socket that `selector` names: a path when it contains `/`, else a name as
    /// with `tmux -L`; without one, the server that a plain `tmux` would use.
    /// `variable` looks up the caller's environment.
    pub fn resolve(selector: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let path = match selector.filter(|s| !s.is_empty()) {
            // tmux runs with another working directory.
            Some(path) if path.contains('/') => std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)),
            name => {
                // As tmux does: a directory that is not there is passed over.
                let base = variable("TMUX_TMPDIR").filter(|dir| Path::new(dir).is_dir());
                let base = std::path::absolute(base.as_deref().unwrap_or("/tmp")).unwrap_or_else(|_| "/tmp".into());
                base.join(format!("tmux-{}", rustix::process::getuid().as_raw())).join(name.unwrap_or("default"))
            }
        };
        let environment =
            KEPT_VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?))).collect();
        Self { path: path.into(), environment }
    }

    /// The socket's path, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the socket.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Detaches the clients of this process from the servers in the socket's directory
    /// and waits until they are gone; [`detach_all`](super::detach_all) for one place.
    pub async fn detach_all(&self) {
        self.door().empty().await;
    }

    /// The door of the server.
    pub(super) fn door(&self) -> Door {
        Door::new(self.directory().to_owned())
    }

    /// Makes the directory for a new server's socket, for its owner alone.
    pub(super) fn prepare(&self) -> Result<()> {
        let directory = self.directory();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|e| Error::io(format!("cannot make {} for tmux's socket", directory.display()), &e))?;
        let owner = std::fs::metadata(directory)
            .map_err(|e| Error::io(format!("cannot use {} for tmux's socket", directory.display()), &e))?;
        // A directory anybody may write to and rename in is only safe when it is sticky, like /tmp.
        let sticky = owner.mode() & 0o1000 != 0;
        let ours = owner.uid() == rustix::process::getuid().as_raw() && owner.mode() & 0o002 == 0;
        if ours || sticky {
            Ok(())
        } else {
            Err(Error::new(
                Kind::NotPermitted,
                format!(
                    "{} belongs to somebody else or anybody may write to it, so no tmux server is started there; choose another socket",
                    directory.display()
                ),
            ))
        }
    }

    /// A tmux program for this server: in UTF-8, with the kept variables only,
    /// away from the terminal's signals.
    pub(super) fn command(&self) -> Command {
        let mut command = bare_command(&self.environment);
        command.args(["-u", "-S"]).arg(&*self.path);
        command
    }

    /// What a tmux program for this server says that only asks something.
    pub(super) async fn heard(&self, command: Command) -> Result<Output> {
        output(command).await.map_err(|error| match error.kind() {
            Kind::TimedOut => Error::new(
                Kind::TimedOut,
                format!(
                    "the tmux server on {} did not answer within {} s; it may be stopped (kill -CONT lets it go on) or hang",
                    self.path.display(),
                    ONE_SHOT_DEADLINE.as_secs()
                ),
            ),
            _ => error,
        })
    }

    /// The server's sessions, none when there is no server. Starts a program: for use
    /// without a [`Client`](super::Client).
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>> {
        let mut command = self.command();
        command.args(["-N", "list-sessions", "-F", session::LIST_FORMAT]);
        let output = self.heard(command).await?;
        let refusal = String::from_utf8_lossy(&output.stderr);
        let refusal = refusal.trim_end();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(SessionInfo::parse).collect())
        } else if no_server(refusal) {
            Ok(Vec::new())
        } else {
            Err(Error::new(Kind::Io, format!("tmux did not list its sessions on {}: {refusal}", self.path.display())))
        }
    }
}

/// tmux's version, `3.3a`, or the sentence that says what to install.
///
/// `variable` looks up the caller's environment, for `PATH`.
pub async fn version(variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let environment: Vec<_> = variable("PATH").map(|path| ("PATH".to_owned(), path)).into_iter().collect();
    let mut command = bare_command(&environment);
    command.arg("-V");
    let output = output(command).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("tmux ").unwrap_or(text.trim()).to_owned();
    match numbers(&version) {
        Some(old) if old < OLDEST_VERSION => Err(Error::new(
            Kind::Unavailable,
            format!("tmux {version} is too old; install tmux {}.{} or newer", OLDEST_VERSION.0, OLDEST_VERSION.1),
        )),
        // Development versions (`next-3.8`, `master`) are taken at their word.
        _ => Ok(version),
    }
}

/// Major and minor of `3.3a`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    let minor = minor.trim_end_matches(|c: char| !c.is_ascii_digit());
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether tmux's words mean that nobody listens on the socket.
pub(super) fn no_server(refusal: &str) -> bool {
    refusal.starts_with("no server running")
        || (refusal.starts_with("error connecting to")
            && (refusal.contains("No such file") || refusal.contains("Connection refused")))
}

/// The sentence for a tmux that could not be started.
pub(super) fn not_started(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        Error::new(
            Kind::Unavailable,
            "tmux is not installed or not on PATH; install it (on Debian and Ubuntu: apt-get install tmux)",
        )
    } else {
        Error::io("tmux could not be started", error)
    }
}

fn bare_command(environment: &[(String, String)]) -> Command {
    let mut command = Command::new("tmux");
    command
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        // The working directory may be under our own mount.
        .current_dir("/")
        // Ctrl-C in our terminal is for us.
        .process_group(0);
    command
}

/// What a program that only asks something says.
pub(super) async fn output(mut command: Command) -> Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(ONE_SHOT_DEADLINE, command.output()).await {
        Ok(output) => output.map_err(|e| not_started(&e)),
        Err(_) => Err(Error::new(
            Kind::TimedOut,
            format!("tmux did not answer within {} seconds", ONE_SHOT_DEADLINE.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().to_str().unwrap().to_owned();
        let uid = rustix::process::getuid().as_raw();
        let variable = |name: &str| match name {
            "TMUX_TMPDIR" => Some(at.clone()),
            _ => None,
        };
        let path = |selector, variable: &dyn Fn(&str) -> Option<String>| {
            Socket::resolve(selector, variable).path().to_str().unwrap().to_owned()
        };
        assert_eq!(path(None, &variable), format!("{at}/tmux-{uid}/default"));
        assert_eq!(path(Some("work"), &variable), format!("{at}/tmux-{uid}/work"));
        assert_eq!(path(Some("/run/x"), &variable), "/run/x");
        assert_eq!(path(Some(""), &|_| None), format!("/tmp/tmux-{uid}/default"));
        let missing = |_: &str| Some("/no/such/directory".to_owned());
        assert_eq!(path(None, &missing), format!("/tmp/tmux-{uid}/default"));
    }

    #[test]
    fn only_named_variables_are_kept() {
        let socket = Socket::resolve(None, |name| Some(format!("v-{name}")));
        assert_eq!(socket.environment.len(), KEPT_VARIABLES.len());
        assert!(!socket.environment.iter().any(|(name, _)| name == "TMUX"));
    }

    #[test]
    fn versions() {
        assert_eq!(numbers("3.3a"), Some((3, 3)));
        assert_eq!(numbers("2.9"), Some((2, 9)));
        assert_eq!(numbers("next-3.8"), None);
        assert_eq!(numbers("master"), None);
    }
}
