//! Commands over many agents, beside the same tree on tmpfs, and their requests to the mount.

use crate::support::{Fallible, LIMIT, Mount, Sandbox, done, launch, median_and_p95, ms, plant_many, wait};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Stand-ins that run, among the planted records.
const LIVE: usize = 5;

/// What is run in the directory above `agents`.
const COMMANDS: [&str; 6] = [
    "ls agents",
    "ls -l agents",
    "grep -lx ready agents/*/status",
    "find agents",
    "find agents -name state.json",
    "cat agents/*/state.json",
];

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (agents, rounds) = if measuring { (1000, 15) } else { (20, 1) };
    let sandbox = Sandbox::new();
    plant_many(&sandbox, agents - LIVE)?;
    for n in 0..LIVE {
        launch(&sandbox, &format!("live-{n}"), &[])?;
    }
    let counts = count_requests(&sandbox, agents)?;
    let mount = sandbox.mount();
    wait_until_still(&mount, agents)?;
    let copy = TempDir::new_in("/dev/shm")?;
    done(Command::new("cp").arg("-r").arg("--no-dereference").arg(mount.join("agents")).arg(copy.path()))?;

    let mut table = format!(
        "{agents} agents, of which {LIVE} run, {rounds} interleaved rounds, names known to the kernel (warm); \
         requests of the first run after mounting (cold) and of a second run\n\n\
         | command | requests cold | requests warm | troop median ms | tmpfs median ms | ratio |\n|---|---:|---:|---:|---:|---:|\n"
    );
    for (command, (cold, warm)) in COMMANDS.iter().zip(counts) {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (times, dir) in times.iter_mut().zip([mount.path(), copy.path()]) {
                let start = Instant::now();
                shell(command, dir)?;
                times.push(ms(start.elapsed()));
            }
        }
        let [troop, tmpfs] = times.map(|mut times| median_and_p95(&mut times).0);
        table += &format!("| `{command}` | {cold} | {warm} | {troop:.1} | {tmpfs:.1} | {:.1} |\n", troop / tmpfs);
    }
    Ok(table)
}

/// How many requests each command makes in a mount that nobody has looked at, and once more.
fn count_requests(sandbox: &Sandbox, agents: usize) -> Fallible<Vec<(usize, usize)>> {
    let mut counts = Vec::new();
    for command in COMMANDS {
        let mount = sandbox.mount_logging(&[], Some("troop::fuse=trace"));
        wait_until_still(&mount, agents)?;
        let count = || -> Fallible<usize> {
            let before = requests(&mount);
            shell(command, mount.path())?;
            // A release is sent after close returns; the last ones may still be on their way.
            wait("the last requests", || {
                let seen = requests(&mount);
                std::thread::sleep(std::time::Duration::from_millis(50));
                requests(&mount) == seen
            })?;
            Ok(requests(&mount) - before)
        };
        counts.push((count()?, count()?));
    }
    Ok(counts)
}

fn requests(mount: &Mount) -> usize {
    mount.log().matches("op=").count()
}

/// Waits by way of `index` alone: nothing under `agents` is looked at.
fn wait_until_still(mount: &Mount, agents: usize) -> Fallible<()> {
    let start = Instant::now();
    let is_still = |index: &str| {
        let has = |status: &str| index.matches(&format!("\t{status}\t")).count();
        index.lines().count() == agents && has("ready") == LIVE && has("gone") == agents - LIVE
    };
    while !is_still(&fs::read_to_string(mount.join("index"))?) {
        if start.elapsed() > LIMIT {
            return Err("the agents did not settle".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

fn shell(command: &str, dir: &Path) -> Fallible<()> {
    let status = Command::new("sh").args(["-c", command]).current_dir(dir).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("`{command}` ended with {status}").into());
    }
    Ok(())
}
