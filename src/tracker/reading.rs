//! What one look says by itself, before and after it do not count.

use crate::model::{Look, Process, Terminal};
use crate::tool::{Shows, Tool};

/// Whether there is a program to have a state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Liveness {
    /// Nobody has looked.
    #[default]
    Unseen,
    /// Looking failed.
    Failed(String),
    /// No session.
    NoSession,
    /// The pane is kept, its process has ended.
    Dead(String),
    /// The pane's process lives, but the tool is not among its programs.
    Ended(String),
    /// The tool lives but does not own the keyboard.
    Behind(String),
    /// The tool lives and owns the keyboard.
    Alive,
}

/// What one look says.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Whether there is a program.
    pub liveness: Liveness,
    /// The rule that decided and what it shows.
    pub matched: Option<(Shows, String)>,
    /// Whether the tool has rules at all.
    pub has_rules: bool,
    /// Names of the tool's processes that were found.
    pub names: Vec<String>,
    /// What the look is made of, for `probe_snapshot`.
    pub probe: Option<Probe>,
}

/// The parts of a look that `probe_snapshot` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The pane.
    pub pane_id: String,
    /// Its first process.
    pub pane_pid: i32,
    /// Its title.
    pub title: String,
    /// SHA-1 of the screen's text, in hexadecimal.
    pub hash: String,
    /// Its length in characters.
    pub length: usize,
}

/// Reads one look with a tool's rules.
pub fn read(tool: &Tool, terminal: &Terminal) -> Reading {
    let liveness = match terminal {
        Terminal::Unseen => Liveness::Unseen,
        Terminal::NoSession => Liveness::NoSession,
        Terminal::Failed(why) => Liveness::Failed(why.clone()),
        Terminal::Seen(look) => return read_look(tool, look),
    };
    Reading { liveness, has_rules: !tool.rules.is_empty(), ..Reading::default() }
}

fn read_look(tool: &Tool, look: &Look) -> Reading {
    let ours = |process: &&Process| tool.owns(&process.comm, &process.argv);
    let names = look.programs.all.iter().filter(ours).map(|process| process.comm.clone()).collect::<Vec<_>>();
    let liveness = if look.pane.dead {
        Liveness::Dead(match (look.pane.exit_status, look.pane.exit_signal) {
            (_, Some(signal)) => format!("the program was ended by signal {signal}"),
            (Some(status), None) => format!("the program exited with status {status}"),
            (None, None) => "the program has exited".to_owned(),
        })
    } else if names.is_empty() {
        let there = look.programs.all.last().map_or("nothing", |process| &process.comm);
        Liveness::Ended(format!("{} does not run in the pane ({there} does)", tool.name))
    } else if look.programs.in_front().any(|process| tool.owns(&process.comm, &process.argv)) {
        Liveness::Alive
    } else {
        let front = look.programs.in_front().next().map_or("nothing", |process| &process.comm);
        Liveness::Behind(format!("{} is not in the foreground of its terminal ({front} is)", tool.name))
    };
    let matched = matches!(liveness, Liveness::Alive)
        .then(|| tool.rules.iter().find(|rule| rule.matches(&look.pane.title, &look.screen.text)))
        .flatten()
        .map(|rule| (rule.shows, rule.id.clone()));
    Reading {
        liveness,
        matched,
        has_rules: !tool.rules.is_empty(),
        names,
        probe: Some(Probe {
            pane_id: look.pane.id.to_string(),
            pane_pid: look.pane.pid,
            title: look.pane.title.clone(),
            hash: sha1_hex(look.screen.text.as_bytes()),
            length: look.screen.text.chars().count(),
        }),
    }
}

fn sha1_hex(bytes: &[u8]) -> String {
    use sha1::Digest;
    sha1::Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
