//! A stand-in in a private tmux server, and what the rules of its definition say about it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troop::model::Screen;
use troop::tool::{Sight, Tool};

pub(super) const TROOP: &str = env!("CARGO_BIN_EXE_troop");
/// A wait without any event.
const QUIET: Duration = Duration::from_secs(1);
/// How many of those a loaded machine may take; nothing depends on how long anything took.
const PATIENCE: u32 = 60;

/// A stand-in in the only pane of a private tmux server.
pub(super) struct Pane {
    pub(super) directory: tempfile::TempDir,
    watcher: Child,
    pub(super) output: Arc<Mutex<String>>,
    changed: Receiver<()>,
    _log_watcher: notify::RecommendedWatcher,
    tool: Arc<Tool>,
}

impl Pane {
    pub(super) fn start(arguments: &str) -> Self {
        Self::start_sized(arguments, 80, 24)
    }

    pub(super) fn start_sized(arguments: &str, columns: u16, rows: u16) -> Self {
        let pane = Self::open(arguments, columns, rows);
        pane.wait_for_log("ready");
        pane.wait_until_shows("ready");
        pane
    }

    pub(super) fn open(arguments: &str, columns: u16, rows: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (sender, changed) = channel();
        let log_watcher = watch(directory.path(), sender.clone());
        let log = directory.path().join("log");
        // What comes after shows that the terminal is as it was before.
        let script = format!(
            "before=$(stty -g); {TROOP} stand-in --log {} {arguments}; code=$?; \
             test \"$before\" = \"$(stty -g)\" && echo \"restored, exit $code\"; exec cat",
            log.display()
        );
        let size = [columns.to_string(), rows.to_string()];
        let start = ["new-session", "-d", "-s", "main", "-x", &size[0], "-y", &size[1], &script];
        let status = tmux(directory.path()).args(["-f", "/dev/null"]).args(start).status().unwrap();
        assert!(status.success());
        let (watcher, output) = listen(directory.path(), sender);
        Self { directory, watcher, output, changed, _log_watcher: log_watcher, tool: definition() }
    }

    pub(super) fn tmux(&self, arguments: &[&str]) -> String {
        let output = tmux(self.directory.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn keys(&self, keys: &[&str]) -> &Self {
        self.tmux(&[&["send-keys", "-t", "=main:"], keys].concat());
        self
    }

    pub(super) fn type_text(&self, text: &str) -> &Self {
        self.keys(&["-l", text])
    }

    pub(super) fn paste(&self, text: &str) -> &Self {
        let mut load = tmux(self.directory.path());
        let mut load = load.args(["load-buffer", "-b", "paste", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        load.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(load.wait().unwrap().success());
        self.tmux(&["paste-buffer", "-p", "-r", "-d", "-b", "paste", "-t", "=main:"]);
        self
    }

    pub(super) fn prompt(&self, text: &str) -> &Self {
        self.type_text(text).keys(&["Enter"])
    }

    pub(super) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "=main:"])
    }

    pub(super) fn title(&self) -> String {
        self.tmux(&["display-message", "-p", "-t", "=main:", "#{pane_title}"]).trim_end().to_owned()
    }

    pub(super) fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        // The last line may be half written when it is read.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until there is something, looking whenever the pane writes or the log grows.
    pub(super) fn wait<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let mut quiet = 0;
        loop {
            if let Some(found) = found() {
                return found;
            }
            // Counted in short waits: a machine that stands still for a minute uses up one of them.
            quiet += u32::from(self.changed.recv_timeout(QUIET).is_err());
            if quiet == PATIENCE {
                panic!("no {what}; title {:?}, screen:\n{}\nlog: {:#?}", self.title(), self.screen(), self.log());
            }
        }
    }

    pub(super) fn wait_for_text(&self, text: &str) -> String {
        self.wait(text, || Some(self.screen()).filter(|screen| screen.contains(text)))
    }

    pub(super) fn wait_for_log(&self, event: &str) -> Value {
        self.wait(event, || self.log().into_iter().find(|line| line["event"] == event))
    }

    pub(super) fn wait_for_turn(&self, turn: u64) -> Value {
        self.wait("end of turn", || {
            self.log().into_iter().find(|line| line["event"] == "turn_ended" && line["turn"] == turn)
        })
    }

    pub(super) fn wait_until_shows(&self, status: &str) {
        self.wait(status, || (self.shows().as_deref() == Some(status)).then_some(()));
    }

    /// What the rules of the tool definition say about what the pane shows now.
    pub(super) fn shows(&self) -> Option<String> {
        let rows = self.tmux(&["capture-pane", "-p", "-e", "-t", "=main:"]);
        let (screen, title) = (Screen::parse(rows.as_bytes()), self.title());
        let found = self.tool.find(&Sight::new(&title, &screen.text, &screen.ansi, (0, 0), true), None);
        found.first().map(|found| found.shows.as_str().to_owned())
    }

    pub(super) fn resize(&self, (columns, rows): (u16, u16)) {
        self.tmux(&["resize-window", "-t", "=main:", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.wait_for_log("start")["pid"].as_i64().unwrap();
        kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = tmux(self.directory.path()).arg("kill-server").status();
        let _ = self.watcher.wait();
    }
}

pub(super) fn tmux(directory: &Path) -> Command {
    let mut command = Command::new("tmux");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", directory);
    command.env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh").env("TMUX_TMPDIR", directory);
    command.current_dir(directory).arg("-u").arg("-S").arg(directory.join("tmux"));
    command
}

/// A control client, whose `%output` lines say when the pane wrote something.
pub(super) fn listen(directory: &Path, changed: Sender<()>) -> (Child, Arc<Mutex<String>>) {
    let mut child = tmux(directory)
        .args(["-C", "attach-session", "-f", "ignore-size", "-t", "=main"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Arc::new(Mutex::new(String::new()));
    let (collected, lines) = (Arc::clone(&output), BufReader::new(child.stdout.take().unwrap()));
    std::thread::spawn(move || {
        for line in lines.split(b'\n').map_while(Result::ok) {
            if let Some(bytes) = line.strip_prefix(b"%output ") {
                collected.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
            }
            let _ = changed.send(());
        }
    });
    (child, output)
}

pub(super) fn watch(directory: &Path, changed: Sender<()>) -> notify::RecommendedWatcher {
    use notify::Watcher;
    let mut watcher = notify::recommended_watcher(move |_| {
        let _ = changed.send(());
    })
    .unwrap();
    watcher.watch(directory, notify::RecursiveMode::NonRecursive).unwrap();
    watcher
}

/// The stand-in's definition, alone: nothing else is asked when its rules say nothing.
fn definition() -> Arc<Tool> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tool/stand-in.toml");
    Arc::new(Tool::parse(&std::fs::read_to_string(path).unwrap(), "stand-in.toml").unwrap())
}
