//! What can be typed.

use crate::command::{Verb, age};
use crate::error::{Error, Kind};
use crate::model::launch_options::{check_model, env_pair};
use crate::model::{ChatSession, Condition};
use crate::stand_in;
use crate::tmux::SOCKET_VARIABLE;
use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use std::path::PathBuf;
use std::time::Duration;

/// Live AI agents as files
///
/// troop mounts every coding agent that runs in tmux as a directory with its
/// status, its screen, its history, and a file to write prompts into.
#[derive(Debug, Parser)]
#[command(name = "troop", version, propagate_version = true, after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "\
Files:
  ~/.config/troop/config.toml  what launches come with: [defaults] and [profiles.NAME] with tool, cwd, role,
                               model and env; [defaults] also allow_approvals; [dashboard] with notify
  ~/.config/troop/tools/*.toml tool definitions, in place of those that are built in

Exit codes:
  0  done
  1  something failed: reading, writing, a time limit, a signal, a file that cannot be understood
  2  wrong usage: unknown option or verb, a bad name, bad text, an ambiguous name
  3  no such agent, tool, program or directory
  4  not now: the agent is working, asking, starting or pending, or a queue is full
  5  the agent is gone or down
  6  refused: the name is taken, not permitted, or this kind of agent cannot do that
  7  this machine lacks something: tmux, /dev/fuse, fusermount3";

/// Allows what `--allow-approvals` does.
const APPROVALS_VARIABLE: &str = "TROOP_ALLOW_APPROVALS";

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// tmux server of new agents: a name as with tmux -L, or the path of its socket [else: TROOP_TMUX_SOCKET]
    #[arg(long, global = true, value_name = "NAME|PATH")]
    tmux_socket: Option<String>,
    /// Let troop answer questions: approve, deny and answer [else: TROOP_ALLOW_APPROVALS=true]
    #[arg(long, global = true)]
    allow_approvals: bool,
    /// Where troop keeps the sessions it launches [else: TROOP_HOME; default: ~/.troop]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
}

impl Common {
    /// The tmux server that is named, by its option or else by its variable.
    pub(super) fn tmux_socket(&self) -> Option<String> {
        let variable = || std::env::var(SOCKET_VARIABLE).ok().filter(|value| !value.trim().is_empty());
        self.tmux_socket.clone().or_else(variable)
    }

    /// Whether questions may be answered, by the option or else by its variable; blank is no.
    pub(super) fn allows_approvals(&self) -> crate::Result<bool> {
        let value = std::env::var(APPROVALS_VARIABLE).unwrap_or_default();
        match value.trim() {
            _ if self.allow_approvals => Ok(true),
            "true" | "1" => Ok(true),
            "" | "false" | "0" => Ok(false),
            _ => Err(Error::new(
                Kind::Invalid,
                format!("{APPROVALS_VARIABLE} is {value:?}; set it to true or false, or unset it"),
            )),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Mount the agents as a directory tree
    Mount(Mount),
    /// Take a mount away
    Umount {
        /// Where it is [default: ~/troop]
        path: Option<PathBuf>,
    },
    /// Launch an agent
    Launch(Launch),
    /// Look for agents in tmux panes, registered or not; touches nothing
    Discover {
        /// tmux servers: names as with tmux -L, or paths of sockets [default: your own and that of --tmux-socket]
        #[arg(value_name = "SERVER")]
        servers: Vec<String>,
        /// As JSON, one array
        #[arg(long)]
        json: bool,
    },
    /// Register an agent that runs already; its session stays its owner's
    Adopt(Adopt),
    /// List the agents
    List {
        /// Stopped, retired and external ones too
        #[arg(long)]
        all: bool,
        /// As JSON, one array; with --watch one object a line
        #[arg(long)]
        json: bool,
        /// Go on: on a terminal the table stays up to date, elsewhere every line that changes is printed again
        #[arg(long, conflicts_with = "all")]
        watch: bool,
    },
    /// Show all agents in the terminal: their screens, histories and questions; its keys are listed on ?
    Dashboard {
        /// How to tell that an agent has become blocked or ready: bell, osc9 (the terminal's message), none, or a command
        /// for sh, which finds the agent's name in TROOP_AGENT and its status in TROOP_STATUS [default: what the configuration
        /// says, else bell]
        #[arg(long, value_name = "bell|osc9|none|COMMAND", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        notify: Option<String>,
    },
    /// Say in one line how many agents have which status, and who is blocked, for a status bar
    Status,
    /// Send a prompt to an agent
    Prompt {
        /// The agent's name or id
        name: String,
        /// The prompt; standard input when there is none
        text: Vec<String>,
    },
    /// Wait for an agent, then print one line: condition, status, turn, outcome
    Wait {
        /// The agent's name or id
        name: String,
        /// ready, active, blocked, settled (needs a person), gone, change (of status or turn) or turn:N (has ended)
        #[arg(long, value_name = "CONDITION")]
        until: Condition,
        /// Give up after that many seconds
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
    },
    /// Interrupt an agent's turn
    Interrupt {
        /// The agent's name or id
        name: String,
    },
    /// Answer an agent's question; needs --allow-approvals
    Answer {
        /// The agent's name or id
        name: String,
        /// approve, deny, or the number of a choice (see its question with troop explain)
        #[arg(value_name = "approve|deny|NUMBER", value_parser = parse_answer)]
        answer: Verb,
    },
    /// Stop agents: end their programs and sessions
    Stop {
        /// Their names or ids
        #[arg(required = true)]
        names: Vec<String>,
        /// Do not wait for the programs
        #[arg(long)]
        force: bool,
    },
    /// Start the programs of agents again: those that are stopped, lost, or live
    Relaunch(Relaunch),
    /// Let go of agents: their programs go on, and troop has nothing to do with them any more
    Close {
        /// Their names or ids
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Take away what nobody needs any more, in all Homes
    #[command(after_help = GC_HELP)]
    Gc {
        /// Take away nothing, and print what would be
        #[arg(long)]
        dry_run: bool,
        /// How long agents have to have been stopped, such as 7d or 12h
        #[arg(long, value_name = "TIME", value_parser = age, default_value = "7d")]
        older_than: SignedDuration,
        /// As JSON, one object with the lines in it
        #[arg(long)]
        json: bool,
    },
    /// Retire the records of agents that are gone or stopped
    Retire {
        /// Their names or ids
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Say what is wrong with this machine, the records and the tool definitions
    Doctor {
        /// As JSON, one array
        #[arg(long)]
        json: bool,
    },
    /// Say why an agent's status is what it is
    Explain {
        /// The agent's name or id
        #[arg(required_unless_present = "screen")]
        name: Option<String>,
        /// Read a saved screen instead, as tmux capture-pane -p -e writes it
        #[arg(long, value_name = "FILE", requires = "tool", conflicts_with = "name")]
        screen: Option<PathBuf>,
        /// With --screen: whose rules to use
        #[arg(long, value_name = "TOOL", requires = "screen")]
        tool: Option<String>,
        /// With --screen: the title the program had set
        #[arg(long, requires = "screen", default_value = "")]
        title: String,
        /// With --screen: tool definitions from this directory in place of ~/.config/troop/tools
        #[arg(long, value_name = "DIR", requires = "screen")]
        tools: Option<PathBuf>,
    },
    /// List and forget Homes: the directories in which agents have had their sessions
    Home {
        /// What to do
        #[command(subcommand)]
        command: HomeCommand,
    },
    /// Play a recording of a terminal through the tracker
    Replay(Replay),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of troop or of one of its commands
    Man {
        /// The command
        command: Option<String>,
    },
    /// Write an agent that runs in a session into a registry, for tests with Houmao
    #[command(hide = true)]
    InteropWrite(InteropWrite),
    /// Print what a registry holds, one JSON object a record, for tests with Houmao
    #[command(hide = true)]
    InteropRead {
        /// The registry
        registry: PathBuf,
    },
    /// Run one headless turn: what to run is in that directory
    #[command(hide = true)]
    HeadlessTurn {
        /// The turn's directory
        dir: PathBuf,
    },
    /// Run the stand-in, a small interactive agent that needs no account
    StandIn(stand_in::Args),
}

#[derive(Debug, Subcommand)]
pub(super) enum HomeCommand {
    /// List the Homes in which an agent lives, the one used last first
    List {
        /// Those too in which none lives
        #[arg(long)]
        all: bool,
        /// As JSON, one array
        #[arg(long)]
        json: bool,
    },
    /// Take a Home out of the list; nothing in it is touched
    Forget {
        /// Where it is, or was
        path: PathBuf,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "give seconds, such as 600 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What goes, what never does, and what one Home means.
const GC_HELP: &str = "\
What goes: agents that were stopped that long ago or are retired, with their sessions; sessions and
queues that no record names; records whose session is gone and whose manifest cannot be read; what
retired servers of Houmao have left; Homes without sessions, from the list of Homes; dead mounts.
What never goes: a Home; anything that lives, starts, is on another machine or is not understood.
With --home, or where TROOP_HOME is set, that Home is looked through and nothing else.";

/// What TROOP_LOG sets: a filter such as `debug` or `troop::fuse=trace`.
const LOG_HELP: &str = "\
Runs in the foreground until SIGINT, SIGTERM or troop umount, or in the background
with --detach. The agents never depend on it: they go on when it ends.
TROOP_LOG (for example debug) makes it say more: on standard error, or with --detach
in ~/.local/state/troop/mount.log.";

fn parse_answer(text: &str) -> Result<Verb, String> {
    match text {
        "approve" => Ok(Verb::Approve),
        "deny" => Ok(Verb::Deny),
        number => number.parse().map(Verb::Answer).map_err(|_| "write approve, deny, or a number".to_owned()),
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = LOG_HELP)]
pub(super) struct Mount {
    /// An empty directory [default: ~/troop, made when it is missing]
    pub(super) path: Option<PathBuf>,
    /// Return as soon as the mount answers, and serve it in the background
    #[arg(long)]
    pub(super) detach: bool,
    /// The tool of a launch that names none [default: the configuration's, else stand-in]
    #[arg(long, value_name = "TOOL")]
    pub(super) default_tool: Option<String>,
    /// Show agents too that run in tmux and that nobody has registered
    #[arg(long)]
    pub(super) discover: bool,
    /// Say "ready" on standard output when the mount answers
    #[arg(long, hide = true)]
    pub(super) announce: bool,
}

/// Where the rest comes from, and what comes of it.
const LAUNCH_HELP: &str = "\
What is not said comes from the profile, then from [defaults] in ~/.config/troop/config.toml, then from the
tool. A model there counts for the tool beside it. After -- everything is yours: the model and the role of
[defaults] stay out of it.
Returns when the program shows something, or with the reason why it ended. A role that
is told as the first prompt has been sent by then.";

#[derive(Debug, clap::Args)]
#[command(after_help = LAUNCH_HELP)]
pub(super) struct Launch {
    /// Its name: letters, digits, '_' and '-'
    pub(super) name: String,
    /// The profile in the configuration
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<String>,
    /// Which tool: a name under tools/ in the mount [default: stand-in]
    #[arg(long, value_name = "TOOL")]
    pub(super) tool: Option<String>,
    /// Where it works [default: the current directory]
    #[arg(long, value_name = "DIR")]
    pub(super) cwd: Option<PathBuf>,
    /// The file with its role: what it is told before anybody prompts it
    #[arg(long, value_name = "FILE")]
    pub(super) role: Option<PathBuf>,
    /// Which model, as its tool calls it
    #[arg(long, value_name = "MODEL", value_parser = parse_model)]
    pub(super) model: Option<String>,
    /// A variable for its program; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_env)]
    pub(super) env: Vec<(String, String)>,
    /// Go on with a conversation: the last one of the directory, or the one with that id
    #[arg(long, value_name = "last|ID", value_parser = parse_chat)]
    pub(super) resume: Option<ChatSession>,
    /// Run each turn as a process of its own, without a terminal interface
    #[arg(long)]
    pub(super) headless: bool,
    /// The command in place of the tool's own
    #[arg(last = true, value_name = "ARGV")]
    pub(super) argv: Vec<String>,
}

fn parse_model(model: &str) -> Result<String, String> {
    check_model(model).map(|()| model.to_owned()).map_err(|error| error.to_string())
}

fn parse_env(text: &str) -> Result<(String, String), String> {
    env_pair(text).map_err(|error| error.to_string())
}

fn parse_chat(word: &str) -> Result<ChatSession, String> {
    ChatSession::resumed(word).map_err(|error| error.to_string())
}

#[derive(Debug, clap::Args)]
pub(super) struct Relaunch {
    /// Their names or ids
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(super) names: Vec<String>,
    /// Every agent that is stopped or has lost its session
    #[arg(long)]
    pub(super) all: bool,
    /// Go on with its last conversation, or with the one of that id [default: a new one]
    #[arg(long, value_name = "last|ID")]
    pub(super) resume: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Adopt {
    /// Where it runs: %7, SESSION, SESSION:WINDOW or SESSION:WINDOW.PANE (see troop discover); looked for on your own
    /// tmux server, or on that of --tmux-socket
    pub(super) pane: String,
    /// Its name [default: the tool's and the pane's number]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Which tool it is [default: recognised]
    #[arg(long, value_name = "TOOL")]
    pub(super) tool: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct InteropWrite {
    /// The registry
    pub(super) registry: PathBuf,
    /// The runtime root, which gets a session root
    pub(super) runtime: PathBuf,
    /// The agent's name
    pub(super) name: String,
    /// Its tmux session
    pub(super) session: String,
    /// Which program it is
    pub(super) tool: String,
    /// Where it works
    pub(super) cwd: PathBuf,
    /// As what it is written
    #[arg(long, value_enum, default_value_t = InteropMode::Joined)]
    pub(super) mode: InteropMode,
}

/// As what an agent is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum InteropMode {
    /// As `troop adopt` does.
    Joined,
    /// As `troop launch` does.
    Launched,
}

/// What a recording is.
const RECORDING_HELP: &str = "\
A recording has one JSON object a line: i (its number), t (seconds), meta (the pane's facts: title,
cx, cy, cmd, dead, w, h), esc (the rows as tmux capture-pane -p -e gives them); or same, when
nothing has changed. Nothing else is looked at, and the clock is the recording's own.
--score compares with FILE's truth (NAME.truth.json beside NAME.jsonl) and prints a table.";

#[derive(Debug, clap::Args)]
#[command(after_help = RECORDING_HELP)]
pub(super) struct Replay {
    /// Recordings; with --score directories of them too
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Whose rules to use [default: the name of the recording's directory]
    #[arg(long, value_name = "TOOL")]
    pub(super) tool: Option<String>,
    /// As JSON also on a terminal: one object a frame, or the whole score
    #[arg(long)]
    pub(super) json: bool,
    /// Compare with the truth beside each recording
    #[arg(long)]
    pub(super) score: bool,
    /// With --score, list the first frame of every stretch that was wrong
    #[arg(long, requires = "score")]
    pub(super) wrong: bool,
    /// Tool definitions from this directory in place of ~/.config/troop/tools
    #[arg(long, value_name = "DIR")]
    pub(super) tools: Option<PathBuf>,
}
