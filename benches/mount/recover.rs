//! How long a team takes to be back after the end of its tmux server.

use crate::support::{Fallible, Sandbox, done, troop_bin, wait, wait_status};
use std::fs;
use std::process::Stdio;
use std::time::Instant;

/// What all of a hundred may take, in seconds.
const GOAL: f64 = 10.0;

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (agents, rounds) = if measuring { (100, 3) } else { (3, 1) };
    let mut table = format!(
        "{agents} stand-ins, tmux kill-server, troop relaunch --all; the goal is {GOAL:.0} s\n\n\
         | round | all seen to be gone s | relaunch --all s | all ready in the mount s |\n|---:|---:|---:|---:|\n"
    );
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    let name = |n: usize| format!("lost-{n}");
    for n in 0..agents {
        fs::create_dir(mount.join(format!("agents/{}", name(n))))?;
    }
    for n in 0..agents {
        wait_status(&mount, &name(n), "ready")?;
    }
    for round in 1..=rounds {
        done(&mut sandbox.tmux(["kill-server"]))?;
        let start = Instant::now();
        for n in 0..agents {
            let state = mount.join(format!("agents/{}/state.json", name(n)));
            let gone = || fs::read_to_string(&state).is_ok_and(|text| text.contains("\"stale_missing_session\""));
            wait("everybody to be gone", gone)?;
        }
        let gone = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut command = sandbox.command(troop_bin());
        let output = command.args(["relaunch", "--all"]).stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let back = start.elapsed().as_secs_f64();
        if !output.status.success() || said.lines().count() != agents {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} of {agents} came back: {errors}", said.lines().count()).into());
        }
        for n in 0..agents {
            wait_status(&mount, &name(n), "ready")?;
        }
        let ready = start.elapsed().as_secs_f64();
        table += &format!("| {round} | {gone:.2} | {back:.2} | {ready:.2} |\n");
    }
    Ok(table)
}
