//! What the daemon, its tmux clients, the tmux server and the agents use, side by side.

use crate::support::{Fallible, Mount, Sandbox};
use nix::unistd::{SysconfVar, sysconf};
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Who costs something, by process.
pub(crate) struct Groups(Vec<(&'static str, Vec<i32>)>);

/// What each group used in a stretch of time.
pub(crate) struct Spent(Vec<Row>);

struct Row {
    who: &'static str,
    processes: usize,
    cpu: f64,
    seconds: f64,
    wakeups: u64,
    resident: u64,
}

impl Groups {
    /// The groups of a mount and the tmux server of its sandbox.
    pub(crate) fn of(sandbox: &Sandbox, mount: &Mount) -> Fallible<Self> {
        let server = server(sandbox)?;
        let daemon = mount.pid().as_raw();
        Ok(Self(vec![
            ("daemon", vec![daemon]),
            ("its tmux clients", children(daemon)?),
            ("the tmux server", vec![server]),
            ("the agents themselves", children(server)?),
        ]))
    }

    /// A dashboard and its clients.
    pub(crate) fn dashboard(pid: i32) -> Fallible<Self> {
        Ok(Self(vec![("dashboard", vec![pid]), ("its tmux clients", children(pid)?)]))
    }

    /// The daemon alone.
    pub(crate) fn daemon(mount: &Mount) -> Self {
        Self(vec![("daemon", vec![mount.pid().as_raw()])])
    }

    /// The tmux server alone.
    pub(crate) fn server(sandbox: &Sandbox) -> Fallible<Self> {
        Ok(Self(vec![("the tmux server", vec![server(sandbox)?])]))
    }

    /// Sleeps for `time` and gives what was used meanwhile.
    pub(crate) fn watch(&self, time: Duration) -> Fallible<Spent> {
        self.during(|| {
            std::thread::sleep(time);
            Ok(())
        })
    }

    /// Does something and gives what was used meanwhile.
    pub(crate) fn during(&self, what: impl FnOnce() -> Fallible<()>) -> Fallible<Spent> {
        let ticks_a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        let start = Instant::now();
        let before: Vec<Cost> = self.0.iter().map(|(_, pids)| Cost::of_all(pids)).collect();
        what()?;
        let seconds = start.elapsed().as_secs_f64();
        let rows = self.0.iter().zip(before).map(|((who, pids), before)| {
            let after = Cost::of_all(pids);
            Row {
                who,
                processes: pids.len(),
                cpu: after.ticks.saturating_sub(before.ticks) as f64 / ticks_a_second,
                seconds,
                wakeups: after.sleeps_since(&before),
                resident: after.resident,
            }
        });
        Ok(Spent(rows.collect()))
    }
}

impl Spent {
    /// The part of one core that the first `groups` groups took together.
    pub(crate) fn core(&self, groups: usize) -> f64 {
        self.0.iter().take(groups).map(|row| row.cpu / row.seconds).sum()
    }

    /// How often the first `groups` groups went to sleep by themselves in a second.
    pub(crate) fn wakeups(&self, groups: usize) -> f64 {
        self.0.iter().take(groups).map(|row| row.wakeups as f64 / row.seconds).sum()
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| who | processes | CPU s | % of a core | wakeups/s | PSS KiB |\n|---|---:|---:|---:|---:|---:|")?;
        for row in &self.0 {
            let (percent, wakeups) = (row.cpu / row.seconds * 100.0, row.wakeups as f64 / row.seconds);
            writeln!(
                f,
                "| {} | {} | {:.2} | {percent:.2} | {wakeups:.1} | {} |",
                row.who, row.processes, row.cpu, row.resident
            )?;
        }
        Ok(())
    }
}

fn server(sandbox: &Sandbox) -> Fallible<i32> {
    let server = sandbox.tmux(["display-message", "-p", "#{pid}"]).output()?;
    Ok(String::from_utf8(server.stdout)?.trim().parse()?)
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
        self.sleeps.iter().filter_map(|(task, sleeps)| Some(sleeps.saturating_sub(*before.sleeps.get(task)?))).sum()
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
