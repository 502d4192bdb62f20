//! The command line: parse, call, report. Every verb works without a mount, on
//! the same registry and with the same engine.

mod agents;
mod args;
mod attach;
mod config;
mod context;
mod dashboard;
mod discover;
mod doctor;
mod exit;
mod explain;
mod gc;
mod glance;
mod home;
mod interop;
mod launch;
mod list;
mod mount;
mod mounted;
mod notifier;
mod relaunch;
mod replay;
mod signals;
mod status;
mod wait;
mod watch;

use crate::error::{Error, Kind, Result};
use crate::stand_in;
use args::{Args, Command};
use clap::{CommandFactory, Parser};
use std::io::Write;
use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Command::StandIn(options) => stand_in::run(options.into()),
        Command::Doctor { json } => report(doctor::run(&args.common, json)),
        command => report(run(&args.common, command).map(|()| ExitCode::SUCCESS)),
    }
}

fn run(common: &args::Common, command: Command) -> Result<()> {
    match command {
        Command::Mount(options) => mount::mount(common, &options),
        Command::Umount { path } => mount::umount(path.as_deref()),
        Command::Launch(options) => launch::launch(common, options),
        Command::Discover { servers, json } => discover::run(common, &servers, json),
        Command::Adopt(options) => agents::adopt(common, options),
        Command::List { json, watch: true, .. } => watch::run(common, json),
        Command::List { all, json, .. } => list::run(common, all, json),
        Command::Dashboard { notify } => dashboard::run(common, notify),
        Command::Status => status::run(common),
        Command::Prompt { name, text } => agents::prompt(common, &name, &text),
        Command::Wait { name, until, timeout } => wait::run(common, &name, until, timeout),
        Command::Answer { name, answer } => agents::answer(common, &name, answer),
        Command::Interrupt { name } => agents::interrupt(common, &name),
        Command::Stop { names, force } => agents::stop(common, &names, force),
        Command::Relaunch(options) => relaunch::run(common, &options),
        Command::Close { names } => agents::close(common, &names),
        Command::Gc { dry_run, older_than, json } => gc::run(common, older_than, dry_run, json),
        Command::Retire { names } => agents::retire(common, &names),
        Command::Explain { name: Some(name), .. } => explain::agent(common, &name),
        Command::Explain { screen, tool, title, tools, .. } => {
            explain::screen(&screen.unwrap_or_default(), &tool.unwrap_or_default(), &title, tools.as_deref())
        }
        Command::Home { command } => home::run(common, command),
        Command::InteropWrite(options) => interop::write(common, options),
        Command::InteropRead { registry } => interop::read(&registry),
        Command::Replay(options) => replay::run(&options),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "troop", &mut std::io::stdout());
            Ok(())
        }
        Command::Man { command } => man(command.as_deref()),
        Command::HeadlessTurn { dir } => crate::daemon::run_turn(&dir),
        Command::Doctor { .. } | Command::StandIn(_) => Ok(()),
    }
}

/// The manual page, made from the same definitions as the help.
fn man(command: Option<&str>) -> Result<()> {
    let mut page = Args::command();
    page.build();
    if let Some(name) = command {
        let found = page.find_subcommand(name).filter(|found| !found.is_hide_set()).cloned();
        page = found.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("there is no command {name:?}; troop --help lists them"))
        })?;
    }
    print(|out| clap_mangen::Man::new(page).render(out))
}

fn report(result: Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            say(&format!("troop: {error}"));
            exit::code(error.kind())
        }
    }
}

/// Writes to standard output; a reader that has gone away is not a failure.
fn print(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Tells the person, on standard error, if there is one.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
