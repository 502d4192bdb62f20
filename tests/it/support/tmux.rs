//! A tmux server of a test's own: private socket, private HOME, gone afterwards.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use troop::model::PaneId;
use troop::tmux::{Client, Created, Event, Frame, NewSession, Socket, What};

/// How long a test waits for something that must happen before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A socket in a directory of its own; what listens there ends with this value.
pub(crate) struct Server {
    directory: TempDir,
    pub(crate) socket: Socket,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with_config("")
    }

    /// With that `~/.tmux.conf`.
    pub(crate) fn with_config(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".tmux.conf"), config).unwrap();
        let socket = Socket::resolve(Some("test"), |name| environment(directory.path(), name));
        Self { directory, socket }
    }

    pub(crate) fn home(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a person types, in another process.
    pub(crate) fn tmux(&self, arguments: &[&str]) -> Output {
        self.command("-NuS").args(arguments).output().unwrap()
    }

    /// A session that a person made.
    pub(crate) fn start_by_hand(&self, session: &str, program: &str) {
        std::fs::create_dir_all(self.socket.path().parent().unwrap()).unwrap();
        let mut command = self.command("-uS");
        let made = command.args(["new-session", "-d", "-s", session, "-n", "agent", program]).status().unwrap();
        assert!(made.success());
    }

    /// A control client like ours that nobody looks after, attached.
    pub(crate) fn control_client(&self, session: &str) -> Child {
        let arguments = ["-C", "attach-session", "-t", session, "-f", "ignore-size,pause-after=5"];
        let mut command = self.command("-NuS");
        let mut client = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"%session-changed") {
            let mut byte = [0];
            client.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            read.extend(byte);
        }
        client
    }

    /// Waits until nobody can write to the input of a client: a program that another
    /// test starts at this moment has a copy of our end until it runs.
    pub(crate) fn until_abandoned(&self, client: u32) {
        let open = |path: String| std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        // A client that has ended is abandoned as well.
        while let Ok(mut input) = open(format!("/proc/{client}/fd/0"))
            && input.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        {
            std::thread::yield_now();
        }
    }

    fn command(&self, flags: &str) -> Command {
        let names = ["PATH", "HOME", "TMUX_TMPDIR", "LANG", "TERM", "SHELL"];
        let mut command = Command::new("tmux");
        command
            .env_clear()
            .envs(names.iter().filter_map(|name| Some((name, environment(self.home(), name)?))))
            .arg(flags)
            .arg(self.socket.path());
        command
    }

    /// The same, when it must succeed; what it printed, without the last newline.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let output = self.tmux(arguments);
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
    }

    /// A session that runs `script` in bash with the arguments `$1`, `$2`, ...
    pub(crate) fn session(&self, name: &str, script: &str, arguments: &[&str]) -> NewSession {
        let argv = ["bash", "-c", script, "bash"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        NewSession {
            name: name.to_owned(),
            window_name: "agent".to_owned(),
            cwd: self.home().to_owned(),
            size: (100, 30),
            env: ["PATH", "HOME", "LANG"]
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), environment(self.home(), name)?)))
                .collect(),
            argv,
        }
    }

    /// Makes such a session and attaches to it.
    pub(crate) async fn start(&self, name: &str, script: &str, arguments: &[&str]) -> Agent {
        self.start_session(&self.session(name, script, arguments)).await
    }

    pub(crate) async fn start_session(&self, session: &NewSession) -> Agent {
        let (sender, events) = mpsc::channel(16);
        let (client, created) = Client::create(&self.socket, session, sender).await.unwrap();
        client.listen().await.unwrap();
        Agent { pane: created.pane.clone(), client, created, events }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.tmux(&["display-message", "-p", "#{pid}"]);
        self.tmux(&["kill-server"]);
        let pid = String::from_utf8_lossy(&pid.stdout).trim().parse().ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pidfd) =
            pid.and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok())
        {
            let mut wait = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
            let limit = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
            // A server that does not end is what the check for leftovers finds.
            while rustix::event::poll(&mut wait, Some(&limit)) == Err(rustix::io::Errno::INTR) {}
        }
    }
}

fn environment(home: &Path, name: &str) -> Option<String> {
    match name {
        "HOME" | "TMUX_TMPDIR" => Some(home.to_str().unwrap().to_owned()),
        "LANG" => Some("C.UTF-8".to_owned()),
        "TERM" => Some("xterm-256color".to_owned()),
        "SHELL" => Some("/bin/sh".to_owned()),
        "PATH" => std::env::var("PATH").ok(),
        _ => None,
    }
}

/// A session with the client that made it.
pub(crate) struct Agent {
    pub(crate) client: Client,
    pub(crate) created: Created,
    pub(crate) pane: PaneId,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Agent {
    /// The next event.
    pub(crate) async fn event(&mut self) -> What {
        let event =
            tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("no event came").expect("no more events");
        assert_eq!((event.client, &*event.session), (self.client.id(), self.client.session()));
        event.what
    }

    /// Waits until the connection is over and gives the reason.
    pub(crate) async fn closed(&mut self) -> String {
        loop {
            if let What::Closed { reason } = self.event().await {
                return reason;
            }
        }
    }

    /// Looks at the pane, and again after each event, until `there` holds.
    pub(crate) async fn see(&mut self, there: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.client.frame(&self.pane).await.unwrap();
            if there(&frame) {
                return frame;
            }
            let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
            assert!(matches!(event, Ok(Some(_))), "it never came: {frame:#?}");
        }
    }

    /// Waits until no other client is left.
    pub(crate) async fn alone(&self) {
        let alone = async {
            while self.client.run("list-clients").await.unwrap()[0].lines().count() > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, alone).await.expect("a client is left");
    }

    /// Waits until the pane's program has ended and the server knows.
    pub(crate) async fn see_dead(&self) -> Frame {
        let pid = self.created.pane_pid;
        if let Some(started) = troop::process::start_time(pid) {
            tokio::time::timeout(PATIENCE, troop::process::ended(pid, started)).await.expect("it never ended").unwrap();
        }
        // No event tells this, but the server is about to notice.
        let noticed = async {
            loop {
                let frame = self.client.frame(&self.pane).await.unwrap();
                if frame.pane.dead {
                    return frame;
                }
            }
        };
        tokio::time::timeout(PATIENCE, noticed).await.expect("the server never noticed the end")
    }

    pub(crate) async fn see_text(&mut self, text: &str) -> Frame {
        self.see(|frame| frame.screen.text.contains(text)).await
    }
}
