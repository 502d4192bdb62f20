//! What a mount costs: listings, memory, delays, and doing nothing.
//!
//! `cargo bench --bench mount -- [tree|memory|delay|launch|idle|busy|waits|recover|registry|lists|dashboard]...` prints a Markdown table for each,
//! or for all of them. Every group works in a sandbox of its own, with its own tmux server.

mod busy;
mod cost;
mod dashboard;
mod delay;
mod idle;
mod launch;
mod lists;
mod memory;
mod recover;
mod registry;
#[path = "../support/mod.rs"]
mod support;
mod tree;
mod waits;

use std::io::{self, Write};
use std::process::ExitCode;
use support::Fallible;

/// One table.
struct Group {
    name: &'static str,
    run: fn(measuring: bool) -> Fallible<String>,
}

const GROUPS: [Group; 11] = [
    Group { name: "tree", run: tree::run },
    Group { name: "memory", run: memory::run },
    Group { name: "delay", run: delay::run },
    Group { name: "launch", run: launch::run },
    Group { name: "idle", run: idle::run },
    Group { name: "busy", run: busy::run },
    Group { name: "waits", run: waits::run },
    Group { name: "recover", run: recover::run },
    Group { name: "registry", run: registry::run },
    Group { name: "lists", run: lists::run },
    Group { name: "dashboard", run: dashboard::run },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says --bench; without it this is `cargo test`, which asks only whether it still works.
    let measuring = args.iter().any(|arg| arg == "--bench");
    let wanted = |group: &Group| args.iter().any(|arg| arg == group.name);
    let all = !GROUPS.iter().any(wanted);
    for group in GROUPS.iter().filter(|group| all || wanted(group)) {
        let printed = (group.run)(measuring).and_then(|table| Ok(writeln!(io::stdout(), "{table}")?));
        if let Err(error) = printed {
            let _ = writeln!(io::stderr(), "mount: {}: {error}", group.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
