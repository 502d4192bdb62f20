//! One running `tmux -C` and the task that owns it: lines out, replies and
//! notifications in.
//!
//! How many blocks a line is answered with is not known beforehand: a sequence
//! `a ; b` gives one each and stops at the first error, a line that does not parse
//! gives one, `if-shell` adds those of what it runs (seen with tmux 3.3a). So each
//! request is followed by a `display-message` of a secret word, and whatever comes
//! before that word is its answer. No pane knows the word, so no pane's text can
//! shift the answers of later requests.

use super::door::Door;
use super::event::{ClientId, Event, MAX_DIRTY_PANES, Pending, What};
use super::goodbye::{GOODBYE_DEADLINE, detach};
use super::protocol::{Message, Parser, Reply};
use super::socket::{Socket, no_server, not_started};
use super::sweep::sweep;
use crate::error::{Error, Kind, Result};
use crate::model::PaneId;
use std::collections::{BTreeSet, VecDeque};
use std::future::pending;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// How many requests may wait for their answers, and how many more for their turn.
pub(super) const MAX_IN_FLIGHT: usize = 64;

/// How long the server may take for one request. After that the connection is
/// given up, because what comes later could not be told apart.
pub(super) const COMMAND_DEADLINE: Duration = Duration::from_secs(5);

/// How long starting a server and attaching may take: it reads the user's `tmux.conf`.
const ATTACH_DEADLINE: Duration = Duration::from_secs(15);

/// The most reply blocks one request can have: one for each of its commands.
pub(super) const MAX_REPLIES: usize = 64;

/// How much is read from tmux at once: about a screen. Every agent has its own, so it is kept small.
const READ_BYTES: usize = 4 * 1024;

/// How much of what tmux says on stderr is kept for the sentence.
const MAX_STDERR_BYTES: u64 = 4096;

/// Lines to send, and where their answer goes.
#[derive(Debug)]
pub(super) struct Request {
    /// Command lines, without newline, none of them empty (an empty line detaches).
    pub(super) lines: Vec<String>,
    /// The pane that goes on being heard of with these lines.
    pub(super) resumes: Option<PaneId>,
    /// Gets the blocks in order, or why there are none.
    pub(super) answer: oneshot::Sender<Result<Vec<Reply>>>,
}

struct Flight {
    word: String,
    replies: Vec<Reply>,
    answer: oneshot::Sender<Result<Vec<Reply>>>,
    deadline: Instant,
}

/// An attached control client whose input nobody has sent anything yet.
#[derive(Debug)]
pub(super) struct Connection {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    parser: Parser,
    /// What came after the attach in the same read.
    early: Vec<Message>,
    /// `$3`.
    session_id: String,
    /// The replies to the commands it was started with.
    pub(super) greeting: Vec<Reply>,
    door: Door,
    leaving: watch::Receiver<()>,
}

/// Why there is no connection.
pub(super) struct NotAttached {
    pub(super) error: Error,
    /// The replies before the one that failed.
    pub(super) greeting: Vec<Reply>,
}

impl Connection {
    /// Starts `command`, a control-mode tmux that attaches to a session, and waits
    /// until it has.
    ///
    /// It goes on connecting when the caller stops waiting, and is never killed before it is attached:
    /// either could crash the server (see [`door`](super::door)).
    pub(super) async fn open(command: Command, socket: &Socket) -> std::result::Result<Self, NotAttached> {
        let (answer, opened) = oneshot::channel();
        let (socket, door) = (socket.clone(), socket.door());
        tokio::spawn(async move {
            let leaving = door.leaving();
            let held = door.alone().await;
            if answer.is_closed() {
                return;
            }
            if door.is_first_at(socket.path()) {
                sweep(&socket).await;
            }
            let mut greeting = Vec::new();
            let opened = match tokio::time::timeout(
                ATTACH_DEADLINE,
                Self::attach(command, door, leaving, &mut greeting),
            )
            .await
            {
                Ok(Ok(connection)) => Ok(Self { greeting, ..connection }),
                Ok(Err(error)) => Err(NotAttached { error, greeting }),
                Err(_) => {
                    let seconds = ATTACH_DEADLINE.as_secs();
                    let error = Error::new(Kind::TimedOut, format!("tmux did not attach within {seconds} seconds"));
                    Err(NotAttached { error, greeting })
                }
            };
            drop(held);
            if let Err(Ok(unwanted)) = answer.send(opened) {
                let Self { child, stdin, stdout, door, leaving: _leaving, .. } = unwanted;
                detach(child, stdin, stdout, &door).await;
            }
        });
        opened.await.unwrap_or_else(|_| {
            let error = Error::new(Kind::Io, "the program stopped before tmux had attached");
            Err(NotAttached { error, greeting: Vec::new() })
        })
    }

    async fn attach(
        mut command: Command,
        door: Door,
        leaving: watch::Receiver<()>,
        greeting: &mut Vec<Reply>,
    ) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| not_started(&e))?;
        let (Some(stdin), Some(mut stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::new(Kind::Io, "tmux was started without its pipes"));
        };
        let mut parser = Parser::new();
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            buffer.clear();
            let count = stdout.read_buf(&mut buffer).await.map_err(|e| Error::io("cannot read from tmux", &e))?;
            if count == 0 {
                return Err(refusal(&said(stderr).await));
            }
            let mut messages = parser.feed(&buffer).into_iter();
            while let Some(message) = messages.next() {
                match message {
                    Message::Reply(reply) if reply.failed => {
                        let error = refusal(&reply.text());
                        // The client ends by itself; a bound on that is enough.
                        let _ = tokio::time::timeout(GOODBYE_DEADLINE, child.wait()).await;
                        return Err(error);
                    }
                    Message::Reply(reply) if greeting.len() < MAX_REPLIES => greeting.push(reply),
                    Message::Exit(reason) => {
                        return Err(refusal(&match reason {
                            Some(reason) => reason,
                            None => said(stderr).await,
                        }));
                    }
                    Message::SessionChanged { id, .. } => {
                        let early = messages.collect();
                        let greeting = Vec::new();
                        return Ok(Self {
                            child,
                            stdin,
                            stdout,
                            parser,
                            early,
                            session_id: id,
                            greeting,
                            door,
                            leaving,
                        });
                    }
                    _ => {}
                }
            }
        }
    }

    /// The process id of the client program.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Hands the connection to a task of its own, which lives until the client is
    /// let go or `requests` is closed.
    pub(super) fn start(
        self,
        id: ClientId,
        session: Arc<str>,
        requests: mpsc::Receiver<Request>,
        events: mpsc::Sender<Event>,
    ) {
        let owner = Owner {
            id,
            session,
            session_id: self.session_id.clone(),
            secret: uuid::Uuid::new_v4().simple().to_string(),
            count: 0,
            outbox: Vec::new(),
            flights: VecDeque::new(),
            pending: Pending::default(),
            paused: BTreeSet::new(),
        };
        tokio::spawn(owner.run(self, requests, events));
    }
}

struct Owner {
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
    async fn run(mut self, connection: Connection, mut requests: mpsc::Receiver<Request>, events: mpsc::Sender<Event>) {
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

/// What tmux's words of refusal mean.
pub(super) fn refusal(words: &str) -> Error {
    let words = words.trim_end();
    // A server that has just come and one that is about to go have no session, and so "no current target".
    let gone = ["can't find ", "no such ", "no sessions", "no current target", "lost server", "server exited"];
    let kind = if no_server(words) || gone.iter().any(|w| words.starts_with(w)) {
        Kind::Gone
    } else if words.starts_with("duplicate session") {
        Kind::Exists
    } else {
        Kind::Io
    };
    Error::new(
        kind,
        if words.is_empty() { "tmux refused without saying why".to_owned() } else { format!("tmux refused: {words}") },
    )
}

async fn said(stderr: ChildStderr) -> String {
    let mut words = Vec::new();
    // What could be read is all there is to say.
    let _ = tokio::time::timeout(GOODBYE_DEADLINE, stderr.take(MAX_STDERR_BYTES).read_to_end(&mut words)).await;
    String::from_utf8_lossy(&words).into_owned()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}
