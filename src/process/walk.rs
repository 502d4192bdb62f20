//! From a pane's first process to all that descend from it.

use super::stat::Stat;
use crate::model::{Process, Programs};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The most processes of one pane that are listed, nearest to the root first.
pub const MAX_PROCESSES: usize = 256;

/// How much of `/proc/PID/cmdline` is read.
pub const MAX_ARGV_BYTES: u64 = 4096;

/// A stat line has 52 numbers and a name of 15 bytes.
const MAX_STAT_BYTES: u64 = 4096;

/// `/proc/stat` has a line for each processor, and one with a number for each interrupt.
const MAX_SYSTEM_STAT_BYTES: u64 = 1 << 20;

/// In what `/proc` tells times (USER_HZ): 100 on every architecture of Linux but Alpha and Itanium (time(7)).
const TICKS_PER_SECOND: u64 = 100;

/// How much of a thread's list of children is read: room for more than [`MAX_PROCESSES`].
const MAX_CHILDREN_BYTES: u64 = 16 * 1024;

/// The programs that run in a pane whose first process is `pane_pid`, or `None` when
/// that has ended.
pub fn programs(pane_pid: i32) -> Option<Programs> {
    programs_under(Path::new("/proc"), pane_pid)
}

/// Field 22 of `/proc/PID/stat`, which with the pid identifies a process; `None` when it has ended.
pub fn start_time(pid: i32) -> Option<u64> {
    stat(Path::new("/proc"), pid).filter(|stat| !stat.has_ended()).map(|stat| stat.start_time)
}

/// When the process of that id started, as far as the clock was not set since; `None` when it has ended.
pub fn started_at(pid: i32) -> Option<Timestamp> {
    let text = read(Path::new("/proc/stat"), MAX_SYSTEM_STAT_BYTES)?;
    // The time of boot, in seconds (proc_stat(5)).
    let boot =
        String::from_utf8_lossy(&text).lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
    let since_boot = start_time(pid)? / TICKS_PER_SECOND;
    Timestamp::from_second(boot).ok()?.checked_add(SignedDuration::from_secs(since_boot.try_into().ok()?)).ok()
}

/// The process of that id; `None` when it has ended.
pub fn process(pid: i32) -> Option<Process> {
    let proc = Path::new("/proc");
    let stat = stat(proc, pid).filter(|stat| !stat.has_ended())?;
    Some(Process { pid, start_time: stat.start_time, comm: stat.comm, argv: argv(proc, pid) })
}

/// Whether the process of that id calls itself so, and a signal or a debugger keeps it from running.
pub(super) fn is_stopped(pid: i32, name: &str) -> bool {
    stat(Path::new("/proc"), pid).is_some_and(|stat| stat.comm == name && stat.is_stopped())
}

/// The parent of the process of that id; `None` when it has ended.
pub(super) fn parent(pid: i32) -> Option<i32> {
    stat(Path::new("/proc"), pid).map(|stat| stat.parent)
}

/// Whether a signal is ending that process: its files are closed as at its end, and
/// only this tells Ctrl-C from Ctrl-D (fuse-and-tmux, D6). `false` when it cannot be seen.
pub fn was_signalled(pid: u32) -> bool {
    i32::try_from(pid).ok().and_then(|pid| stat(Path::new("/proc"), pid)).is_some_and(|stat| stat.is_signalled())
}

/// The process that a thread belongs to, which its first thread's id names; `None` when it
/// cannot be seen. The kernel tells a filesystem the thread that calls it (proc_pid_status(5)).
pub fn thread_group(thread: u32) -> Option<u32> {
    let status = read(Path::new(&format!("/proc/{thread}/status")), MAX_STAT_BYTES)?;
    String::from_utf8_lossy(&status).lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

/// What a process calls itself, without control characters; `None` when it cannot be seen. Any
/// process may take any name (prctl(2)).
pub fn name(pid: u32) -> Option<String> {
    let comm = read(Path::new(&format!("/proc/{pid}/comm")), MAX_STAT_BYTES)?;
    Some(String::from_utf8_lossy(&comm).chars().filter(|c| !c.is_control()).collect())
}

fn programs_under(proc: &Path, root: i32) -> Option<Programs> {
    let first = stat(proc, root).filter(|stat| !stat.has_ended())?;
    let terminal_group = first.terminal_group;
    let mut parents = None;
    let mut seen = HashSet::from([root]);
    let mut found = vec![(root, first)];
    let mut next = 0;
    while next < found.len() && found.len() < MAX_PROCESSES {
        let pid = found[next].0;
        next += 1;
        let children = children(proc, pid).unwrap_or_else(|| {
            parents.get_or_insert_with(|| children_by_parent(proc)).remove(&pid).unwrap_or_default()
        });
        for child in children {
            // A process may be adopted, or its pid reused, between two looks.
            if found.len() < MAX_PROCESSES
                && seen.insert(child)
                && let Some(stat) = stat(proc, child).filter(|stat| stat.parent == pid && !stat.has_ended())
            {
                found.push((child, stat));
            }
        }
    }
    let in_front = |stat: &Stat| stat.group == terminal_group && !stat.is_stopped();
    let foreground = found.iter().filter(|(_, stat)| in_front(stat)).map(|(pid, _)| *pid).collect();
    let all = found
        .into_iter()
        .map(|(pid, stat)| Process { pid, start_time: stat.start_time, comm: stat.comm, argv: argv(proc, pid) })
        .collect();
    Some(Programs { all, foreground })
}

/// The children of every thread of a process, `None` where the kernel keeps no such list
/// (it needs CONFIG_PROC_CHILDREN).
fn children(proc: &Path, pid: i32) -> Option<Vec<i32>> {
    let Ok(threads) = std::fs::read_dir(proc.join(format!("{pid}/task"))) else { return Some(Vec::new()) };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match read(&thread.path().join("children"), MAX_CHILDREN_BYTES) {
            Some(bytes) => {
                children.extend(
                    String::from_utf8_lossy(&bytes).split_ascii_whitespace().filter_map(|p| p.parse::<i32>().ok()),
                );
            }
            // The thread has ended, or there are no such lists.
            None if thread.path().exists() => return None,
            None => {}
        }
    }
    Some(children)
}

/// The same from a look at every process there is.
fn children_by_parent(proc: &Path) -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(stat) = stat(proc, pid)
        {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    children
}

fn stat(proc: &Path, pid: i32) -> Option<Stat> {
    Stat::parse(&read(&proc.join(format!("{pid}/stat")), MAX_STAT_BYTES)?)
}

fn argv(proc: &Path, pid: i32) -> Vec<String> {
    let bytes = read(&proc.join(format!("{pid}/cmdline")), MAX_ARGV_BYTES).unwrap_or_default();
    if bytes.is_empty() {
        return Vec::new();
    }
    let arguments = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    arguments.split(|b| *b == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// The first `limit` bytes of a file, `None` when it is not there any more.
fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `/proc` of files: pid, parent, group, state, children lists or none.
    fn fake(processes: &[(i32, i32, i32, char)], lists: bool) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for &(pid, parent, group, state) in processes {
            let task = proc.path().join(format!("{pid}/task/{pid}"));
            std::fs::create_dir_all(&task).unwrap();
            let stat =
                format!("{pid} (p {pid}) {state} {parent} {group} 1 5 20 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid}00 0 0\n");
            std::fs::write(proc.path().join(format!("{pid}/stat")), stat).unwrap();
            std::fs::write(proc.path().join(format!("{pid}/cmdline")), format!("p\0{pid}\0\0")).unwrap();
            if lists {
                let children = processes.iter().filter(|p| p.1 == pid).map(|p| format!("{} ", p.0));
                std::fs::write(task.join("children"), children.collect::<String>()).unwrap();
            }
        }
        proc
    }

    #[test]
    fn with_and_without_lists_of_children() {
        let processes = [(10, 1, 10, 'S'), (11, 10, 20, 'R'), (12, 11, 20, 'S'), (13, 10, 13, 'Z'), (14, 1, 20, 'S')];
        for lists in [true, false] {
            let proc = fake(&processes, lists);
            let programs = programs_under(proc.path(), 10).unwrap();
            let pids: Vec<_> = programs.all.iter().map(|p| p.pid).collect();
            assert_eq!(pids, [10, 11, 12], "lists: {lists}");
            assert_eq!(programs.foreground, [11, 12]);
            assert_eq!(programs.all[1].argv, ["p", "11", ""]);
            assert_eq!((programs.all[1].start_time, programs.all[1].comm.as_str()), (1100, "p 11"));
        }
    }

    #[test]
    fn a_stopped_program_is_not_in_front() {
        for (state, foreground) in [('R', vec![11]), ('T', vec![]), ('t', vec![])] {
            let proc = fake(&[(10, 1, 10, 'S'), (11, 10, 20, state)], true);
            assert_eq!(programs_under(proc.path(), 10).unwrap().foreground, foreground, "{state}");
        }
    }

    #[test]
    fn what_has_ended_is_absent() {
        let proc = fake(&[(10, 1, 10, 'Z')], true);
        assert_eq!(programs_under(proc.path(), 10), None);
        assert_eq!(programs_under(proc.path(), 99), None);
    }

    #[test]
    fn a_circle_ends() {
        let proc = fake(&[(10, 11, 10, 'S'), (11, 10, 10, 'S')], true);
        assert_eq!(programs_under(proc.path(), 10).unwrap().all.len(), 2);
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let process = std::process::id();
        let in_a_thread = || {
            let thread = nix::unistd::gettid().as_raw().unsigned_abs();
            (thread, thread_group(thread))
        };
        let (thread, seen) = std::thread::spawn(in_a_thread).join().unwrap();
        assert_ne!(thread, process);
        assert_eq!((name(process).is_some_and(|name| !name.contains('\n')), name(0)), (true, None));
        assert_eq!((seen, thread_group(process), thread_group(0)), (Some(process), Some(process), None));
    }

    #[test]
    fn our_own_start_is_a_moment_ago() {
        let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let ago = Timestamp::now().duration_since(started_at(child.id().cast_signed()).unwrap());
        let mut child = child;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!((-2..=2).contains(&ago.as_secs()), "{ago}");
        assert_eq!(started_at(0), None);
    }

    #[test]
    fn our_own_process_is_found() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let programs = programs(pid).unwrap();
        assert_eq!(programs.all[0].pid, pid);
        assert_eq!(Some(programs.all[0].start_time), start_time(pid));
        assert_eq!(programs.all[0].argv, std::env::args().collect::<Vec<_>>());
    }
}
