//! What 50 agents cost that do nothing.

use crate::support::{Fallible, Sandbox, wait_status};
use nix::unistd::{SysconfVar, sysconf};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Until the threads that did disk work have ended and nothing settles any more.
const REST: Duration = Duration::from_secs(15);

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (agents, rest, time) =
        if measuring { (50, REST, Duration::from_secs(30)) } else { (2, Duration::ZERO, Duration::from_secs(1)) };
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    for n in 0..agents {
        fs::create_dir(mount.join(format!("agents/idle-{n}")))?;
    }
    for n in 0..agents {
        wait_status(&mount, &format!("idle-{n}"), "ready")?;
    }
    std::thread::sleep(rest);

    let server = sandbox.tmux(["display-message", "-p", "#{pid}"]).output()?;
    let server: i32 = String::from_utf8(server.stdout)?.trim().parse()?;
    let daemon = mount.pid().as_raw();
    let groups = [
        ("daemon", vec![daemon]),
        ("its tmux clients", children(daemon)?),
        ("the tmux server", vec![server]),
        ("the stand-ins themselves", children(server)?),
    ];
    let ticks_a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
    let start = Instant::now();
    let before: Vec<Cost> = groups.iter().map(|(_, pids)| Cost::of_all(pids)).collect();
    std::thread::sleep(time);
    let seconds = start.elapsed().as_secs_f64();
    let mut table = format!(
        "{agents} stand-ins at their composers, {seconds:.0} s; the goal is less than 1 % of a core for the first three\n\n\
         | who | processes | CPU s | % of a core | wakeups/s | PSS KiB |\n|---|---:|---:|---:|---:|---:|\n"
    );
    for ((who, pids), before) in groups.iter().zip(before) {
        let after = Cost::of_all(pids);
        let cpu = (after.ticks - before.ticks) as f64 / ticks_a_second;
        table += &format!(
            "| {who} | {} | {cpu:.2} | {:.2} | {:.1} | {} |\n",
            pids.len(),
            cpu / seconds * 100.0,
            after.sleeps_since(&before) as f64 / seconds,
            after.resident
        );
    }
    Ok(table)
}

/// What processes have used so far.
#[derive(Default)]
struct Cost {
    /// In ticks, from `/proc/PID/stat`, with threads that have ended.
    ticks: u64,
    /// How often each thread went to sleep by itself.
    sleeps: HashMap<PathBuf, u64>,
    /// Resident memory in KiB, shared pages in equal parts.
    resident: u64,
}

impl Cost {
    fn of_all(pids: &[i32]) -> Self {
        pids.iter().fold(Self::default(), |sum, &pid| sum.and(pid))
    }

    fn and(mut self, pid: i32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        // After the name, which may hold anything: fields 14 and 15 of proc_pid_stat(5) count from 3.
        let stat = read("stat");
        let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(14 - 3).take(2);
        self.ticks += times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
        self.resident += field(&read("smaps_rollup"), "Pss");
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            self.sleeps.insert(task.path(), field(&status, "voluntary_ctxt_switches"));
        }
        self
    }

    /// How often a thread that was there before and after went to sleep in between.
    fn sleeps_since(&self, before: &Self) -> u64 {
        self.sleeps.iter().filter_map(|(task, sleeps)| Some(sleeps - before.sleeps.get(task)?)).sum()
    }
}

fn field(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn children(parent: i32) -> Fallible<Vec<i32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{parent}/task"))?.flatten() {
        let list = fs::read_to_string(task.path().join("children"))?;
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Ok(found)
}
