//! A control-mode client of one agent's session.

use super::connection::{Connection, MAX_IN_FLIGHT, MAX_REPLIES, Request, refusal};
use super::door::{Door, Held};
use super::event::{ClientId, Event};
use super::frame::Capture;
use super::protocol::Reply;
use super::session::{self, Created, NewSession, PanePlace, Respawn, SessionInfo, target};
use super::socket::{Socket, output};
use super::{literal_format, quote};
use crate::error::{Error, Kind, Result};
use crate::model::PaneId;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot};

/// After how many seconds of unread output the server stops sending a pane's
/// instead of keeping it in memory.
const PAUSE_AFTER_SECONDS: u32 = 5;

/// A client of one session. Dropping it detaches; the session goes on.
#[derive(Debug)]
pub struct Client {
    id: ClientId,
    session: Arc<str>,
    requests: mpsc::Sender<Request>,
    pid: Option<u32>,
    door: Door,
    capture: OnceLock<Capture>,
}

impl Client {
    /// Attaches to the session of exactly that name, without any effect on its size
    /// or environment. [`Kind::Gone`] when there is no such session or no server.
    pub async fn attach(socket: &Socket, session: &str, events: mpsc::Sender<Event>) -> Result<Self> {
        session::check_name(session)?;
        let mut command = socket.command();
        // -N: `attach-session` would start a server.
        command.args(["-N", "-C", "attach-session", "-E", "-t", &format!("={session}:"), "-f", &flags()]);
        match Connection::open(command, socket).await {
            Ok(connection) => Ok(Self::over(socket, connection, session, events)),
            Err(failed) => Err(failed
                .error
                .while_doing(format!("cannot attach to session {session} on {}", socket.path().display()))),
        }
    }

    /// Makes a session, starting the server when there is none, attaches to it and starts its program.
    /// [`Kind::Exists`] when the name is taken. One tmux program does it all.
    pub async fn create(socket: &Socket, new: &NewSession, events: mpsc::Sender<Event>) -> Result<(Self, Created)> {
        new.check()?;
        socket.prepare()?;
        // A file of our own, because everybody can read a process's arguments and the environment may hold keys.
        let file = command_file(socket, new)?;
        let name = file.path().file_name().unwrap_or_default();
        let mut command = socket.command();
        // A relative name is neither a pattern nor a format to tmux.
        command.current_dir(socket.directory()).args(["-C", "start-server", ";", "source-file"]).arg(name);
        let doing = || format!("cannot make session {} on {}", new.name, socket.path().display());
        match Connection::open(command, socket).await {
            Ok(mut connection) => {
                let greeting = std::mem::take(&mut connection.greeting);
                let client = Self::over(socket, connection, &new.name, events);
                let created = client.finish(new, greeting).await.map_err(|e| e.while_doing(doing()))?;
                Ok((client, created))
            }
            Err(failed) => {
                if created(&failed.greeting).is_ok() {
                    let mut command = socket.command();
                    command.args(["-N", "kill-session", "-t", &format!("={}:", new.name)]);
                    let held = socket.door().shared().await;
                    // What failed before is what is worth reporting.
                    let _ = output(command).await;
                    held.settle().await;
                }
                Err(failed.error.while_doing(doing()))
            }
        }
    }

    fn over(socket: &Socket, connection: Connection, session: &str, events: mpsc::Sender<Event>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = ClientId(NEXT.fetch_add(1, Ordering::Relaxed));
        let session: Arc<str> = session.into();
        let (requests, receiver) = mpsc::channel(MAX_IN_FLIGHT);
        let pid = connection.pid();
        connection.start(id, Arc::clone(&session), receiver, events);
        Self { id, session, requests, pid, door: socket.door(), capture: OnceLock::new() }
    }

    /// Who its events come from.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The session, by the name it was attached with.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The client program's process.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Whether requests can still be answered.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Runs one command line and gives the reply of each command that ran, in order;
    /// the last one may be a failure. [`Kind::Gone`] when the connection is closed,
    /// [`Kind::TimedOut`] when the server does not answer (then it is closed as well).
    pub async fn run(&self, line: &str) -> Result<Vec<Reply>> {
        if line.trim().is_empty() || line.contains(['\n', '\r', '\0']) {
            return Err(Error::new(Kind::Invalid, format!("{line:?} is not one line with a tmux command")));
        }
        self.ask(vec![line.to_owned()]).await
    }

    /// From now on [`What::Dirty`](super::What::Dirty) tells when a pane of the session has written something.
    pub async fn listen(&self) -> Result<()> {
        let line = "display-message -p '#{version}' ; refresh-client -f '!no-output'";
        let replies = self.expect(line.to_owned()).await?;
        if let Some(version) = replies.first() {
            self.capture.get_or_init(|| Capture::of_version(&version.text()));
        }
        Ok(())
    }

    /// How rows of a pane come to us.
    pub(super) fn capture(&self) -> Capture {
        self.capture.get().copied().unwrap_or_default()
    }

    /// Sends lines as one request.
    pub(super) async fn ask(&self, lines: Vec<String>) -> Result<Vec<Reply>> {
        self.request(lines, None).await
    }

    /// Sends one line that lets a paused pane go on, among other things.
    pub(super) async fn resume(&self, pane: &PaneId, line: String) -> Result<Vec<Reply>> {
        self.request(vec![line], Some(pane.clone())).await
    }

    async fn request(&self, lines: Vec<String>, resumes: Option<PaneId>) -> Result<Vec<Reply>> {
        let (answer, answered) = oneshot::channel();
        let closed = || Error::new(Kind::Gone, format!("the connection to tmux session {} is closed", self.session));
        self.requests.send(Request { lines, resumes, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Runs one command line and gives its replies, or the first failure as an error.
    pub(super) async fn expect(&self, line: String) -> Result<Vec<Reply>> {
        successes(self.ask(vec![line]).await?)
    }

    /// The server's sessions.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>> {
        let replies = self.expect(format!("list-sessions -F {}", quote(session::LIST_FORMAT))).await?;
        Ok(replies
            .iter()
            .flat_map(Reply::lines)
            .filter_map(|l| SessionInfo::parse(&String::from_utf8_lossy(l)))
            .collect())
    }

    /// The panes of the session of exactly that name, in order of window and pane.
    pub async fn panes(&self, session: &str) -> Result<Vec<PanePlace>> {
        session::check_name(session)?;
        let line = format!("list-panes -s -t {} -F {}", target(session), quote(session::PANES_FORMAT));
        let replies = self.expect(line).await?;
        let lines = replies.iter().flat_map(Reply::lines);
        let mut panes: Vec<_> = lines.filter_map(|l| PanePlace::parse(&String::from_utf8_lossy(l))).collect();
        panes.sort_by_key(|pane| (pane.window_index, pane.pane_index));
        Ok(panes)
    }

    /// The agent's pane of a session: the first pane of the first window.
    pub async fn find_agent_pane(&self, session: &str) -> Result<PanePlace> {
        let first = self.panes(session).await?.into_iter().next();
        first.ok_or_else(|| Error::new(Kind::Gone, format!("tmux session {session} has no pane")))
    }

    /// Makes another session on the same server over this connection, without
    /// starting a tmux program. [`Kind::Exists`] when the name is taken.
    pub async fn new_session(&self, new: &NewSession) -> Result<Created> {
        new.check()?;
        let doing = || format!("cannot make session {}", new.name);
        let held = self.door.shared().await;
        let replies = self.ask(vec![new.commands()]).await.map_err(|e| e.while_doing(doing()))?;
        drop(held);
        self.finish(new, replies).await.map_err(|e| e.while_doing(doing()))
    }

    /// Starts the program of the session that was made with `replies`, or ends the session.
    async fn finish(&self, new: &NewSession, replies: Vec<Reply>) -> Result<Created> {
        let made = created(&replies);
        let started = match (successes(replies), &made) {
            (Ok(_), Ok(made)) => self.start(new, &made.pane).await,
            (Err(error), _) => Err(error),
            (Ok(_), Err(error)) => Err(error.clone()),
        };
        if started.is_err() && made.is_ok() {
            // What failed before is what is worth reporting.
            let _ = self.kill_session(&new.name).await;
        }
        started
    }

    /// The server adds its global environment to that of a session, and somebody else may have started it:
    /// whatever is not the session's own is removed before the program starts. (What anybody adds in the
    /// millisecond between list and start is not seen.)
    async fn start(&self, new: &NewSession, pane: &PaneId) -> Result<Created> {
        let listed = self.expect(session::GLOBAL_ENVIRONMENT.to_owned()).await?;
        let listed: String = listed.iter().map(Reply::text).collect();
        for names in session::foreign(&listed, &new.env).chunks(MAX_REPLIES) {
            self.expect(new.without(names)).await?;
        }
        created(&self.expect(new.start(pane)).await?)
    }

    /// Starts a program in a pane in place of what is there, which is killed.
    ///
    /// tmux 3.3a forgets at that what a pane has written and not how much of it each client has been sent, and gives up with
    /// every session in it ("not enough data") when some of that was not sent yet. So all clients of ours, in whatever
    /// process, have the pane paused first, and the server goes once around before the program is started.
    pub async fn respawn(&self, pane: &PaneId, program: &Respawn) -> Result<Created> {
        program.check()?;
        let clients =
            self.expect(format!("list-clients -t {pane} -F {}", quote("#{client_name} #{client_flags}"))).await?;
        let texts: Vec<String> = clients.iter().map(Reply::text).collect();
        let ours = texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once(' '));
        for (name, _) in ours.filter(|(_, flags)| is_ours(flags)) {
            // One that has gone meanwhile is as good.
            let _ =
                self.expect(format!("refresh-client -t {} -A {}", quote(name), quote(&format!("{pane}:pause")))).await;
        }
        let replies = self.expect(program.commands(pane)).await;
        replies.and_then(|replies| created(&replies)).map_err(|e| e.while_doing(format!("cannot start it in {pane}")))
    }

    /// A variable of the environment of the session of exactly that name, which its programs are given.
    pub async fn session_variable(&self, session: &str, name: &str) -> Result<Option<String>> {
        session::check_name(session)?;
        let line = format!("show-environment -t {} {}", target(session), quote(name));
        // tmux fails where there is no such variable.
        let replies = self.ask(vec![line]).await?;
        let text: String = replies.iter().filter(|reply| !reply.failed).map(Reply::text).collect();
        Ok(text.trim_end().strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned))
    }

    /// Ends the session of exactly that name, and the programs in it (SIGHUP).
    pub async fn kill_session(&self, session: &str) -> Result<()> {
        session::check_name(session)?;
        let held = self.door.shared().await;
        let killed = self.expect(format!("kill-session -t {}", target(session))).await;
        held.settle().await;
        match killed {
            // The server lets us go together with our own session, with or without an answer.
            Err(error) if error.kind() == Kind::Gone && *session == *self.session && !self.is_open() => Ok(()),
            other => other.map(|_| ()).map_err(|e| e.while_doing(format!("cannot end session {session}"))),
        }
    }

    /// Gives the pane's window another size. [`Kind::Busy`] when a person's terminal
    /// is attached, because then theirs counts.
    pub async fn resize(&self, pane: &PaneId, columns: u16, rows: u16) -> Result<()> {
        if !(1..=session::MAX_SIDE).contains(&columns) || !(1..=session::MAX_SIDE).contains(&rows) {
            let sentence =
                format!("{columns}x{rows} is no size for a terminal; use 1 to {} columns and rows", session::MAX_SIDE);
            return Err(Error::new(Kind::Invalid, sentence));
        }
        // Ours and a client that ignores sizes have no say; any other has.
        let clients = self.expect(format!("list-clients -t {pane} -F {}", quote("#{client_flags}"))).await?;
        let mut flags = clients.iter().flat_map(Reply::lines).map(String::from_utf8_lossy);
        if flags.any(|flags| !is_ours(&flags) && !flags.split(',').any(|flag| flag == "ignore-size")) {
            return Err(Error::new(
                Kind::Busy,
                format!("a terminal is attached to pane {pane} and decides its size; detach it or resize it there"),
            ));
        }
        // resize-window makes the size manual; a person who attaches later shall decide again.
        let line =
            format!("resize-window -t {pane} -x {columns} -y {rows} ; set-option -w -t {pane} window-size latest");
        let _held = self.door.shared().await;
        self.expect(line).await.map(|_| ())
    }

    /// Waits until nobody connects, for what makes the server notify its clients.
    pub(super) async fn hold_door(&self) -> Held {
        self.door.shared().await
    }
}

/// What our clients are. They hear nothing of panes until [`Client::listen`].
///
/// Not `ignore-size`: a control client has no say in sizes before it asks for one, and for each client with that flag
/// the server goes through all clients, for each window, at each option that is set.
fn flags() -> String {
    format!("no-output,pause-after={PAUSE_AFTER_SECONDS}")
}

/// Whether flags that the server lists are those of a client of ours, in this process or another.
pub(super) fn is_ours(flags: &str) -> bool {
    let has = |wanted: &str| flags.split(',').any(|flag| flag == wanted);
    has("control-mode") && has(&format!("pause-after={PAUSE_AFTER_SECONDS}"))
}

/// The commands that make a session and attach to it, in a file only we can read.
fn command_file(socket: &Socket, new: &NewSession) -> Result<tempfile::NamedTempFile> {
    let failed = |e: std::io::Error| Error::io(format!("cannot write to {}", socket.directory().display()), &e);
    let mut file = tempfile::Builder::new().prefix("troop-").tempfile_in(socket.directory()).map_err(failed)?;
    let attach = format!("attach-session -E -t {} -f {}", target(&new.name), flags());
    writeln!(file, "{} ; {attach}", new.commands()).map_err(failed)?;
    Ok(file)
}

fn created(replies: &[Reply]) -> Result<Created> {
    replies
        .iter()
        .find_map(|reply| Created::parse(&reply.text()))
        .ok_or_else(|| Error::new(Kind::Io, "tmux did not say which pane it made"))
}

fn successes(replies: Vec<Reply>) -> Result<Vec<Reply>> {
    match replies.iter().find(|reply| reply.failed) {
        Some(failed) => Err(refusal(&failed.text())),
        None => Ok(replies),
    }
}

/// A file's name as an argument that tmux expands as a format.
pub(super) fn quote_path(path: &std::path::Path) -> Result<String> {
    match path.to_str().filter(|_| path.is_absolute()) {
        Some(text) => Ok(quote(&literal_format(text))),
        None => Err(Error::new(
            Kind::Invalid,
            format!("{} is not an absolute path in UTF-8, and tmux reads no other", path.display()),
        )),
    }
}
