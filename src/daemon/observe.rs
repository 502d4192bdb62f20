//! Watches one agent's terminal: looks when something moves there, at a bounded
//! rate while it keeps moving, and never otherwise.

use super::event::{Event, Events, Fresh, Link, Serial};
use super::pace::{Crowd, Pace};
use super::walk::Walk;
use crate::engine::recovery;
use crate::error::{Error, Kind};
use crate::model::{AgentId, Look, Manifest, PaneId, Placed, Probe, Programs, Terminal};
use crate::process;
use crate::tmux::{Client, Frame, Socket, What};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// The shortest time between two readings of what has scrolled off.
const SCROLLBACK_GAP: Duration = Duration::from_secs(1);
/// How many lines of that are read.
const SCROLLBACK_LINES: u32 = 2000;
/// How long to wait before a failed look is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often to look whether tmux has noticed the end of a pane's process.
const ENDING_RETRY: Duration = Duration::from_millis(100);
/// The most tmux events that wait for an observer.
const MAX_TMUX_EVENTS: usize = 64;

/// What one observer watches.
pub(super) struct Watched {
    pub(super) agent: AgentId,
    pub(super) serial: Serial,
    pub(super) socket: Socket,
    pub(super) session: String,
    /// What names the agent's pane.
    pub(super) manifest: Option<Box<Manifest>>,
    /// Everybody who looks.
    pub(super) crowd: Arc<Crowd>,
}

/// Watches until the session is gone. `fresh` is a connection that exists already.
pub(super) async fn observe(watched: Watched, mut fresh: Option<Fresh>, events: Events) {
    loop {
        let connected = match fresh.take() {
            Some(fresh) => Ok(fresh),
            None => connect(&watched, &events).await,
        };
        match connected {
            Ok(fresh) => {
                let link = fresh.link.clone();
                let connected = Event::Connected { agent: watched.agent.clone(), serial: watched.serial, link };
                if events.send(connected).await.is_err() {
                    return;
                }
                follow(&watched, fresh, &events).await;
            }
            Err(error) if error.kind() == Kind::Gone => {
                let _ = events.send(watched.looked(Terminal::NoSession)).await;
                let _ = events.send(Event::Ended { agent: watched.agent.clone(), serial: watched.serial }).await;
                return;
            }
            Err(error) => {
                let _ = events.send(watched.looked(Terminal::Failed(error.to_string()))).await;
                sleep(RETRY).await;
            }
        }
    }
}

/// A queue of the size that observers read from.
pub(super) fn tmux_events() -> (mpsc::Sender<crate::tmux::Event>, mpsc::Receiver<crate::tmux::Event>) {
    mpsc::channel(MAX_TMUX_EVENTS)
}

/// A connection, once the session has the agent's pane.
async fn connect(watched: &Watched, events: &Events) -> crate::Result<Fresh> {
    let (sender, mut heard) = tmux_events();
    let client = Arc::new(Client::attach(&watched.socket, &watched.session, sender).await?);
    loop {
        let probe = probe(&client, &watched.session).await?;
        if let Some(placed) = recovery::primary(&probe.panes, watched.manifest.as_deref()) {
            return Ok(Fresh { link: Link::new(client, placed.pane.clone()), events: heard });
        }
        let _ = events.send(watched.probed(probe)).await;
        // Of a session that is somebody's own, the agent is the pane; without it there is no agent.
        let is_own = watched.manifest.as_ref().is_none_or(|manifest| !manifest.joined);
        let without = if is_own { Terminal::NoPane } else { Terminal::NoSession };
        let _ = events.send(watched.looked(without)).await;
        loop {
            match watched.hear(heard.recv().await, events).await {
                Heard::Over => return Err(Error::new(Kind::Gone, "the connection to its session is over")),
                Heard::Windows => break,
                Heard::Moved(_) | Heard::Nothing => {}
            }
        }
    }
}

/// What tmux says of a session that is there.
pub(super) async fn probe(client: &Client, session: &str) -> crate::Result<Probe> {
    Ok(Probe { session: true, panes: client.panes(session).await?.into_iter().map(Placed::from).collect() })
}

/// How to look.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// The pane is heard of from this look on: its next output leads to the next one.
    Hearing,
    /// The pane keeps changing. It stays paused and is looked at again in any case, which is one exchange with the server
    /// for a look instead of three. The first such look that shows no change is followed by one of the other kind.
    Paused,
}

/// What an event of the connection means to its observer.
enum Heard {
    /// Something in that pane may be different.
    Moved(PaneId),
    /// The windows of its session may be.
    Windows,
    /// Nothing of the pane.
    Nothing,
    /// The connection is over.
    Over,
}

/// Looks whenever something moves, until the connection is over.
async fn follow(watched: &Watched, mut fresh: Fresh, events: &Events) {
    let link = fresh.link.clone();
    let (client, pane) = (link.client.clone(), link.pane.clone());
    // Before the first look, so that nothing falls between. A connection that cannot be asked ends below.
    let _ = client.listen().await;
    let mut rearranged = true;
    let mut scrollback = Scrollback::default();
    let mut pace = Pace::new(watched.crowd.clone());
    let mut walk = Walk::default();
    let mut manner = Manner::Hearing;
    // What the last look showed.
    let mut shown: Option<Frame> = None;
    loop {
        if std::mem::take(&mut rearranged)
            && let Ok(probe) = probe(&client, &watched.session).await
        {
            let _ = events.send(watched.probed(probe)).await;
        }
        let now = Instant::now();
        let next = pace.look(now, manner == Manner::Paused);
        let frame = match manner {
            Manner::Hearing => client.frame(&pane).await,
            Manner::Paused => client.glance(&pane).await,
        };
        let frame = match frame {
            Ok(frame) => frame,
            // The pane is not there any more; whether the session is, connecting again tells.
            Err(error) if error.kind() == Kind::Gone || !client.is_open() => return,
            Err(error) => {
                let _ = events.send(watched.looked(Terminal::Failed(error.to_string()))).await;
                sleep(RETRY).await;
                continue;
            }
        };
        let programs = walk.programs(&frame.pane, manner == Manner::Paused, now);
        let root = programs.all.first().map(|first| (first.pid, first.start_time));
        let ending = root.is_none() && !frame.pane.dead;
        scrollback.seen(frame.pane.history);
        let changed = shown.as_ref() != Some(&frame);
        shown = Some(frame.clone());
        let look = Look { pane: frame.pane, screen: frame.screen, programs };
        if events.send(watched.looked(Terminal::Seen(Box::new(look)))).await.is_err() {
            return;
        }
        if manner == Manner::Paused && !changed {
            manner = Manner::Hearing;
            continue;
        }
        // Until the pace allows the next look. What moves meanwhile is in that.
        let mut moved = false;
        let rest = sleep_until(next);
        tokio::pin!(rest);
        loop {
            tokio::select! {
                () = &mut rest => break,
                () = link.attended() => {
                    pace = Pace::new(watched.crowd.clone());
                    break;
                }
                event = fresh.events.recv() => match watched.hear(event, events).await {
                    Heard::Over => return,
                    Heard::Windows => (moved, rearranged) = (true, true),
                    Heard::Moved(which) => moved |= which == pane,
                    Heard::Nothing => {}
                },
                () = scrollback.due(), if scrollback.pending() => scrollback.read(watched, &fresh.link, events).await,
            }
        }
        if moved {
            manner = Manner::Paused;
        }
        // Until something moves in a pane that is heard of, or its first process ends.
        loop {
            if manner == Manner::Paused {
                break;
            }
            tokio::select! {
                event = fresh.events.recv() => match watched.hear(event, events).await {
                    Heard::Over => return,
                    Heard::Windows => {
                        rearranged = true;
                        break;
                    }
                    Heard::Moved(which) if which == pane => break,
                    Heard::Moved(_) | Heard::Nothing => {}
                },
                () = link.attended() => {
                    pace = Pace::new(watched.crowd.clone());
                    break;
                }
                () = ended(root), if root.is_some() => break,
                // The process has ended and tmux has not noticed yet; nothing announces that it has.
                () = sleep(ENDING_RETRY), if ending => break,
                () = scrollback.due(), if scrollback.pending() => scrollback.read(watched, &fresh.link, events).await,
            }
        }
    }
}

impl Watched {
    fn looked(&self, terminal: Terminal) -> Event {
        Event::Looked { agent: self.agent.clone(), serial: self.serial, terminal }
    }

    fn probed(&self, probe: Probe) -> Event {
        Event::Probed { agent: self.agent.clone(), serial: self.serial, probe: Box::new(probe) }
    }

    /// Tells the loop what concerns others, and gives what concerns the session.
    async fn hear(&self, event: Option<crate::tmux::Event>, events: &Events) -> Heard {
        match event.map(|event| event.what) {
            None | Some(What::Closed { .. }) => Heard::Over,
            Some(What::Sessions) => {
                let _ = events.send(Event::Sessions(self.socket.path().to_owned())).await;
                Heard::Nothing
            }
            Some(What::Dirty(pane)) => Heard::Moved(pane),
            Some(What::Windows) => Heard::Windows,
        }
    }
}

/// One look: tmux's facts and screen in one step, then the programs behind them.
pub(super) async fn look(client: &Client, pane: &PaneId) -> crate::Result<Look> {
    let frame = client.frame(pane).await?;
    let programs =
        if frame.pane.dead { Programs::default() } else { process::programs(frame.pane.pid).unwrap_or_default() };
    Ok(Look { pane: frame.pane, screen: frame.screen, programs })
}

/// Resolves when that very process has ended; never when that cannot be known.
async fn ended(process: Option<(i32, u64)>) {
    match process {
        Some((pid, start_time)) if process::ended(pid, start_time).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// When to read what has scrolled off: once it has grown, and not too often.
#[derive(Default)]
struct Scrollback {
    history: u32,
    wanted: bool,
    last: Option<Instant>,
}

impl Scrollback {
    fn seen(&mut self, history: u32) {
        self.wanted |= history != self.history;
        self.history = history;
    }

    fn pending(&self) -> bool {
        self.wanted
    }

    fn due(&self) -> tokio::time::Sleep {
        sleep_until(self.last.map_or_else(Instant::now, |last| last + SCROLLBACK_GAP))
    }

    async fn read(&mut self, watched: &Watched, link: &Link, events: &Events) {
        self.wanted = false;
        self.last = Some(Instant::now());
        if let Ok(text) = link.client.scrollback(&link.pane, SCROLLBACK_LINES).await {
            let text = Event::Scrolled { agent: watched.agent.clone(), serial: watched.serial, text: text.into() };
            // The loop has ended when nobody listens.
            let _ = events.send(text).await;
        }
    }
}
