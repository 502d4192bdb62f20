//! `troop dashboard`: what it needs of this machine.

use super::args::Common;
use super::context::{Context, actor, is_settled};
use super::{home, mount, mounted};
use crate::daemon::{Daemon, Scope, Settings};
use crate::dashboard::{Doors, Home, Inbox, Message, Notify, Outbox, Signal, Ui};
use crate::error::{Error, Kind, Result};
use crate::model::{AgentView, Snapshot, Status};
use crate::store::Registry;
use crate::tmux::Socket;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the first frame waits for the first look at every agent.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(2);
/// How long it waits for states that only time can tell.
const STATE_LIMIT: Duration = Duration::from_millis(400);
/// The most commands of `--notify` that run at once; more are left out.
const MAX_NOTIFIERS: usize = 4;

/// Shows the agents until the person ends it.
pub(super) fn run(common: &Common, notify: &str) -> Result<()> {
    let context = Context::new(common)?;
    let inbox = Inbox::new()?;
    // Before the loop connects to a server: a client that is cut off may end that with all its agents.
    forward_signals(inbox.outbox().clone())?;
    mount::raise_file_limit();
    // A mount writes down what is observed; only where there is none do we.
    let is_observed = mounted::ask().shows(&context.settings.roots.registry);
    let settings = Settings { scope: Scope::All, keeps_history: !is_observed, ..context.settings.clone() };
    let daemon = Daemon::start(settings)?;
    daemon.port().wait_for(FIRST_LOOK_LIMIT, |snapshot| snapshot.settled.then_some(()));
    let told = |snapshot: &Snapshot| snapshot.agents.values().all(|agent| is_settled(agent.status())).then_some(());
    daemon.port().wait_for(STATE_LIMIT, told);
    let roots = context.settings.roots.clone();
    let socket = context.settings.default_socket;
    let doors = Doors {
        actor: actor(),
        homes: Arc::new(move || homes(&Registry::new(roots.clone()))),
        attach: Box::new(move |view| attach(view, &socket)),
        notify: notifier(notify),
    };
    // https://no-color.org: when it is there and not empty, whatever it says.
    let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    crate::dashboard::run(daemon.port(), &inbox, doors, Ui::new(has_colour))
}

fn homes(registry: &Registry) -> Vec<Home> {
    let shown = |home: crate::model::Home| Home {
        path: home.path,
        active: home.active,
        total: home.total,
        last_seen: home.last_seen,
    };
    // An index that cannot be read: the Homes that records lead to are shown, troop home list says what is wrong.
    home::found(registry, drop).into_iter().map(shown).collect()
}

/// The tmux client that shows an agent's session on its own server, even inside of another tmux.
fn attach(view: &AgentView, default: &Socket) -> Result<Command> {
    let identity = &view.state.identity;
    let session = identity.tmux_session_name.as_deref().filter(|_| view.status() != Status::Gone);
    let session = session.ok_or_else(|| {
        Error::new(Kind::Gone, format!("{} has no terminal to attach to ({})", view.dir_name, view.why()))
    })?;
    let mut tmux = Command::new("tmux");
    match &identity.tmux_socket {
        Some(socket) => tmux.arg("-S").arg(socket),
        None => tmux.arg("-S").arg(default.path()),
    };
    tmux.args(["attach-session", "-t", &format!("={session}")]).env_remove("TMUX").env_remove("TMUX_PANE");
    Ok(tmux)
}

fn notifier(how: &str) -> Notify {
    match how {
        "none" => Notify::Nothing,
        "bell" => Notify::Bell,
        "osc9" => Notify::Osc9,
        command => {
            let command = command.to_owned();
            let running = Arc::new(AtomicUsize::new(0));
            Notify::Call(Box::new(move |name, status| call(&command, name, status, &running)))
        }
    }
}

/// Runs a command for sh and does not wait for it; what it prints goes nowhere, the screen being ours.
fn call(command: &str, name: &str, status: Status, running: &Arc<AtomicUsize>) {
    if running.fetch_add(1, Ordering::SeqCst) >= MAX_NOTIFIERS {
        running.fetch_sub(1, Ordering::SeqCst);
        return;
    }
    let child = Command::new("sh")
        .args(["-c", command])
        .env("TROOP_AGENT", name)
        .env("TROOP_STATUS", status.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let ended = running.clone();
    let reap = std::thread::Builder::new().name("troop-notifies".to_owned());
    // A thread that cannot be started leaves the child for init and the count as it is.
    let _ = reap.spawn(move || {
        if let Ok(mut child) = child {
            let _ = child.wait();
        }
        ended.fetch_sub(1, Ordering::SeqCst);
    });
}

/// Sends a message for each signal that means something to a program on a terminal. They are handled and not blocked, because
/// programs inherit blocked signals.
fn forward_signals(to: Outbox) -> Result<()> {
    let failed = |error| Error::io("cannot receive signals", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let entered = runtime.enter();
    let on = |kind| signal(kind).map_err(failed);
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut hangup = on(SignalKind::hangup())?;
    let mut resize = on(SignalKind::window_change())?;
    let mut stop = on(SignalKind::from_raw(nix::sys::signal::Signal::SIGTSTP as i32))?;
    let mut goes_on = on(SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32))?;
    drop(entered);
    let wait = move || {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::End,
                    _ = terminate.recv() => Signal::End,
                    _ = hangup.recv() => Signal::End,
                    _ = resize.recv() => Signal::Resize,
                    _ = stop.recv() => Signal::Suspend,
                    _ = goes_on.recv() => Signal::Continue,
                };
                to.send(Message::Signal(signal));
            }
        });
    };
    let thread = std::thread::Builder::new().name("troop-signals".to_owned());
    thread.spawn(wait).map(drop).map_err(|error| Error::io("cannot start a thread for signals", &error))
}
