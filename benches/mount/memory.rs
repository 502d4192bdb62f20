//! What the daemon keeps in memory.

use crate::support::{Fallible, Mount, Sandbox, launch, plant_many, read_whole, wait, wait_status};
use std::fs;
use std::path::Path;

/// The goal: so many KiB, and so many more for each agent.
const GOAL: (usize, usize) = (4096, 8);

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (planted, running): (&[usize], usize) = if measuring { (&[0, 100, 1000], 50) } else { (&[0, 10], 2) };
    let mut table = format!(
        "KiB; the goal is {} and {} for each agent\n\n\
         | agents | RSS, mounted | RSS, everything read once | RSS, read ten times | of that anonymous | goal |\n\
         |---|---:|---:|---:|---:|---:|\n",
        GOAL.0, GOAL.1
    );
    for &agents in planted {
        let sandbox = Sandbox::new();
        plant_many(&sandbox, agents)?;
        table += &row(&sandbox, &format!("{agents}, none runs"), agents, 0)?;
    }
    let sandbox = Sandbox::new();
    for n in 0..running {
        launch(&sandbox, &format!("live-{n}"), &[])?;
    }
    table += &row(&sandbox, &format!("{running}, all run"), running, running)?;
    Ok(table)
}

fn row(sandbox: &Sandbox, label: &str, agents: usize, running: usize) -> Fallible<String> {
    let mount = sandbox.mount();
    wait("every agent", || fs::read_dir(mount.join("agents")).is_ok_and(|dir| dir.count() == agents))?;
    for n in 0..running {
        wait_status(&mount, &format!("live-{n}"), "ready")?;
    }
    let mounted = resident(&mount)?;
    read_everything(mount.path())?;
    let read = resident(&mount)?;
    for _ in 0..9 {
        read_everything(mount.path())?;
    }
    let again = resident(&mount)?;
    let goal = GOAL.0 + GOAL.1 * agents;
    Ok(format!("| {label} | {} | {} | {} | {} | {goal} |\n", mounted.0, read.0, again.0, again.1))
}

/// All resident memory of the daemon and the anonymous part of it, in KiB.
fn resident(mount: &Mount) -> Fallible<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{}/status", mount.pid()))?;
    let field = |name: &str| -> Fallible<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.and_then(|line| line.split_whitespace().next()).ok_or("no such field")?.parse()?)
    };
    Ok((field("VmRSS")?, field("RssAnon")?))
}

fn read_everything(dir: &Path) -> Fallible<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_everything(&entry.path())?;
        } else if kind.is_file() {
            read_whole(&entry.path())?;
        }
    }
    Ok(())
}
