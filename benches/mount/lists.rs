//! The lists of a thousand agents and of a thousand Homes, each a process of its own from start to end.

use crate::support::{
    Fallible, Mount, Sandbox, median_and_p95, ms, plant, plant_at, plant_many, troop_bin, wait_status,
};
use jiff::Timestamp;
use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::process::Stdio;
use std::time::Instant;
use troop::model::Record;
use troop::store::wire::{decode_record, encode_record};
use troop::store::{homes, lifecycle};

/// What one list may take, in milliseconds.
const GOAL: &str = "50";

/// How much is listed and how often.
struct Size {
    records: usize,
    running: usize,
    rounds: usize,
}

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let size = if measuring {
        Size { records: 1000, running: 100, rounds: 21 }
    } else {
        Size { records: 6, running: 2, rounds: 1 }
    };
    let Size { records, running, rounds } = size;
    let mut table = format!(
        "{rounds} rounds, each a process of its own; CPU is its user and system time, the mean of all rounds\n\n\
         | what | beside a mount | median ms | least ms | CPU ms | goal |\n|---|---|---:|---:|---:|---:|\n"
    );
    many_homes(&size, &mut table)?;
    ended(&size, &mut table)?;
    without_sessions(&size, &mut table)?;
    table += &format!("\n{running} agents that run, of {records}\n\n");
    table += "| what | beside a mount | median ms | least ms | CPU ms | goal |\n|---|---|---:|---:|---:|---:|\n";
    running_among_many(&size, &mut table)?;
    Ok(table)
}

/// Homes with one session each, all in the index.
fn many_homes(size: &Size, table: &mut String) -> Fallible<()> {
    let sandbox = Sandbox::new();
    let index = homes::Index::new(&sandbox.home().join(".local/state/troop"));
    let mut known = Vec::new();
    for n in 0..size.records {
        let home = sandbox.path().join(format!("project-{n:04}/.troop"));
        plant_at(&sandbox, &format!("agent-{n:04}"), &home)?;
        known.push(serde_json::json!({ "path": home, "lastSeenAt": Timestamp::now().to_string() }));
    }
    // Registered one by one, each would have the whole file written and synced anew.
    fs::create_dir_all(index.path().parent().ok_or("it has no directory")?)?;
    fs::write(index.path(), serde_json::json!({ "version": 1, "homes": known }).to_string())?;
    let what = format!("{} Homes of one session each", size.records);
    for args in [&["home", "list"][..], &["home", "list", "--all"]] {
        row(&sandbox, args, &what, false, size, size.records, table)?;
    }
    Ok(())
}

/// Agents that were stopped, and as many that were retired.
fn ended(size: &Size, table: &mut String) -> Fallible<()> {
    let sandbox = Sandbox::new();
    for n in 0..size.records {
        let path = plant(&sandbox, &format!("agent-{n:04}"))?;
        let record = decode_record(&fs::read(&path)?)?;
        fs::write(&path, encode_record(&end(&record, n % 2 == 0)?)?)?;
    }
    let what = format!("{} records, half of them stopped and half retired", size.records);
    row(&sandbox, &["list"], &what, false, size, 0, table)?;
    row(&sandbox, &["list", "--all"], &what, false, size, size.records, table)
}

fn end(record: &Record, stays: bool) -> Fallible<Record> {
    let now = record.lifecycle.updated_at;
    let stopped = lifecycle::stopped(record, lifecycle::OPERATOR_STOP, now)?;
    Ok(if stays { stopped } else { lifecycle::retired(&stopped, "retired", now) })
}

/// Agents whose records say that they live, and whose sessions are not there.
fn without_sessions(size: &Size, table: &mut String) -> Fallible<()> {
    let sandbox = Sandbox::new();
    plant_many(&sandbox, size.records)?;
    let what = format!("{} records whose sessions are gone", size.records);
    let lists = [&["list"][..], &["list", "--all"], &["list", "--json"]];
    for args in lists {
        row(&sandbox, args, &what, false, size, size.records, table)?;
    }
    row(&sandbox, &["status"], &what, false, size, 1, table)?;
    let mount = mounted(&sandbox, size.records)?;
    for args in lists {
        row(&sandbox, args, &what, true, size, size.records, table)?;
    }
    row(&sandbox, &["status"], &what, true, size, 1, table)?;
    drop(mount);
    Ok(())
}

/// Stand-ins at their composers, and records of agents that were stopped.
fn running_among_many(size: &Size, table: &mut String) -> Fallible<()> {
    let sandbox = Sandbox::new();
    for n in size.running..size.records {
        let path = plant(&sandbox, &format!("agent-{n:04}"))?;
        let record = decode_record(&fs::read(&path)?)?;
        fs::write(&path, encode_record(&end(&record, true)?)?)?;
    }
    let mount = sandbox.mount();
    let name = |n: usize| format!("runs-{n:04}");
    for n in 0..size.running {
        fs::create_dir(mount.join(format!("agents/{}", name(n))))?;
    }
    for n in 0..size.running {
        wait_status(&mount, &name(n), "ready")?;
    }
    let what = "as above";
    row(&sandbox, &["list"], what, true, size, size.running, table)?;
    row(&sandbox, &["list", "--all"], what, true, size, size.records, table)?;
    row(&sandbox, &["status"], what, true, size, 1, table)?;
    drop(mount);
    row(&sandbox, &["list"], what, false, size, size.running, table)?;
    row(&sandbox, &["list", "--all"], what, false, size, size.records, table)?;
    row(&sandbox, &["status"], what, false, size, 1, table)
}

/// A mount that lists so many agents.
fn mounted(sandbox: &Sandbox, agents: usize) -> Fallible<Mount> {
    let mount = sandbox.mount();
    let all = || fs::read_dir(mount.join("agents")).is_ok_and(|found| found.count() == agents);
    crate::support::wait("the agents to be listed", all)?;
    let told = || fs::read_to_string(mount.join("index")).is_ok_and(|index| !index.contains("\tstarting\t"));
    crate::support::wait("their sessions to be asked for", told)?;
    Ok(mount)
}

/// Runs one list as often as wanted and adds its row; each time it must list so many.
fn row(
    sandbox: &Sandbox,
    args: &[&str],
    what: &str,
    beside_mount: bool,
    size: &Size,
    listed: usize,
    table: &mut String,
) -> Fallible<()> {
    let mut times = Vec::new();
    let before = childrens_cpu()?;
    for _ in 0..size.rounds {
        let start = Instant::now();
        let output = sandbox.command(troop_bin()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
        times.push(ms(start.elapsed()));
        let found = lines(args, &String::from_utf8(output.stdout)?);
        if !output.status.success() || found != listed {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("troop {}: {found} of {listed}: {errors}", args.join(" ")).into());
        }
    }
    let cpu = (childrens_cpu()? - before) * 1e3 / times.len() as f64;
    let (median, _) = median_and_p95(&mut times);
    let (least, mount) = (times[0], if beside_mount { "yes" } else { "no" });
    *table +=
        &format!("| `troop {}`, {what} | {mount} | {median:.1} | {least:.1} | {cpu:.1} | {GOAL} |\n", args.join(" "));
    Ok(())
}

/// How many agents or Homes were listed.
fn lines(args: &[&str], said: &str) -> usize {
    if args.contains(&"--json") {
        return said.matches("\"backend\":").count();
    }
    match (args, said.lines().count()) {
        // A head, or the sentence that there is nothing.
        (["list", ..], lines) => lines.saturating_sub(1),
        (_, lines) => lines,
    }
}

/// The CPU time of all processes that we started and that have ended, in seconds.
fn childrens_cpu() -> Fallible<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no stat")?.1.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field).ok_or("too few fields")?.parse::<f64>().map_err(|_| "no number");
    // cutime and cstime, the 16th and 17th field of proc_pid_stat(5); the name and what is before it are gone.
    Ok((ticks(13)? + ticks(14)?) / sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64)
}
