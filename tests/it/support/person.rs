//! A person at a terminal: a shell in a tmux server of its own, in a sandbox.

use super::Sandbox;
use super::sandbox::troop_bin;
use super::wait::wait_until;
use std::time::Duration;

/// How long what the person waits for may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the shell asks for commands with.
const PROMPT: &str = "shell> ";

/// The terminal.
pub struct Person<'a> {
    sandbox: &'a Sandbox,
}

impl<'a> Person<'a> {
    /// Sits down at a terminal of that size, at a shell that has just begun.
    #[track_caller]
    pub fn sits_down(sandbox: &'a Sandbox, columns: u16, rows: u16) -> Self {
        let person = Self { sandbox };
        let size = [columns.to_string(), rows.to_string()];
        let shell = format!("PS1='{PROMPT}' exec /bin/sh -i");
        person.tmux(&["new-session", "-d", "-s", "person", "-x", &size[0], "-y", &size[1], &shell]);
        person.sees("the shell", |screen| screen.contains(PROMPT.trim_end()));
        person
    }

    /// tmux of the person's own server; what it printed.
    #[track_caller]
    pub fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.sandbox.tmux([&["-L", "person"][..], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses keys, by tmux's names.
    pub fn presses(&self, keys: &[&str]) -> &Self {
        self.tmux(&[&["send-keys", "-t", "=person:"], keys].concat());
        self
    }

    /// Types a line into the shell; `troop` in it is the program under test.
    pub fn runs(&self, line: &str) -> &Self {
        let line = line.replacen("troop ", &format!("{} ", troop_bin().display()), 1);
        self.tmux(&["send-keys", "-t", "=person:", "-l", &line]);
        self.presses(&["Enter"])
    }

    /// What is on the screen now.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "=person:"])
    }

    /// Waits until the screen is like that, and gives it.
    #[track_caller]
    pub fn sees(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        wait_until(what, PATIENCE, || Some(self.screen()).filter(|screen| is_so(screen)).ok_or_else(|| self.screen()))
    }

    /// Waits until all those words are on the screen, and gives it.
    #[track_caller]
    pub fn reads(&self, words: &[&str]) -> String {
        self.sees(&format!("{words:?}"), |screen| words.iter().all(|word| screen.contains(word)))
    }

    /// A fact about the terminal, as a format of tmux.
    pub fn fact(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", "-t", "=person:", format]).trim_end().to_owned()
    }

    /// What `stty -g` says of the terminal; asked of it from outside.
    pub fn modes(&self) -> String {
        let output = self.sandbox.command("stty").args(["-g", "-F", &self.fact("#{pane_tty}")]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}
