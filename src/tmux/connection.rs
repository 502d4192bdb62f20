//! One running `tmux -C`: how it is started and attaches to a session, and what its words of refusal mean. The task that
//! owns it from then on is the [`owner`].

mod owner;

use super::door::Door;
use super::event::{ClientId, Event};
use super::goodbye::{GOODBYE_DEADLINE, detach};
use super::protocol::{Message, Parser, Reply};
use super::socket::{Socket, no_server, not_started};
use super::sweep::sweep;
use crate::error::{Error, Kind, Result};
use crate::model::PaneId;
use owner::Owner;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};

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
        let owner = Owner::new(id, session, self.session_id.clone());
        tokio::spawn(owner.run(self, requests, events));
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
