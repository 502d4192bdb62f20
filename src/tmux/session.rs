//! Sessions as troop lays them out, and what tmux says of those there are.
//!
//! Window 0 is named `agent` and pane 0 is the agent (Houmao 2.4.0, reference
//! section 2.5), whatever the user's `tmux.conf` counts from. All options are set on
//! the session or the window; the user's global ones stay as they are.

use super::quote::{literal_format, quote};
use super::respawn::keep;
use crate::error::{Error, Kind, Result};
use crate::model::{PaneId, Placed};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The most columns and rows that tmux gives a window.
pub const MAX_SIDE: u16 = 10_000;

/// A session to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its name; one that exists is refused.
    pub name: String,
    /// The name of window 0.
    pub window_name: String,
    /// Where the program starts; must be a directory.
    pub cwd: PathBuf,
    /// Columns and rows, until a person attaches with a terminal of another size.
    pub size: (u16, u16),
    /// The program's whole environment, apart from what tmux sets for every pane (`TERM`,
    /// `TMUX`, `PWD` and the like); `tmux show-environment` shows it.
    pub env: Vec<(String, String)>,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
}

/// A program to be started in a pane that is there, in place of what was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respawn {
    /// Where it starts; must be a directory.
    pub cwd: PathBuf,
    /// Variables for it, in place of those that the session has.
    pub env: Vec<(String, String)>,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The window's id, `@3`.
    pub window: String,
    /// The agent's pane.
    pub pane: PaneId,
    /// The process in it.
    pub pane_pid: i32,
}

/// One session of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// `$3`, never reused while the server lives.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// How many clients show it, ours included.
    pub attached: u32,
}

/// Where a pane is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanePlace {
    /// The window's index in its session.
    pub window_index: u32,
    /// The pane's index in its window.
    pub pane_index: u32,
    /// The window's id, `@3`.
    pub window: String,
    /// The pane.
    pub pane: PaneId,
    /// The window's name.
    pub window_name: String,
}

/// The format that [`SessionInfo::parse`] reads; the name is last because it may hold spaces.
pub(super) const LIST_FORMAT: &str = "#{session_id} #{session_created} #{session_attached} #{session_name}";

/// The format that [`PanePlace::parse`] reads.
pub(super) const PANES_FORMAT: &str = "#{window_index} #{pane_index} #{window_id} #{pane_id} #{window_name}";

/// What stands before the ids of a new session in its reply.
const CREATED_MARK: &str = "troop-created ";

/// How often a client's status line is drawn anew when nothing has happened. Each of our clients has one too, which nobody
/// sees, and for each the server goes over all clients for all panes: at the usual 15 s that is most of what hundreds of idle agents cost.
const STATUS_SECONDS: u32 = 300;

/// What holds a new session's pane until its program is started. It writes nothing, and ends by
/// itself: a session whose maker died in between is seen to be dead.
const PLACEHOLDER: [&str; 2] = ["sleep", "60"];

/// The command whose reply [`foreign`] reads: the variables that the server adds to those of a session.
pub(super) const GLOBAL_ENVIRONMENT: &str = "show-environment -g";

impl SessionInfo {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, ' ');
        Some(Self {
            id: fields.next().filter(|id| id.starts_with('$'))?.to_owned(),
            created: fields.next()?.parse().ok()?,
            attached: fields.next()?.parse().ok()?,
            name: fields.next()?.to_owned(),
        })
    }
}

impl From<PanePlace> for Placed {
    fn from(place: PanePlace) -> Self {
        let PanePlace { window_index, pane_index, window, pane, .. } = place;
        Self { window_index, pane_index, window, pane }
    }
}

impl PanePlace {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(5, ' ');
        Some(Self {
            window_index: fields.next()?.parse().ok()?,
            pane_index: fields.next()?.parse().ok()?,
            window: fields.next().filter(|id| id.starts_with('@'))?.to_owned(),
            pane: PaneId::parse(fields.next()?)?,
            window_name: fields.next()?.to_owned(),
        })
    }
}

impl Created {
    /// The ids from the reply of [`NewSession::commands`], when `text` is that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix(CREATED_MARK)?.split(' ');
        Some(Self {
            window: fields.next().filter(|id| id.starts_with('@'))?.to_owned(),
            pane: PaneId::parse(fields.next()?)?,
            pane_pid: fields.next()?.parse().ok()?,
        })
    }
}

impl NewSession {
    /// Refuses what tmux would take for something else or replace by a guess.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |sentence: String| Err(Error::new(Kind::Invalid, sentence));
        check_name(&self.name)?;
        check_program(&format!("the session {}", self.name), &self.argv, &self.env, &self.cwd)?;
        let (columns, rows) = self.size;
        if !(1..=MAX_SIDE).contains(&columns) || !(1..=MAX_SIDE).contains(&rows) {
            return invalid(format!(
                "{columns}x{rows} is no size for a terminal; use 1 to {MAX_SIDE} columns and rows"
            ));
        }
        Ok(())
    }

    /// One command sequence that makes the session, settles its options and starts no program:
    /// only a session can be told what its programs shall not inherit.
    pub(super) fn commands(&self) -> String {
        let target = target(&self.name);
        let (columns, rows) = self.size;
        let mut text = format!(
            "new-session -d -P -F {ids} -s {name} -n {window} -c {cwd} -x {columns} -y {rows}",
            ids = created_format(),
            name = quote(&literal_format(&self.name)),
            window = quote(&literal_format(&self.window_name)),
            cwd = quote(&literal_format(&self.cwd.to_string_lossy())),
        );
        // Writing to a String cannot fail.
        for (name, value) in &self.env {
            let _ = write!(text, " -e {}", quote(&format!("{name}={value}")));
        }
        text.push_str(" --");
        for word in PLACEHOLDER {
            let _ = write!(text, " {}", quote(word));
        }
        let _ = write!(text, " ; {}", keep(&target));
        let window_options = [
            ("pane-base-index", "0"),
            ("automatic-rename", "off"),
            ("allow-rename", "off"),
            // The size stays until a person attaches; then theirs counts, whatever the global option says.
            ("window-size", "latest"),
        ];
        for (option, value) in window_options {
            let _ = write!(text, " ; set-option -w -t {target} {option} {value}");
        }
        let _ = write!(text, " ; set-option -t {target} destroy-unattached off ; set-option -t {target} base-index 0");
        let _ = write!(text, " ; set-option -t {target} status-interval {STATUS_SECONDS}");
        let not_zero = quote("#{!=:#{window_index},0}");
        let to_zero = quote(&format!("move-window -s {target} -t {}", quote(&format!("={}:0", self.name))));
        let _ = write!(text, " ; if-shell -F -t {target} {not_zero} {to_zero}");
        // Errors in a tmux.conf are shown in a mode of the first pane, which would swallow the agent's keys.
        let _ = write!(text, " ; copy-mode -q -t {target}");
        text
    }

    /// One command sequence that keeps `names` from every program started in the session from now on.
    pub(super) fn without(&self, names: &[&str]) -> String {
        let target = target(&self.name);
        let removals = names.iter().map(|name| format!("set-environment -t {target} -r -- {}", quote(name)));
        removals.collect::<Vec<_>>().join(" ; ")
    }

    /// One command sequence that starts the program in the session's pane.
    pub(super) fn start(&self, pane: &PaneId) -> String {
        format!("respawn-pane -k -t {pane}{}", words_and_reply(&self.argv, pane))
    }
}

impl Respawn {
    /// Refuses what tmux would take for something else or replace by a guess.
    pub(super) fn check(&self) -> Result<()> {
        check_program("the pane", &self.argv, &self.env, &self.cwd)
    }

    /// One command sequence that starts the program in a pane, which stays when it ends.
    pub(super) fn commands(&self, pane: &PaneId) -> String {
        let cwd = quote(&literal_format(&self.cwd.to_string_lossy()));
        let mut text = format!("{} ; respawn-pane -k -t {pane} -c {cwd}", keep(&pane.to_string()));
        for (name, value) in &self.env {
            // Writing to a String cannot fail.
            let _ = write!(text, " -e {}", quote(&format!("{name}={value}")));
        }
        text + &words_and_reply(&self.argv, pane)
    }
}

/// The end of a command that starts a program, and a command whose reply says where.
fn words_and_reply(argv: &[String], pane: &PaneId) -> String {
    let mut text = " --".to_owned();
    // tmux hands a single argument to the user's shell to interpret.
    let shell: &[&str] = if argv.len() == 1 { &["sh", "-c", "exec \"$0\""] } else { &[] };
    for word in shell.iter().copied().chain(argv.iter().map(String::as_str)) {
        // Writing to a String cannot fail.
        let _ = write!(text, " {}", quote(word));
    }
    let _ = write!(text, " ; display-message -p -t {pane} {}", created_format());
    text
}

fn check_program(whose: &str, argv: &[String], env: &[(String, String)], cwd: &Path) -> Result<()> {
    let invalid = |sentence: String| Err(Error::new(Kind::Invalid, sentence));
    if argv.is_empty() {
        return invalid(format!("{whose} was given no program to run"));
    }
    if let Some((name, _)) = env.iter().find(|(name, _)| !is_variable(name)) {
        return invalid(format!("{name:?} cannot be the name of an environment variable"));
    }
    if argv.iter().chain(env.iter().map(|(_, value)| value)).any(|text| text.contains('\0')) {
        return invalid(format!("a NUL cannot be passed to the program of {whose}"));
    }
    // tmux would start the program in HOME instead.
    if !cwd.is_dir() {
        return Err(Error::new(
            Kind::NotFound,
            format!("{} is not a directory, so nothing can start there", cwd.display()),
        ));
    }
    match cwd.to_str() {
        Some(_) => Ok(()),
        None => invalid(format!("{} is not UTF-8, and tmux takes no other names", cwd.display())),
    }
}

/// The variables of a server that a session with the environment `env` has to be kept free of,
/// from the server's answer to [`GLOBAL_ENVIRONMENT`].
///
/// A value of several lines may look like another variable; to remove one that is not there does no harm.
pub(super) fn foreign<'a>(listed: &'a str, env: &[(String, String)]) -> Vec<&'a str> {
    let names = listed.lines().filter_map(|line| Some(line.split_once('=')?.0));
    names.filter(|name| !name.is_empty() && !env.iter().any(|(ours, _)| ours == name)).collect()
}

fn created_format() -> String {
    quote(&format!("{CREATED_MARK}#{{window_id}} #{{pane_id}} #{{pane_pid}}"))
}

/// The target that is this very session: `-t agent-1` would also match `agent-12`.
pub(super) fn target(session: &str) -> String {
    quote(&format!("={session}:"))
}

/// Refuses a name that tmux would change or read as more than a session's name.
pub(super) fn check_name(session: &str) -> Result<()> {
    if session.is_empty() || session.chars().any(|c| c == ':' || c == '.' || c.is_control()) {
        Err(Error::new(
            Kind::Invalid,
            format!(
                "{session:?} cannot be the name of a tmux session; use a name without ':', '.' and control characters"
            ),
        ))
    } else {
        Ok(())
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> NewSession {
        NewSession {
            name: "a".to_owned(),
            window_name: "agent".to_owned(),
            cwd: "/".into(),
            size: (80, 24),
            env: Vec::new(),
            argv: vec!["true".to_owned()],
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        session().check().unwrap();
        type Change = fn(&mut NewSession);
        let changes: [(Kind, Change); 7] = [
            (Kind::Invalid, |s| s.name = "a:b".to_owned()),
            (Kind::Invalid, |s| s.name.clear()),
            (Kind::Invalid, |s| s.size.0 = 0),
            (Kind::Invalid, |s| s.argv.clear()),
            (Kind::Invalid, |s| s.argv.push("a\0".to_owned())),
            (Kind::Invalid, |s| s.env.push(("A=B".to_owned(), String::new()))),
            (Kind::NotFound, |s| s.cwd = "/no/such/directory".into()),
        ];
        for (kind, change) in changes {
            let mut bad = session();
            change(&mut bad);
            assert_eq!(bad.check().unwrap_err().kind(), kind, "{bad:?}");
        }
    }

    #[test]
    fn the_commands_are_one_line() {
        let mut session = session();
        session.env.push(("TEXT".to_owned(), "two\nlines; $HOME".to_owned()));
        session.argv = vec!["printf".to_owned(), "two\nlines; $HOME".to_owned()];
        for line in [session.commands(), session.start(&PaneId::parse("%1").unwrap())] {
            assert!(!line.contains('\n') && !line.contains("$HOME"), "{line}");
        }
    }

    #[test]
    fn everything_but_its_own_is_foreign() {
        let env = [("PATH".to_owned(), "/bin".to_owned())];
        let listed = "PATH=/sbin\nAPI_KEY=a=b\n-CLEARED\nTWO=lines\nof\n=it\nODD NAME%%=() {  :\n}\n-DASH=x\n";
        assert_eq!(foreign(listed, &env), ["API_KEY", "TWO", "ODD NAME%%", "-DASH"]);
        assert_eq!(
            session().without(&["-A", "b c"]),
            concat!("set-environment -t \"=a:\" -r -- \"-A\" ; ", "set-environment -t \"=a:\" -r -- \"b c\"")
        );
    }

    #[test]
    fn answers_are_parsed_strictly() {
        let created = Created::parse("troop-created @1 %2 345").unwrap();
        assert_eq!((created.window.as_str(), created.pane.as_str(), created.pane_pid), ("@1", "%2", 345));
        assert_eq!(Created::parse("@1 %2 345"), None);
        let info = SessionInfo::parse("$1 1700000000 2 my session").unwrap();
        assert_eq!((info.name.as_str(), info.created, info.attached), ("my session", 1_700_000_000, 2));
        assert_eq!(PanePlace::parse("0 0 @1 7 agent"), None);
    }
}
