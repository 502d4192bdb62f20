//! The command line.

use crate::stand_in;
use clap::Parser;

#[derive(Parser)]
#[command(name = "troop", version)]
enum Command {
    /// Run the stand-in, a small interactive agent that needs no account
    StandIn(stand_in::Args),
}

/// Runs the program.
pub fn main() -> std::process::ExitCode {
    match Command::parse() {
        Command::StandIn(args) => stand_in::run(args.into()),
    }
}
