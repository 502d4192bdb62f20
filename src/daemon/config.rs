//! What a loop is started with.

use crate::model::{AgentId, Presets};
use crate::store::roots::{HOME_VARIABLE, REGISTRY_VARIABLE};
use crate::store::{Entry, Roots};
use crate::tmux::{SOCKET_VARIABLE, Socket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variables every agent is given, when the launching process has them. What
/// a tool needs beside them is named in its definition; nothing else passes.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
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
    "TZ",
    "TMPDIR",
    "TMUX_TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// The largest tool definition that is read, in bytes.
const MAX_TOOL_BYTES: u64 = 1 << 20;
/// The most tool definitions that are read.
const MAX_TOOLS: usize = 256;

/// Whom a loop looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every live agent.
    All,
    /// These, whose records have just been read; no others are.
    These(Arc<[Entry]>),
    /// One agent.
    Only(AgentId),
    /// Nobody, but every live agent's session is asked for.
    Sessions,
    /// Nobody: records are read, terminals are not.
    Records,
}

impl Scope {
    /// Whether the session of that agent is asked for.
    pub(super) fn covers(&self, id: &AgentId) -> bool {
        match self {
            Self::All | Self::These(_) | Self::Sessions => true,
            Self::Only(only) => only == id,
            Self::Records => false,
        }
    }

    /// Whether the terminals of those it covers are looked at.
    pub(super) fn looks(&self) -> bool {
        !matches!(self, Self::Sessions | Self::Records)
    }
}

/// What a loop is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where records and sessions are.
    pub roots: Roots,
    /// The tmux server of new agents, and of records that name no other.
    pub socket: Socket,
    /// Where that differs from the user's default server: records without a
    /// socket of their own belong to the default one.
    pub default_socket: Socket,
    /// The user's tool definitions: path and text.
    pub tool_overrides: Vec<(String, String)>,
    /// What a launch comes with that does not say otherwise.
    pub presets: Presets,
    /// Where a launch works that names no directory.
    pub default_cwd: PathBuf,
    /// The environment of whoever launches; agents get a named part of it.
    pub environment: Vec<(String, String)>,
    /// Whom to look at.
    pub scope: Scope,
    /// Whether changes on disk are followed; else everything is read once.
    pub follows: bool,
    /// Whether what is observed goes into the agents' journals.
    pub keeps_history: bool,
    /// Whether questions may be answered through troop.
    pub allows_approvals: bool,
    /// Whether agents that nobody has registered are looked for.
    pub discovers: bool,
    /// Our own mount, under which nothing is ever opened.
    pub mountpoint: Option<PathBuf>,
}

impl Settings {
    /// The tmux server that listens at `path`.
    pub fn socket_at(&self, path: &Path) -> Socket {
        if path == self.socket.path() {
            return self.socket.clone();
        }
        let environment = &self.environment;
        let variable = |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Socket::resolve(path.to_str(), variable)
    }
}

impl Settings {
    /// Adds to `env` what leads a troop or a Houmao that runs with it to this registry, Home and tmux server: one variable
    /// for each that it would find elsewhere by itself, however that was given here.
    pub(super) fn lead_here(&self, env: &mut Vec<(String, String)>) {
        let found = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let roots = Roots::from_env(|name| found(name).map(Into::into)).ok();
        let is_ours = |root: fn(&Roots) -> &PathBuf| roots.as_ref().map(root) == Some(root(&self.roots));
        let socket = Socket::resolve(found(SOCKET_VARIABLE).as_deref(), found);
        let elsewhere = [
            (REGISTRY_VARIABLE, !is_ours(|roots| &roots.registry), self.roots.registry.as_path()),
            (HOME_VARIABLE, !is_ours(|roots| &roots.home), self.roots.home.as_path()),
            (SOCKET_VARIABLE, socket.path() != self.socket.path(), self.socket.path()),
        ];
        for (name, _, path) in elsewhere.into_iter().filter(|(_, is_elsewhere, _)| *is_elsewhere) {
            env.retain(|(known, _)| known != name);
            env.extend(path.to_str().map(|path| (name.to_owned(), path.to_owned())));
        }
    }
}

/// The part of `environment` that an agent of a tool may have.
pub fn environment(environment: &[(String, String)], tool: &crate::tool::Tool) -> Vec<(String, String)> {
    let passed = |name: &String| {
        PASSED.contains(&name.as_str()) || tool.inherit_env.contains(name) || tool.home_env.as_ref() == Some(name)
    };
    let mut kept: Vec<_> = environment.iter().filter(|(name, _)| passed(name)).cloned().collect();
    kept.push(("TERM".to_owned(), "tmux-256color".to_owned()));
    kept.push(("COLORTERM".to_owned(), "truecolor".to_owned()));
    kept
}

/// The files in the user's directory of tool definitions: path and text of each
/// `*.toml`; what cannot be read is given as its error's text.
pub fn tool_overrides(dir: &Path) -> (Vec<(String, String)>, Vec<crate::Error>) {
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    let Ok(entries) = std::fs::read_dir(dir) else { return (texts, errors) };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    for path in paths.into_iter().take(MAX_TOOLS) {
        let read = std::fs::metadata(&path).and_then(|meta| {
            // A pipe would make every command wait.
            if !meta.is_file() {
                return Err(std::io::Error::other("it is not a file"));
            }
            if meta.len() > MAX_TOOL_BYTES {
                return Err(std::io::Error::other(format!("it is larger than {MAX_TOOL_BYTES} bytes")));
            }
            std::fs::read_to_string(&path)
        });
        match read {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => {
                errors.push(crate::Error::io(format!("cannot read the tool definition {}", path.display()), &error));
            }
        }
    }
    (texts, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], socket: Option<&str>) -> Settings {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings {
            roots: Roots::from_env(|name| variable(name).map(Into::into)).unwrap(),
            socket: Socket::resolve(socket, variable),
            default_socket: Socket::resolve(None, variable),
            tool_overrides: Vec::new(),
            presets: Presets::default(),
            default_cwd: "/".into(),
            environment: Vec::new(),
            scope: Scope::All,
            follows: true,
            keeps_history: false,
            allows_approvals: false,
            discovers: false,
            mountpoint: None,
        }
    }

    #[test]
    fn only_what_would_be_elsewhere_is_said() {
        let led = |settings: &Settings, env: &[(&str, &str)]| {
            let mut env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            settings.lead_here(&mut env);
            env.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let plain = settings(&[("HOME", "/nobody/h")], None);
        assert_eq!(led(&plain, &[("HOME", "/nobody/h")]), ["HOME=/nobody/h"]);
        // A variable of the launch alone, and one that only the launcher has.
        let uid = rustix::process::getuid().as_raw();
        let others = ["HOUMAO_GLOBAL_REGISTRY_DIR=/nobody/h/.config/houmao/registry", "TROOP_HOME=/nobody/h/.troop"];
        assert_eq!(led(&plain, &[("HOME", "/nobody/else")])[1..], others);
        let config = settings(&[("HOME", "/nobody/h"), ("XDG_CONFIG_HOME", "/nobody/c")], Some("team"));
        let said = [
            "HOUMAO_GLOBAL_REGISTRY_DIR=/nobody/c/houmao/registry",
            &format!("TROOP_TMUX_SOCKET=/tmp/tmux-{uid}/team"),
        ];
        let foreign = [("TROOP_TMUX_SOCKET", "/x/y"), ("HOME", "/nobody/h")];
        assert_eq!(led(&config, &foreign)[1..], said);
    }

    #[test]
    fn what_is_no_file_is_said_and_makes_nobody_wait() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.toml"), "text").unwrap();
        nix::unistd::mkfifo(&dir.path().join("b.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::create_dir(dir.path().join("c.toml")).unwrap();
        let (texts, errors) = tool_overrides(dir.path());
        assert_eq!(texts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["text"]);
        assert_eq!(errors.len(), 2);
        assert!(errors.iter().all(|error| error.sentence().contains("not a file")), "{errors:?}");
    }
}
