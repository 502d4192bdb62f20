//! The caller's environment, turned into what a loop is started with.

use super::args::Common;
use super::config;
use crate::daemon::{Daemon, Scope, Settings, tool_overrides};
use crate::error::{Error, Kind, Result};
use crate::model::{Actor, AgentId, AgentView, Snapshot, Status};
use crate::store::roots::{HOME_VARIABLE, is_blank};
use crate::store::{Registry, Roots};
use crate::tmux::{ONE_SHOT_DEADLINE, Socket};
use crate::tool::Tools;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a command waits for the first look at every agent it needs: longer than for a tmux server that does not
/// answer, so that it costs its own agents and no others.
const SETTLE_LIMIT: Duration = ONE_SHOT_DEADLINE.saturating_add(Duration::from_secs(3));
/// How long a command waits for a state that only time can tell, such as ready: longer than the tracker lets one settle
/// that only the screen shows.
const STATE_LIMIT: Duration = Duration::from_secs(2);

/// How long what shows all agents waits for such states: it shows the others meanwhile.
pub(super) const ALL_STATES_LIMIT: Duration = Duration::from_millis(400);

/// Everything the commands share.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) registry: Registry,
    pub(super) tool_errors: Vec<Error>,
    /// The Home was named, by option or variable; else it is the usual one.
    pub(super) is_home_named: bool,
    /// How the dashboard tells of an agent, where no option says it.
    pub(super) notify: Option<String>,
}

impl Context {
    /// Reads the environment; nothing is started or written.
    pub(super) fn new(common: &Common) -> Result<Self> {
        let home = common.home.clone();
        let roots = Roots::from_env(|name| match (name, &home) {
            (HOME_VARIABLE, Some(home)) => std::path::absolute(home).ok().map(Into::into),
            _ => std::env::var_os(name),
        })?;
        let is_home_named = home.is_some() || std::env::var_os(HOME_VARIABLE).is_some_and(|home| !is_blank(&home));
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let variable = |name: &str| std::env::var(name).ok();
        let (overrides, tool_errors) = tool_overrides(&config_dir().join("tools"));
        let config = config::read(&config_dir().join(config::CONFIG_FILE), &self::home());
        if let Some(wrong) = &config.presets.wrong {
            // Commands for several agents come here for each.
            static SAID: std::sync::Once = std::sync::Once::new();
            SAID.call_once(|| super::say(&format!("troop: {wrong}; nothing of it counts")));
        }
        let settings = Settings {
            roots: roots.clone(),
            socket: Socket::resolve(common.tmux_socket().as_deref(), variable),
            default_socket: Socket::resolve(None, variable),
            tool_overrides: overrides,
            presets: config.presets,
            default_cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            environment,
            scope: Scope::All,
            follows: true,
            keeps_history: false,
            allows_approvals: common.allows_approvals()? || config.allow_approvals,
            discovers: false,
            mountpoint: None,
        };
        Ok(Self { settings, registry: Registry::new(roots), tool_errors, is_home_named, notify: config.notify })
    }

    /// A loop that looks at `scope`, once it has looked; [`Kind::TimedOut`] when that takes too long.
    pub(super) fn start(&self, scope: Scope) -> Result<Daemon> {
        match self.begin(scope)? {
            (daemon, None) => Ok(daemon),
            (_, Some(late)) => Err(late),
        }
    }

    /// The same with what could be looked at in time, and why that is not all.
    pub(super) fn begin(&self, scope: Scope) -> Result<(Daemon, Option<Error>)> {
        let daemon = Daemon::start(Settings { scope, ..self.settings.clone() })?;
        let settled = daemon.port().wait_for(SETTLE_LIMIT, |snapshot| snapshot.settled.then_some(()));
        let late = settled.is_none().then(|| {
            Error::new(
                Kind::TimedOut,
                format!(
                    "not every agent could be looked at within {} s; is a tmux server hanging, or this machine busy?",
                    SETTLE_LIMIT.as_secs()
                ),
            )
        });
        Ok((daemon, late))
    }

    /// A loop that looks at the agent called `name`, the agent, and what is known
    /// of it once its state has been told apart from a passing one.
    pub(super) fn one(&self, name: &str) -> Result<(Daemon, AgentId, Arc<AgentView>)> {
        let (daemon, id, view) = self.whatever(name)?;
        let view_now = |snapshot: &Snapshot| snapshot.by_id(&id).map(|(_, view)| view.clone());
        let known =
            daemon.port().wait_for(STATE_LIMIT, |snapshot| view_now(snapshot).filter(|view| is_settled(view.status())));
        let view = known.or_else(|| view_now(&daemon.port().snapshot())).unwrap_or(view);
        Ok((daemon, id, view))
    }

    /// The same for what does not depend on the state: it is not waited for.
    pub(super) fn whatever(&self, name: &str) -> Result<(Daemon, AgentId, Arc<AgentView>)> {
        let id = self.registry.find(name)?.record.id;
        let daemon = self.start(Scope::Only(id.clone()))?;
        let view = daemon.port().snapshot().by_id(&id).map(|(_, view)| view.clone());
        let view = view.ok_or_else(|| {
            Error::new(Kind::Gone, format!("{name} is retired or its record has run out; launch it again"))
        })?;
        Ok((daemon, id, view))
    }
}

/// Waits until the states of all agents are told apart from passing ones, a little while at most.
pub(super) fn wait_for_states(daemon: &Daemon) {
    let told = |snapshot: &Snapshot| snapshot.agents.values().all(|agent| is_settled(agent.status())).then_some(());
    daemon.port().wait_for(ALL_STATES_LIMIT, told);
}

/// Tells why agents could not be looked at, each reason once.
pub(super) fn tell_unseen(snapshot: &Snapshot) {
    let reasons = snapshot.agents.values().filter_map(|agent| agent.state.diagnostics.probe_error.as_ref());
    for why in reasons.collect::<BTreeSet<_>>() {
        super::say(&format!("troop: {why}"));
    }
}

/// Whether a status can be told by looking, without waiting.
pub(super) fn is_settled(status: Status) -> bool {
    !matches!(status, Status::Starting | Status::Unknown)
}

/// The tool definitions in force, with those of `dir` or else the user's; what is wrong with one is told.
pub(super) fn tools(dir: Option<&Path>) -> Tools {
    let (overrides, unread) = tool_overrides(dir.unwrap_or(&config_dir().join("tools")));
    let (tools, errors) = Tools::with_overrides(&overrides);
    for error in unread.iter().chain(&errors) {
        super::say(&format!("troop: {error}"));
    }
    tools
}

/// Who runs the command.
pub(super) fn actor() -> Actor {
    Actor::Cli { uid: nix::unistd::getuid().as_raw(), pid: std::process::id() }
}

/// `~/.config/troop`.
pub(super) fn config_dir() -> PathBuf {
    under_home("XDG_CONFIG_HOME", ".config").join("troop")
}

/// The caller's home.
pub(super) fn home() -> PathBuf {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()).unwrap_or_else(|| PathBuf::from("/"))
}

fn under_home(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| home().join(default))
}
