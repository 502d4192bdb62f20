//! The task that owns a connection: lines out, replies and notifications in.
//!
//! How many blocks a line is answered with is not known beforehand: a sequence
//! `a ; b` gives one each and stops at the first error, a line that does not parse
//! gives one, `if-shell` adds those of what it runs (seen with tmux 3.3a). So each
//! request is followed by a `display-message` of a secret word, and whatever comes
//! before that word is its answer. No pane knows the word, so no pane's text can
//! shift the answers of later requests.

use super::{COMMAND_DEADLINE, Connection, MAX_IN_FLIGHT, MAX_REPLIES, READ_BYTES, Request};
use crate::error::{Error, Kind, Result};
use crate::model::PaneId;
use crate::tmux::event::{ClientId, Event, MAX_DIRTY_PANES, Pending, What};
use crate::tmux::goodbye::detach;
use crate::tmux::protocol::{Message, Reply};
use std::collections::{BTreeSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

struct Flight {
    word: String,
    replies: Vec<Reply>,
    answer: oneshot::Sender<Result<Vec<Reply>>>,
    deadline: Instant,
}

pub(super) struct Owner {
    id: ClientId,
    session: Arc<str>,
    session_id: String,
    secret: String,
    count: u64,
    /// Bytes for tmux that its pipe has not taken yet.
    outbox: Vec<u8>,
    flights: VecDeque<Flight>,
    pending: Pending,
    /// The panes that the server sends nothing of until the next look.
    paused: BTreeSet<PaneId>,
}

/// Why the loop ended.
enum End {
    /// Nobody holds the client any more.
    Dropped,
    /// The connection is of no more use.
    Closed(String),
}

impl Owner {
    /// The owner of a client that is attached to the session of that name and id (`$3`).
    pub(super) fn new(id: ClientId, session: Arc<str>, session_id: String) -> Self {
        Self {
            id,
            session,
            session_id,
            secret: uuid::Uuid::new_v4().simple().to_string(),
            count: 0,
            outbox: Vec::new(),
            flights: VecDeque::new(),
            pending: Pending::default(),
            paused: BTreeSet::new(),
        }
    }

    /// Serves the connection until the client is let go or `requests` is closed.
    pub(super) async fn run(
        mut self,
        connection: Connection,
        mut requests: mpsc::Receiver<Request>,
        events: mpsc::Sender<Event>,
    ) {
        let Connection { child, mut stdin, mut stdout, mut parser, early, door, mut leaving, .. } = connection;
        // Not filled with zeros: only what was ever read into takes memory.
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut end = self.hear(early);
        let mut reader_gone = false;
        let end = loop {
            if let Some(end) = end.take() {
                break end;
            }
            let deadline = self.flights.front().map(|flight| flight.deadline);
            tokio::select! {
                read = stdout.read_buf(&mut buffer) => {
                    end = match read {
                        Ok(0) => Some(End::Closed("tmux closed the connection".to_owned())),
                        Ok(_) => self.hear(parser.feed(&buffer)),
                        Err(error) => Some(End::Closed(format!("cannot read from tmux: {error}"))),
                    };
                    buffer.clear();
                }
                written = stdin.write(&self.outbox), if !self.outbox.is_empty() => match written {
                    Ok(count) => { self.outbox.drain(..count); }
                    Err(error) => end = Some(End::Closed(format!("cannot write to tmux: {error}"))),
                },
                request = requests.recv(), if self.flights.len() < MAX_IN_FLIGHT => match request {
                    Some(request) => self.send(request),
                    None => end = Some(End::Dropped),
                },
                // The sender is never dropped.
                _ = leaving.changed() => end = Some(End::Dropped),
                permit = events.reserve(), if !reader_gone && !self.pending.is_empty() => match permit {
                    Ok(permit) => if let Some(what) = self.pending.take() { permit.send(self.event(what)) },
                    Err(_) => reader_gone = true,
                },
                () = until(deadline) => {
                    let seconds = COMMAND_DEADLINE.as_secs();
                    self.fail(&Error::new(Kind::TimedOut, format!("tmux did not answer within {seconds} seconds")));
                    end = Some(End::Closed(format!("tmux did not answer within {seconds} seconds")));
                }
            }
        };
        let reason = match end {
            End::Dropped => None,
            End::Closed(reason) => Some(reason),
        };
        let why = reason.as_deref().unwrap_or("nobody uses it any more");
        let gone = format!("the connection to tmux session {} is closed: {why}", self.session);
        self.fail(&Error::new(Kind::Gone, &*gone));
        requests.close();
        while let Ok(request) = requests.try_recv() {
            // Whoever asked may have stopped waiting.
            let _ = request.answer.send(Err(Error::new(Kind::Gone, &*gone)));
        }
        let tell = async {
            if let Some(reason) = reason {
                // Nobody may be listening any more.
                let _ = events.send(self.event(What::Closed { reason })).await;
            }
        };
        tokio::join!(detach(child, stdin, stdout, &door), tell);
    }

    fn event(&self, what: What) -> Event {
        Event { client: self.id, session: Arc::clone(&self.session), what }
    }

    fn send(&mut self, request: Request) {
        // The server's own word for it stands inside the reply, where nothing tells it from what a pane shows.
        if let Some(pane) = &request.resumes {
            self.paused.remove(pane);
        }
        self.count += 1;
        let word = format!("troop-{}-{}", self.secret, self.count);
        for line in &request.lines {
            self.outbox.extend_from_slice(line.as_bytes());
            self.outbox.push(b'\n');
        }
        self.outbox.extend_from_slice(format!("display-message -p {word}\n").as_bytes());
        let deadline = Instant::now() + COMMAND_DEADLINE;
        self.flights.push_back(Flight { word, replies: Vec::new(), answer: request.answer, deadline });
    }

    fn fail(&mut self, error: &Error) {
        for flight in self.flights.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = flight.answer.send(Err(error.clone()));
        }
    }

    /// Acts on messages; an end when one of them is that.
    fn hear(&mut self, messages: Vec<Message>) -> Option<End> {
        for message in messages {
            match message {
                // Flag 1 marks what came over our input; the attach itself has 0.
                Message::Reply(reply) if reply.flags & 1 == 1 => self.answer(reply),
                Message::Output(pane) => {
                    // One word is enough: what else it writes is seen by looking, which lets it go on.
                    if self.paused.len() < MAX_DIRTY_PANES && self.paused.insert(pane.clone()) {
                        let line = format!("refresh-client -A '{pane}:pause'");
                        self.send(Request { lines: vec![line], resumes: None, answer: oneshot::channel().0 });
                    }
                    self.pending.dirty(pane);
                }
                // Because we were not reading for a while.
                Message::Pause(pane) if self.paused.insert(pane.clone()) => self.pending.dirty(pane),
                Message::PaneModeChanged(pane) => self.pending.dirty(pane),
                Message::WindowsChanged => self.pending.windows(),
                Message::SessionsChanged | Message::SessionRenamed | Message::WindowClosed => self.pending.sessions(),
                // With `detach-on-destroy off` the server moves us to another session instead of letting us go.
                Message::SessionChanged { id, .. } if id != self.session_id => {
                    return Some(End::Closed("the session ended".to_owned()));
                }
                Message::Exit(reason) => {
                    return Some(End::Closed(match reason {
                        Some(reason) => format!("tmux let the client go: {reason}"),
                        None => "the session ended or its client was detached".to_owned(),
                    }));
                }
                _ => {}
            }
        }
        None
    }

    fn answer(&mut self, reply: Reply) {
        let Some(flight) = self.flights.front_mut() else { return };
        if reply.body().strip_suffix(b"\n") != Some(flight.word.as_bytes()) {
            if flight.replies.len() < MAX_REPLIES {
                flight.replies.push(reply);
            }
            return;
        }
        if let Some(flight) = self.flights.pop_front() {
            // Whoever asked may have stopped waiting.
            let _ = flight.answer.send(Ok(flight.replies));
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}
