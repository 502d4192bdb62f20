//! What 50 agents cost that do nothing.

use crate::support::{Fallible, Sandbox, wait_status};
use std::fs;
use std::time::{Duration, Instant};

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (agents, rest, time) = if measuring {
        (50, Duration::from_secs(5), Duration::from_secs(30))
    } else {
        (2, Duration::ZERO, Duration::from_secs(1))
    };
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
    let start = Instant::now();
    let before: Vec<Cost> = groups.iter().map(|(_, pids)| Cost::of_all(pids)).collect();
    std::thread::sleep(time);
    let seconds = start.elapsed().as_secs_f64();
    let mut table = format!(
        "{agents} stand-ins at their composers, {seconds:.0} s; the goal is less than 1 % of a core for the first three\n\n\
         | who | processes | CPU ms | % of a core | wakeups/s | RSS KiB |\n|---|---:|---:|---:|---:|---:|\n"
    );
    for ((who, pids), before) in groups.iter().zip(before) {
        let after = Cost::of_all(pids);
        let (cpu, wakeups) = (after.cpu_ms - before.cpu_ms, after.switches - before.switches);
        table += &format!(
            "| {who} | {} | {cpu:.1} | {:.3} | {:.1} | {} |\n",
            pids.len(),
            cpu / seconds / 10.0,
            wakeups as f64 / seconds,
            after.resident
        );
    }
    Ok(table)
}

/// What processes have used so far, every thread of them.
#[derive(Default)]
struct Cost {
    /// On a processor, from `/proc/PID/task/*/schedstat`: `stat` counts in steps of 10 ms.
    cpu_ms: f64,
    /// Times a thread went to sleep by itself.
    switches: u64,
    /// Resident memory in KiB, shared pages counted for each.
    resident: u64,
}

impl Cost {
    fn of_all(pids: &[i32]) -> Self {
        pids.iter().fold(Self::default(), |sum, &pid| sum.and(pid))
    }

    fn and(mut self, pid: i32) -> Self {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let nanoseconds = read("schedstat").split(' ').next().and_then(|first| first.parse::<f64>().ok());
            self.cpu_ms += nanoseconds.unwrap_or_default() / 1e6;
            self.switches += field(&read("status"), "voluntary_ctxt_switches");
        }
        self.resident += field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmRSS");
        self
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
