//! From the dashboard to an agent's own terminal.

use crate::dashboard::Attached;
use crate::error::{Error, Kind, Result};
use crate::model::{AgentView, Status};
use crate::tmux::Socket;
use std::ffi::{OsStr, OsString};
use std::io::stdin;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many seconds a tmux that is asked something may take.
const LIMIT: &str = "5";

/// Shows an agent's terminal, or gives the program that does.
///
/// That is a tmux client on this terminal. In a pane of the agent's own server there is a client around the dashboard
/// already, and that one goes to the agent instead: a client in a pane of its own server is shown in itself, hands keys to
/// the wrong one of the two, and tmux refuses it for these reasons.
pub(super) fn attach(view: &AgentView, default: &Socket) -> Result<Attached> {
    let identity = &view.state.identity;
    let session = identity.tmux_session_name.as_deref().filter(|_| view.status() != Status::Gone);
    let session = session.ok_or_else(|| {
        Error::new(Kind::Gone, format!("{} has no terminal to attach to ({})", view.dir_name, view.why()))
    })?;
    let socket = identity.tmux_socket.as_deref().map_or(default.path(), Path::new);
    let pane = view.state.probe_snapshot.as_ref().and_then(|probe| probe.pane_id.as_deref());
    let target = pane.map_or_else(|| format!("={session}"), |pane| format!("={session}:.{pane}"));
    match Around::find() {
        Some(around) if is_same(&around.socket, socket) => {
            around.switch(&target)?;
            let back = if around.session == session { "last-window (prefix l)" } else { "switch-client -l (prefix L)" };
            Ok(Attached::Elsewhere(format!("your tmux shows {} now; its {back} comes back here", view.dir_name)))
        }
        _ => {
            let mut tmux = Command::new("tmux");
            tmux.arg("-S").arg(socket).args(["attach-session", "-t", &target]);
            tmux.env_remove("TMUX").env_remove("TMUX_PANE");
            Ok(Attached::Here(tmux))
        }
    }
}

/// The tmux in one of whose panes the dashboard is shown.
struct Around {
    socket: PathBuf,
    pane: String,
    session: String,
}

impl Around {
    /// None outside of tmux, also when the environment is that of a pane and the terminal another one, as in a terminal
    /// that was opened from a pane, or in a popup.
    fn find() -> Option<Self> {
        let socket = socket_of(&std::env::var_os("TMUX")?)?;
        let pane = std::env::var("TMUX_PANE").ok()?;
        let ours = nix::unistd::ttyname(stdin()).ok()?;
        let said = tmux(&socket, &["display-message", "-p", "-t", &pane, "#{pane_tty} #{session_name}"]).ok()?;
        let (tty, session) = said.trim_end().split_once(' ')?;
        (ours == Path::new(tty)).then(|| Self { socket, pane: pane.clone(), session: session.to_owned() })
    }

    /// Has the client that was used last on the dashboard's session show that pane.
    fn switch(&self, target: &str) -> Result<()> {
        let clients =
            ["list-clients", "-t", &self.pane, "-F", "#{client_control_mode} #{client_activity} #{client_name}"];
        let clients = tmux(&self.socket, &clients)?;
        let newest = clients.lines().filter_map(|line| {
            // Whoever observes an agent of that session is a client as well, and shows nothing.
            let (activity, name) = line.strip_prefix("0 ")?.split_once(' ')?;
            Some((activity.parse::<u64>().ok()?, name))
        });
        let (_, client) = newest.max().ok_or_else(|| {
            Error::new(Kind::Gone, "no tmux client shows the dashboard, so there is none to take to the agent")
        })?;
        tmux(&self.socket, &["switch-client", "-c", client, "-t", target]).map(drop)
    }
}

/// The socket in the value of `TMUX`: socket, process and session, separated by commas.
fn socket_of(value: &OsStr) -> Option<PathBuf> {
    let mut parts = value.to_str()?.rsplitn(3, ',');
    let (_, _) = (parts.next()?, parts.next()?);
    parts.next().filter(|socket| !socket.is_empty()).map(PathBuf::from)
}

/// Whether two paths lead to one socket.
fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| std::fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    file(one).is_some_and(|one| Some(one) == file(other))
}

/// What tmux says to a command that only asks, or moves a client.
fn tmux(socket: &Path, arguments: &[&str]) -> Result<String> {
    let command: [OsString; 4] = [LIMIT.into(), "tmux".into(), "-S".into(), socket.into()];
    let output = Command::new("timeout")
        .args(command)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io("cannot run tmux", &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().map_or_else(|| output.status.to_string(), str::to_owned);
    Err(Error::new(Kind::Io, format!("tmux did not do {}: {said}", arguments[0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_what_stands_before_the_numbers() {
        let socket = |value: &str| socket_of(OsStr::new(value)).map(|path| path.display().to_string());
        assert_eq!(socket("/tmp/tmux-0/default,123,0").as_deref(), Some("/tmp/tmux-0/default"));
        assert_eq!(socket("/tmp/a,b,123,0").as_deref(), Some("/tmp/a,b"));
        for wrong in ["", "/tmp/x", ",1,0"] {
            assert_eq!(socket(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_socket_has_many_paths() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "").unwrap();
        assert!(is_same(&a, &dir.path().join(".").join("a")) && !is_same(&a, &b));
        std::os::unix::fs::symlink(&a, &b).unwrap();
        assert!(is_same(&a, &b) && !is_same(&dir.path().join("c"), &dir.path().join("c")));
    }
}
