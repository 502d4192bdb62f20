//! What runs a turn in the agent's pane: `troop headless-turn DIR`. It starts the program, shows what that says, and writes
//! down how it ended. What the program prints goes straight into its files, so that none of it is lost when this is killed.

use super::super::clock::now;
use super::super::crash;
use super::LOCK_LIMIT;
use super::judge::{Standing, finish};
use crate::error::{Error, Kind, Result};
use crate::headless::{Heard, Stream};
use crate::model::record::Backend;
use crate::process;
use crate::store::launch_env;
use crate::store::machine::Machine;
use crate::store::managed::{ActiveTurn, Managed, TurnRecord};
use crate::store::turn_dir::{CANONICAL, Known, PROCESS, Run, STDERR, STDOUT, Started};
use crate::store::wire::time_text;
use crate::store::{AgentLock, TurnDir, Watch};
use crate::tool::Headless;
use crate::tool::headless::{Interrupting, PromptWay};
use crate::transcript::{News, Tail};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What a shell adds to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// Runs the turn in that directory to its end. Fails when it was given up meanwhile, or cannot be started; that is written
/// down as well.
pub fn run_turn(dir: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("cannot run a turn", &error))?;
    let result = runtime.block_on(run(dir));
    // A watch of files may still be ending.
    runtime.shutdown_background();
    result
}

async fn run(dir: &Path) -> Result<()> {
    let invalid = || Error::new(Kind::Invalid, format!("{} is not the directory of a turn", dir.display()));
    let turn = TurnDir::at(dir).ok_or_else(invalid)?;
    let run = turn.run().ok_or_else(invalid)?;
    // Whoever looks at the pane hears of it from now on.
    show_prompt(&turn, &run);
    // Before the program is there: from its first moment on nothing ends us but SIGKILL.
    let mut calls = Calls::listen()?;
    let (changed, mut changes) = mpsc::channel(1);
    let watch = Watch::start(&[], move |_| {
        let _ = changed.try_send(());
    });
    let watch = watch.and_then(|watch| watch.also(dir.into()).map(|()| watch));
    let lock = AgentLock::acquire(&run.session_root, LOCK_LIMIT)?;
    if turn.verdict().is_some() {
        return Err(Error::new(Kind::Gone, "this turn was given up before it began; send the prompt again"));
    }
    let started = start(&turn, &run);
    let (mut child, started) = match started {
        Ok(started) => started,
        Err(error) => {
            let mut stderr = turn.append_to(STDERR)?;
            let _ = writeln!(stderr, "{error}");
            finish(&turn, Standing::Over)?;
            return Err(error);
        }
    };
    register(&turn, &run, &started)?;
    crash::here("headless.registered");
    drop(lock);
    let mut shown = Shown::new(&turn, &run)?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(|error| Error::io("cannot wait for the program", &error))?,
            Some(()) = changes.recv() => shown.show(),
            hands_on = calls.any() => {
                // Somebody ends the turn from its terminal, or the terminal goes away.
                let _ = turn.interrupt(now());
                if hands_on {
                    super::interrupt::send(started.child, nix::sys::signal::Signal::SIGTERM);
                }
            }
        }
    };
    drop(watch);
    shown.end();
    crash::here("headless.exited");
    turn.set_exit_code(code(status))?;
    crash::here("headless.exitcode");
    let _lock = AgentLock::acquire(&run.session_root, LOCK_LIMIT)?;
    finish(&turn, Standing::Over)?;
    Ok(())
}

/// Shows which turn it is, and the first line of what is asked.
fn show_prompt(turn: &TurnDir, run: &Run) {
    const MOST: usize = 200;
    let mut prompt = String::new();
    let read = File::open(turn.prompt_path()).and_then(|file| file.take(MOST as u64).read_to_string(&mut prompt));
    if let Err(error) = read {
        tracing::debug!(%error, "the prompt is cut in the middle of a character, or cannot be read");
    }
    let line: String = prompt.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    // Nobody may be looking.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "[turn {}] {line}", run.turn_index).and_then(|()| out.flush());
}

/// Starts the program and writes down who runs what.
fn start(turn: &TurnDir, run: &Run) -> Result<(Child, Started)> {
    let (program, args) = run
        .argv
        .split_first()
        .ok_or_else(|| Error::new(Kind::Invalid, "there is no program to start; launch the agent again"))?;
    let prompt = if run.prompt_on_stdin {
        let path = turn.prompt_path();
        let file =
            File::open(&path).map_err(|error| Error::io(format_args!("cannot read {}", path.display()), &error))?;
        Stdio::from(file)
    } else {
        Stdio::null()
    };
    let mut command = Command::new(program);
    command.args(args).current_dir(&run.cwd).envs(more_env(&run.session_root)).stdin(prompt);
    command.stdout(turn.append_to(STDOUT)?).stderr(turn.append_to(STDERR)?);
    crash::here("headless.starting");
    let child = command.spawn().map_err(|error| Error::io(format_args!("cannot start {program}"), &error))?;
    crash::here("headless.spawned");
    let known = |pid: u32| {
        let pid = i32::try_from(pid).unwrap_or(0);
        // It has not been waited for: it has a start time even when it has ended.
        Known { pid, start_time: process::start_time(pid).unwrap_or(0) }
    };
    let started = Started {
        runner: known(std::process::id()),
        child: known(child.id().unwrap_or(0)),
        at: now(),
        machine: Machine::here().ok().cloned(),
    };
    turn.set_started(&started)?;
    Ok((child, started))
}

/// Writes into the records of the agent who runs its turn.
fn register(turn: &TurnDir, run: &Run, started: &Started) -> Result<()> {
    let managed = Managed::at(run.managed_dir.clone());
    let Some(active) = managed.active().filter(|active| active.turn_id == run.turn_id) else { return Ok(()) };
    let active = ActiveTurn {
        process_path: Some(turn.file(PROCESS)),
        process_started_at_utc: Some(time_text(started.at)),
        runner_pid: Some(started.runner.pid),
        child_pid: Some(started.child.pid),
        ..active
    };
    managed.set_active(&active)?;
    managed.set_turn(&TurnRecord::new(&active))
}

/// What a program exits with, in a shell's words.
fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|number| BY_SIGNAL + number)).unwrap_or(-1)
}

fn more_env(session_root: &Path) -> Vec<(String, String)> {
    launch_env::read(session_root).unwrap_or_else(|error| {
        tracing::warn!(%error, "the program gets no variables of its own");
        Vec::new()
    })
}

/// A definition of a program of which nothing is understood.
pub(super) fn no_definition() -> Headless {
    Headless {
        backend: Backend::ClaudeHeadless,
        own_backend: None,
        args: Vec::new(),
        last: Vec::new(),
        exact: Vec::new(),
        prompt: PromptWay::Stdin,
        interrupt: Interrupting::Int,
        event: Vec::new(),
    }
}

/// The signals by which somebody ends a turn from its terminal.
struct Calls([Signal; 3]);

impl Calls {
    fn listen() -> Result<Self> {
        let one = |kind| signal(kind).map_err(|error| Error::io("cannot hear signals", &error));
        Ok(Self([one(SignalKind::interrupt())?, one(SignalKind::terminate())?, one(SignalKind::hangup())?]))
    }

    /// Whether the program has to be told: of Ctrl-C it has heard itself.
    async fn any(&mut self) -> bool {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => false,
            _ = terminate.recv() => true,
            _ = hangup.recv() => true,
        }
    }
}

/// What the program says, in the pane and in Houmao's words.
struct Shown {
    tail: Tail,
    stream: Stream,
    canonical: File,
    provider: String,
    turn_index: u64,
}

impl Shown {
    fn new(turn: &TurnDir, run: &Run) -> Result<Self> {
        let definition: Headless = serde_json::from_value(run.definition.clone()).unwrap_or_else(|_| no_definition());
        let word = definition.own_backend.clone().unwrap_or_else(|| definition.backend.as_str().to_owned());
        Ok(Self {
            tail: Tail::new(turn.file(STDOUT)),
            stream: Stream::new(Arc::new(definition)),
            canonical: turn.append_to(CANONICAL)?,
            provider: word.trim_end_matches("_headless").to_owned(),
            turn_index: run.turn_index,
        })
    }

    fn show(&mut self) {
        let Self { tail, stream, canonical, provider, turn_index } = self;
        let mut out = std::io::stdout().lock();
        tail.read(|news| {
            let News::Line(line) = news else { return };
            let Some(heard) = stream.line(line) else { return };
            // Nobody may be looking, and the disk may be full: the turn goes on.
            let _ = writeln!(canonical, "{}", in_houmaos_words(&heard, stream, provider, *turn_index));
            let _ = out.write_all(for_people(&heard).as_bytes()).and_then(|()| out.flush());
        });
    }

    fn end(&mut self) {
        self.show();
        let _ = writeln!(std::io::stdout());
    }
}

fn in_houmaos_words(heard: &Heard, stream: &Stream, provider: &str, turn_index: u64) -> serde_json::Value {
    serde_json::json!({
        "kind": heard.kind,
        "message": heard.message,
        "data": {},
        "provider": provider,
        "provider_event_type": heard.event_type,
        "raw_payload": heard.raw,
        "session_id": stream.session(),
        "timestamp_utc": time_text(now()),
        "turn_index": turn_index,
    })
}

/// What the pane shows of a line: nothing that could do anything to a terminal.
fn for_people(heard: &Heard) -> String {
    let plain: String = heard.message.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    match heard.kind {
        "assistant" if heard.continues => plain,
        "assistant" => format!("\n{plain}"),
        "tool_use" => format!("\n[{plain}]"),
        "error" => format!("\nerror: {plain}"),
        _ => String::new(),
    }
}
