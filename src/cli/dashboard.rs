//! `troop dashboard`: what it needs of this machine.

use super::args::Common;
use super::attach::attach;
use super::config::CONFIG_FILE;
use super::context::{Context, actor, config_dir, wait_for_states};
use super::notifier::notifier;
use super::{home, mount, signals};
use crate::daemon::{Daemon, Scope, Settings};
use crate::dashboard::{Doors, Home, Inbox, Message, Outbox, Ui};
use crate::error::{Error, Kind, Result};
use crate::store::Registry;
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

/// How long the first frame waits for the first look at every agent.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(2);
/// How a person is told of agents where nobody says it.
const NOTIFY: &str = "bell";

/// Shows the agents until the person ends it.
pub(super) fn run(common: &Common, notify: Option<String>) -> Result<()> {
    can_draw(std::env::var_os("TERM").as_deref())?;
    let context = Context::new(common)?;
    let inbox = Inbox::new()?;
    // Before the loop connects to a server: a client that is cut off may end that with all its agents.
    forward_signals(inbox.outbox().clone())?;
    mount::raise_file_limit();
    // Looking is only looking: what is observed is written down, and what waits is delivered, by a mount and not by us.
    let settings = Settings { scope: Scope::All, keeps_history: false, ..context.settings.clone() };
    let answers = settings.allows_approvals;
    let daemon = Daemon::start(settings)?;
    daemon.port().wait_for(FIRST_LOOK_LIMIT, |snapshot| snapshot.settled.then_some(()));
    wait_for_states(&daemon);
    let roots = context.settings.roots.clone();
    let socket = context.settings.default_socket;
    let notify = notify.or(context.notify);
    let doors = Doors {
        actor: actor(),
        homes: Arc::new(move || homes(&Registry::new(roots.clone()))),
        attach: Box::new(move |view| attach(view, &socket)),
        notify: notifier(notify.as_deref().unwrap_or(NOTIFY), inbox.outbox().clone()),
    };
    // https://no-color.org: when it is there and not empty, whatever it says.
    let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let ui = Ui::new(has_colour);
    let ui = if answers { ui } else { ui.refusing_answers(no_answers()) };
    crate::dashboard::run(daemon.port(), &inbox, doors, ui)
}

/// Refused where the terminal says that it cannot be drawn on.
fn can_draw(term: Option<&OsStr>) -> Result<()> {
    if term.is_some_and(|term| term != "dumb" && !term.is_empty()) {
        return Ok(());
    }
    let sentence = "the dashboard needs a terminal that can be drawn on, and TERM says that this one cannot; there is troop list --watch";
    Err(Error::new(Kind::Unavailable, sentence))
}

/// Why nothing is answered, and what to do.
fn no_answers() -> Error {
    let sentence = format!(
        "answering for a person is switched off; start troop dashboard --allow-approvals, or write allow_approvals = true under [defaults] in {}",
        config_dir().join(CONFIG_FILE).display()
    );
    Error::new(Kind::NotPermitted, sentence)
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

/// Sends a message for each signal that means something to a program on a terminal.
fn forward_signals(to: Outbox) -> Result<()> {
    use crate::dashboard::Signal as Meaning;
    let all = [&signals::ENDS[..], &[Signal::SIGWINCH, Signal::SIGTSTP, Signal::SIGCONT]].concat();
    signals::listen(&all, move |signal| {
        let meaning = match signal {
            Signal::SIGWINCH => Meaning::Resize,
            Signal::SIGTSTP => Meaning::Suspend,
            Signal::SIGCONT => Meaning::Continue,
            _ => Meaning::End,
        };
        to.send(Message::Signal(meaning));
    })
}
