//! What reads that wait cost, and how soon they go on.

use crate::cost::Groups;
use crate::support::{Fallible, Mount, Sandbox, launch, median_and_p95, ms, wait, wait_status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Until nothing settles any more.
const REST: Duration = Duration::from_secs(10);

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (many, times, time) = if measuring { (1000, 20, 20) } else { (3, 1, 1) };
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    for name in ["asked", "still"] {
        launch(&sandbox, name, &[])?;
        wait_status(&mount, name, "ready")?;
    }
    let mut costs = "| reads that wait | % of a core | wakeups/s |\n|---:|---:|---:|\n".to_owned();
    let mut delays =
        "| from | to | others that wait | times | median ms | 95 of 100 | goal |\n|---|---|---:|---:|---:|---:|---:|\n"
            .to_owned();
    let mut cats = Vec::new();
    for others in [0, 1, many] {
        while cats.len() < others {
            cats.push(cat(&sandbox, &mount)?);
        }
        wait("all of them to wait", || cats.iter().all(|cat: &Child| waits_in_the_kernel(cat.id())))?;
        if measuring {
            std::thread::sleep(REST);
        }
        let spent = Groups::daemon(&mount).watch(Duration::from_secs(time))?;
        costs += &format!("| {others} | {:.2} | {:.1} |\n", spent.core(1) * 100.0, spent.wakeups(1));
        if others == 1 {
            continue;
        }
        let mut row = |from: &str, to: &str, mut values: Vec<f64>, goal: &str| {
            let (median, p95) = median_and_p95(&mut values);
            delays += &format!("| {from} | {to} | {others} | {} | {median:.1} | {p95:.1} | {goal} |\n", values.len());
        };
        row("close(2) of a prompt", "a read of `wait/change` returns", wakes(&mount, times)?, "20");
        row("Ctrl-C", "a `cat` that waits has ended", signals(&sandbox, &mount, times)?, "1000");
    }
    for cat in &cats {
        kill(Pid::from_raw(cat.id().cast_signed()), Signal::SIGKILL)?;
    }
    for mut cat in cats {
        cat.wait()?;
    }
    Ok(format!("`cat wait/gone`, each a process, {time} s; the goal is 1 % for {many}\n\n{costs}\n{delays}"))
}

/// `cat` of a file that will not be satisfied.
fn cat(sandbox: &Sandbox, mount: &Mount) -> Fallible<Child> {
    let mut command = sandbox.command("cat");
    Ok(command.arg(mount.join("agents/still/wait/gone")).stdout(Stdio::null()).spawn()?)
}

fn waits_in_the_kernel(thread: u32) -> bool {
    fs::read_to_string(format!("/proc/{thread}/wchan")).is_ok_and(|wchan| wchan.contains("request_wait_answer"))
}

/// A prompt makes its agent pending before its close returns.
fn wakes(mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    (0..count)
        .map(|_| {
            wait_status(mount, "asked", "ready")?;
            let mut waiting = File::open(mount.join("agents/asked/wait/change"))?;
            let (told, tid) = channel();
            let reader = std::thread::spawn(move || {
                let _ = told.send(nix::unistd::gettid().as_raw().unsigned_abs());
                let mut line = String::new();
                waiting.read_to_string(&mut line).map(|_| (line, Instant::now()))
            });
            let tid = tid.recv()?;
            wait("it to wait", || waits_in_the_kernel(tid))?;
            let mut prompt = File::options().write(true).open(mount.join("agents/asked/prompt"))?;
            prompt.write_all(b"sim:say=x")?;
            let start = Instant::now();
            drop(prompt);
            let (line, woken) = reader.join().map_err(|_| "the reader failed")??;
            if !line.starts_with("change pending ") {
                return Err(format!("it woke for {line:?}").into());
            }
            Ok(ms(woken.duration_since(start)))
        })
        .collect()
}

fn signals(sandbox: &Sandbox, mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    (0..count)
        .map(|n| {
            let mut cat = cat(sandbox, mount)?;
            wait("it to wait", || waits_in_the_kernel(cat.id()))?;
            // Not always at the same moment of the daemon's round.
            std::thread::sleep(Duration::from_millis(37 * n as u64 % 1000));
            let start = Instant::now();
            kill(Pid::from_raw(cat.id().cast_signed()), Signal::SIGINT)?;
            cat.wait()?;
            Ok(ms(start.elapsed()))
        })
        .collect()
}
