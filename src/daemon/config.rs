//! What a loop is started with.

use crate::model::{AgentId, Presets};
use crate::store::Roots;
use crate::tmux::Socket;
use std::path::{Path, PathBuf};

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
            Self::All | Self::Sessions => true,
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
