//! The loop: it waits for a key, a message or a moment, and draws when there is something new to see.

use super::draw;
use super::inbox::{Inbox, Message, Other, Signal};
use super::notify::{Edges, osc9};
use super::terminal::Terminal;
use super::ui::Ui;
use super::update::Act;
use crate::error::Result;
use crate::model::{Actor, AgentView, Snapshot, Status};
use crate::port::{Port, Until};
use jiff::Timestamp;
use ratatui::crossterm::event::{Event, KeyEventKind};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two frames that nobody asked for by a key: a screen that changes all the time costs no more than this.
const MIN_FRAME: Duration = Duration::from_millis(50);
/// The longest wait; only so that a limit has a name.
const IDLE: Duration = Duration::from_secs(3600);

/// A Home, as the picker shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Where it is.
    pub path: PathBuf,
    /// Its live agents.
    pub active: usize,
    /// All its sessions.
    pub total: usize,
    /// When it was last used.
    pub last_seen: Timestamp,
}

/// Does something with the name and the status of an agent.
pub type Tell = Box<dyn FnMut(&str, Status)>;
/// Shows an agent's terminal, or says why there is none to show.
pub type Attach = Box<dyn Fn(&AgentView) -> Result<Attached>>;

/// Where an agent's terminal is shown.
#[derive(Debug)]
pub enum Attached {
    /// On this terminal, while that program runs.
    Here(Command),
    /// It is shown already, and not in place of the dashboard; the sentence says how to come back.
    Elsewhere(String),
}

/// How a person is told that an agent has become blocked or ready.
pub enum Notify {
    /// Not at all.
    Nothing,
    /// By the terminal's bell.
    Bell,
    /// By a message of the terminal (OSC 9).
    Osc9 {
        /// Whether the terminal is a pane of tmux.
        in_tmux: bool,
    },
    /// By whatever this does with the agent's name and status; it must not wait.
    Call(Tell),
}

/// What the dashboard needs from outside.
pub struct Doors {
    /// Who acts.
    pub actor: Actor,
    /// Finds the Homes. Called on a thread of its own.
    pub homes: Arc<dyn Fn() -> Vec<Home> + Send + Sync>,
    /// The way to an agent's own terminal.
    pub attach: Attach,
    /// How to notify.
    pub notify: Notify,
}

/// Shows the agents until the person or a signal ends it.
pub fn run(port: &Port, inbox: &Inbox, mut doors: Doors, mut ui: Ui) -> Result<()> {
    let mut terminal = Terminal::open()?;
    let outbox = inbox.outbox().clone();
    port.on_publish(move || outbox.wake());
    let mut edges = Edges::default();
    let mut snapshot = port.snapshot();
    edges.since(&snapshot);
    let mut drawn = Instant::now();
    let mut due = drawn;
    loop {
        if due <= Instant::now() {
            let now = Timestamp::now();
            let mut next = None;
            terminal.draw(|frame| next = draw(&mut ui, &snapshot, now, frame))?;
            drawn = Instant::now();
            due = drawn + next.map_or(IDLE, |next| until(next, now));
        }
        let typed = inbox.wait(std::io::stdin().as_fd(), Some(due.saturating_duration_since(Instant::now())))?;
        if typed == Other::Gone {
            return Ok(());
        }
        let mut messages: Vec<Message> = inbox.take().collect();
        let newest = port.snapshot();
        if newest.version != snapshot.version {
            snapshot = newest;
            for (name, status) in edges.since(&snapshot) {
                notify(&mut doors.notify, &terminal, &name, status);
            }
            due = due.min(drawn + MIN_FRAME);
        }
        let events = if typed == Other::Ready { terminal.events()? } else { Vec::new() };
        for event in events {
            due = Instant::now();
            let act = match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => ui.key(key, &snapshot),
                Event::Paste(text) => {
                    ui.paste(&text);
                    None
                }
                _ => None,
            };
            match act {
                Some(Act::Quit) => return Ok(()),
                Some(Act::Suspend) => terminal.suspend()?,
                Some(Act::Redraw) => terminal.forget()?,
                Some(act) => messages.extend(obey(act, &mut ui, &mut terminal, port, inbox, &doors, &snapshot)?),
                None => {}
            }
        }
        for message in messages {
            due = Instant::now();
            match message {
                Message::Signal(Signal::End) => return Ok(()),
                Message::Signal(Signal::Suspend) => terminal.suspend()?,
                Message::Signal(Signal::Continue) => terminal.resume()?,
                Message::Signal(Signal::Resize) => {}
                Message::Answered(what, Ok(())) => ui.tell(Ok(format!("{what}: done"))),
                Message::Answered(_, Err(error)) => ui.tell(Err(error.sentence().to_owned())),
                Message::Homes(homes) => ui.take_homes(homes),
            }
        }
    }
}

/// Does what a key asked for; gives the messages that came while it was done.
fn obey(
    act: Act,
    ui: &mut Ui,
    terminal: &mut Terminal,
    port: &Port,
    inbox: &Inbox,
    doors: &Doors,
    snapshot: &Snapshot,
) -> Result<Vec<Message>> {
    match act {
        Act::Homes => {
            let (find, outbox) = (doors.homes.clone(), inbox.outbox().clone());
            let look = std::thread::Builder::new().name("troop-homes".to_owned());
            let started = look.spawn(move || outbox.send(Message::Homes(find())));
            if let Err(error) = started {
                ui.tell(Err(format!("cannot look for Homes: {error}")));
            }
        }
        Act::Attach(id) => match snapshot.by_id(&id).map(|(_, view)| (doors.attach)(view)) {
            Some(Ok(Attached::Elsewhere(sentence))) => ui.tell(Ok(sentence)),
            Some(Ok(Attached::Here(command))) => {
                let (ended, kept) = terminal.run(command, inbox)?;
                if let Err(error) = ended {
                    ui.tell(Err(error.sentence().to_owned()));
                }
                return Ok(kept);
            }
            Some(Err(error)) => ui.tell(Err(error.sentence().to_owned())),
            None => {}
        },
        Act::Submit(what, command) => {
            ui.tell(Ok(format!("{what}: under way")));
            let outbox = inbox.outbox().clone();
            let answer = Box::new(move |result| outbox.send(Message::Answered(what, result)));
            port.submit(command, doors.actor.clone(), Until::Done, answer);
        }
        Act::Quit | Act::Suspend | Act::Redraw => {}
    }
    Ok(Vec::new())
}

fn notify(how: &mut Notify, terminal: &Terminal, name: &str, status: Status) {
    match how {
        Notify::Nothing => {}
        Notify::Bell => terminal.say("\u{7}"),
        Notify::Osc9 { in_tmux } => terminal.say(&osc9(name, status, *in_tmux)),
        Notify::Call(call) => call(name, status),
    }
}

/// How long until `at`, and never less than a frame.
fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO).clamp(MIN_FRAME, IDLE)
}
