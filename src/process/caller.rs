//! A thread that waits inside the kernel for an answer of ours, and whether a signal
//! wants it to stop waiting.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};

/// How much of a file is read: the signals come before what may be long.
const MAX_BYTES: usize = 4096;
/// Where a thread's name ends in the line that begins with it, at the latest: its number and a name of 64 bytes before it.
const MAX_NAME_END: usize = 96;
/// One of so many looks is at everything that may be pending.
const FULL_LOOK: u8 = 8;

/// A thread, held by its open files in `/proc`: another thread that gets the same number
/// later is not mistaken for it.
#[derive(Debug)]
pub struct Caller {
    /// Says all about signals, in twice the time of the other.
    status: File,
    /// Says which signals are pending for the thread alone; SIGKILL is among them from when
    /// any signal has begun to end the process.
    stat: File,
    process: u32,
    /// It has handlers; without one a signal ends it, or stops it.
    handles: bool,
    looks: AtomicU8,
}

impl Caller {
    /// The thread of that id; `None` when it cannot be seen from here (another namespace).
    pub fn of(thread: u32) -> Option<Self> {
        let status = File::open(format!("/proc/{thread}/status")).ok()?;
        // Of the thread alone: that of its process adds up what all threads have used.
        let stat = File::open(format!("/proc/{thread}/task/{thread}/stat")).ok()?;
        let (process, caught) =
            with_text(&status, |text| Some((number(text, "Tgid:", 10)?, number(text, "SigCgt:", 16)?)))?;
        let process = u32::try_from(process).ok()?;
        Some(Self { status, stat, process, handles: caught != 0, looks: AtomicU8::new(0) })
    }

    /// The process it belongs to.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Whether a signal is pending for it that it neither blocks nor ignores. A thread that
    /// cannot be seen any more counts as one that a signal has ended. Of a thread without
    /// handlers, what stops it or makes it dump core (Ctrl-Z, Ctrl-\) is seen by one look of eight.
    pub fn has_signal(&self) -> bool {
        let is_full = self.handles || self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(FULL_LOOK);
        let pending = if is_full { with_text(&self.status, signals) } else { with_bytes(&self.stat, own_signals) };
        pending.is_none_or(|pending| pending != 0)
    }
}

fn with_text<T>(file: &File, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    // A program may give itself a name that is no text; everything else is ASCII.
    with_bytes(file, |bytes| read(&String::from_utf8_lossy(bytes)))
}

fn with_bytes<T>(file: &File, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let mut bytes = [0; MAX_BYTES];
    let count = file.read_at(&mut bytes, 0).ok()?;
    read(&bytes[..count])
}

/// The signals that are pending, neither blocked nor ignored (proc_pid_status(5)).
fn signals(status: &str) -> Option<u64> {
    // They stand together, so one search is enough.
    let start = status.find("\nSigPnd:")?;
    let text = &status[start..];
    let mask = |name: &str| number(text, name, 16);
    Some((mask("SigPnd:")? | mask("ShdPnd:")?) & !mask("SigBlk:")? & !mask("SigIgn:")?)
}

/// The signals that are pending for the thread alone, those it blocks and ignores left out
/// (proc_pid_stat(5), fields 31 to 33, signals up to 31).
fn own_signals(stat: &[u8]) -> Option<u64> {
    // Read a thousand times a second where a thousand wait: the name alone may be no text, so only what is needed is one.
    let name = stat.iter().take(MAX_NAME_END).rposition(|byte| *byte == b')')?;
    let mut fields = stat[name + 1..].split(|byte| *byte == b' ').skip(31 - 2);
    let mut mask = || std::str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
    Some(mask()? & !mask()? & !mask()?)
}

/// The number in the line that begins with `name`.
fn number(text: &str, name: &str, radix: u32) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(line.trim(), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, Signal, kill, raise};
    use nix::unistd::{Pid, gettid};

    #[test]
    fn pending_signals_count_unless_they_are_blocked_or_ignored() {
        let status = |pnd: u64, shared: u64, blk: u64, ign: u64| {
            format!(
                "Name:\tx\nThreads:\t1\nSigPnd:\t{pnd:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blk:016x}\nSigIgn:\t{ign:016x}\nCapInh:\t0\n"
            )
        };
        for (pnd, shared, blk, ign, pending) in [
            (0, 0, 0, 0, 0),
            (2, 0, 0, 0, 2),
            (0, 2, 0, 0, 2),
            (2, 4, 2, 0, 4),
            (2, 4, 2, 4, 0),
            (0x100, 0, 0, 0, 0x100),
        ] {
            assert_eq!(signals(&status(pnd, shared, blk, ign)), Some(pending));
        }
        let stat = |fields: &str| format!("9 (a) b) S {} {fields} 0 17 0\n", "1 ".repeat(27).trim_end());
        for (fields, pending) in [("0 0 0", 0), ("256 0 0", 256), ("258 2 0", 256), ("2 0 2", 0)] {
            assert_eq!(own_signals(stat(fields).as_bytes()), Some(pending), "{fields}");
        }
        assert_eq!((own_signals(b""), own_signals(b"9 (a) S 1 2")), (None, None));
        for bad in ["", "SigPnd:\t0\n", "\nSigPnd:\tx\nShdPnd:\t0\nSigBlk:\t0\nSigIgn:\t0\n"] {
            assert_eq!(signals(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_thread_that_has_ended_waits_no_more() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let caller = Caller::of(child.id()).unwrap();
        assert_eq!((caller.process(), caller.has_signal()), (child.id(), false));
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(caller.has_signal(), "it has ended");
        assert!(Caller::of(0).is_none());
    }

    #[test]
    fn a_blocked_signal_does_not_count_for_its_thread() {
        let thread = std::thread::spawn(|| {
            let mut set = SigSet::empty();
            set.add(Signal::SIGUSR1);
            set.thread_block().unwrap();
            let caller = Caller::of(gettid().as_raw().unsigned_abs()).unwrap();
            raise(Signal::SIGUSR1).unwrap();
            let seen = (0..20).any(|_| caller.has_signal());
            assert_eq!(with_bytes(&caller.stat, own_signals), Some(0));
            // Taken, so that it ends nobody.
            assert_eq!(set.wait().unwrap(), Signal::SIGUSR1);
            (seen, caller.process())
        });
        assert_eq!(thread.join().unwrap(), (false, std::process::id()));
    }
}
