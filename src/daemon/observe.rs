//! Watches one agent's terminal: looks when something moves there, at a bounded
//! rate while it keeps moving, and never otherwise.

use super::event::{Event, Events, Fresh, Link, Serial};
use super::pace::{Crowd, Pace};
use super::walk::Walk;
use crate::error::{Error, Kind};
use crate::model::{AgentId, Look, PaneId, Programs, Terminal};
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
    /// The pane the manifest names; used while the session has it.
    pub(super) pane: Option<PaneId>,
    /// The session is somebody's own: no other pane of it will do.
    pub(super) joined: bool,
    /// Everybody who looks.
    pub(super) crowd: Arc<Crowd>,
}

/// Watches until the session is gone. `fresh` is a connection that exists already.
pub(super) async fn observe(watched: Watched, mut fresh: Option<Fresh>, events: Events) {
    loop {
        let connected = match fresh.take() {
            Some(fresh) => Ok(fresh),
            None => connect(&watched).await,
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
            // The pane is gone and the session, which is somebody's own, goes on. The pane may be moved back into it.
            Err(error) if error.kind() == Kind::NotFound => {
                let _ = events.send(watched.looked(Terminal::NoSession)).await;
                if let Ok((client, mut tmux)) = attach(&watched).await {
                    watched.await_pane(&client, &mut tmux, &events).await;
                }
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

async fn connect(watched: &Watched) -> crate::Result<Fresh> {
    let (client, events) = attach(watched).await?;
    let pane = watched.find_pane(&client).await?;
    Ok(Fresh { link: Link::new(client, pane), events })
}

async fn attach(watched: &Watched) -> crate::Result<(Arc<Client>, mpsc::Receiver<crate::tmux::Event>)> {
    let (sender, events) = tmux_events();
    let client = Client::attach(&watched.socket, &watched.session, sender).await?;
    Ok((Arc::new(client), events))
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
    /// Something in the pane may be different.
    Moved,
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
    let mut scrollback = Scrollback::default();
    let mut pace = Pace::new(watched.crowd.clone());
    let mut walk = Walk::default();
    let mut manner = Manner::Hearing;
    // What the last look showed.
    let mut shown: Option<Frame> = None;
    loop {
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
                event = fresh.events.recv() => match watched.hear(event, &pane, events).await {
                    Heard::Over => return,
                    Heard::Moved => moved = true,
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
                event = fresh.events.recv() => match watched.hear(event, &pane, events).await {
                    Heard::Over => return,
                    Heard::Moved => break,
                    Heard::Nothing => {}
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

    /// The pane that the manifest names while the session has it, else the first. [`Kind::NotFound`] when no other will
    /// do.
    async fn find_pane(&self, client: &Client) -> crate::Result<PaneId> {
        let panes = client.panes(&self.session).await?;
        match (&self.pane, self.joined) {
            (Some(pane), _) if panes.iter().any(|place| place.pane == *pane) => Ok(pane.clone()),
            (Some(pane), true) => {
                Err(Error::new(Kind::NotFound, format!("session {} has no pane {pane} any more", self.session)))
            }
            _ => Ok(client.find_agent_pane(&self.session).await?.pane),
        }
    }

    /// Returns when the session has the pane again, or is gone.
    async fn await_pane(&self, client: &Client, tmux: &mut mpsc::Receiver<crate::tmux::Event>, events: &Events) {
        while let Some(event) = tmux.recv().await {
            match event.what {
                What::Closed { .. } => return,
                What::Sessions => drop(events.send(Event::Sessions(self.socket.path().to_owned())).await),
                What::Windows => {
                    if !self.find_pane(client).await.is_err_and(|error| error.kind() == Kind::NotFound) {
                        return;
                    }
                }
                What::Dirty(_) => {}
            }
        }
    }

    /// Tells the loop what concerns others, and gives what concerns the pane.
    async fn hear(&self, event: Option<crate::tmux::Event>, pane: &PaneId, events: &Events) -> Heard {
        match event.map(|event| event.what) {
            None | Some(What::Closed { .. }) => Heard::Over,
            Some(What::Sessions) => {
                let _ = events.send(Event::Sessions(self.socket.path().to_owned())).await;
                Heard::Nothing
            }
            Some(What::Dirty(dirty)) if dirty == *pane => Heard::Moved,
            Some(What::Dirty(_)) => Heard::Nothing,
            Some(What::Windows) => Heard::Moved,
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
