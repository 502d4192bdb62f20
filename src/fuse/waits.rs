//! Reads that wait: parked here, answered when what they wait for has come, and when
//! a signal calls their caller away.
//!
//! One thread serves all of them. It sleeps until a snapshot is published, a moment
//! comes at which a condition holds by itself, or, while a read is parked, the next
//! look for signals: fuser answers the kernel's FUSE_INTERRUPT with ENOSYS, and then
//! nothing else tells of a Ctrl-C, not even of SIGKILL (fuse-and-tmux, D3).

use super::awaits::Given;
use super::errno::errno;
use super::handle::Handle;
use super::refuse::refuse;
use crate::model::{Actor, Snapshot};
use crate::port::Port;
use crate::process::{self, Caller};
use fuser::{Errno, FileHandle, PollEvents, PollNotifier, ReplyData};
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most reads parked at once; one more is EAGAIN.
pub(super) const MAX_PARKED: usize = 4096;
/// Between two looks for signals, while a read is parked.
const TICK: Duration = Duration::from_millis(100);
/// Every caller is looked at once in so many ticks, so that a thousand cost less than 1 %
/// of a core (docs/BENCHMARKS.md) and each is answered within a second.
const ROUND: usize = 8;
/// As many callers are looked at in every tick.
const EVERY_TICK: usize = 16;
/// Whether the mount was taken away is asked once in so many ticks: the answer is in a table of all mounts.
const ASK_DETACHED: usize = 5;
/// How long a caller waits at most that cannot be seen: it may have been called away.
const UNSEEN_LIMIT: Duration = Duration::from_millis(900);

/// A read, while nothing has come yet.
pub(super) struct Read {
    pub(super) handle: Arc<Handle>,
    /// The most bytes it takes.
    pub(super) size: u32,
    /// Whose it is.
    pub(super) uid: u32,
    /// The thread that reads.
    pub(super) thread: u32,
    pub(super) reply: ReplyData,
}

struct Parked {
    read: Read,
    /// The thread that waits; none when it cannot be seen.
    caller: Option<Arc<Caller>>,
    since: Instant,
}

/// Everything that waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Waits(Arc<Shared>);

struct Shared {
    port: Port,
    state: Mutex<State>,
    /// Something is to be done.
    stirred: Condvar,
}

#[derive(Default)]
struct State {
    /// By arrival.
    reads: BTreeMap<u64, Parked>,
    arrivals: u64,
    /// The read whose caller was looked at last.
    looked_at: u64,
    /// Who is to be told when an open file can be read.
    polls: HashMap<u64, (Arc<Handle>, PollNotifier)>,
    /// Something may have come.
    fresh: bool,
    /// When something may come by itself.
    again_at: Option<Timestamp>,
    /// The mount ends: nothing waits any more.
    ended: bool,
}

impl Waits {
    pub(super) fn new(port: Port) -> Self {
        let waits = Self(Arc::new(Shared { port: port.clone(), state: Mutex::default(), stirred: Condvar::new() }));
        let shared = Arc::downgrade(&waits.0);
        port.on_publish(move || {
            if let Some(shared) = shared.upgrade() {
                shared.stir();
            }
        });
        waits
    }

    /// Answers a read, or parks it until there is an answer.
    pub(super) fn read(&self, read: Read, may_wait: bool) {
        match self.look_at(&read) {
            (Given::Later, _) => {}
            (given, _) => return self.0.answer(read, None, given),
        }
        if !may_wait {
            return read.reply.error(Errno::EAGAIN);
        }
        let caller = Caller::of(read.thread).map(Arc::new);
        let mut state = self.0.state.lock();
        if state.ended {
            drop(state);
            return read.reply.error(Errno::ESRCH);
        }
        if state.reads.len() >= MAX_PARKED {
            drop(state);
            return read.reply.error(Errno::EAGAIN);
        }
        // Whatever is published from here on finds it parked.
        match self.look_at(&read) {
            (Given::Later, again) => {
                state.arrivals += 1;
                let number = state.arrivals;
                state.wake_at(again);
                state.reads.insert(number, Parked { read, caller, since: Instant::now() });
                self.0.stirred.notify_one();
            }
            (given, _) => {
                drop(state);
                self.0.answer(read, caller.as_deref(), given);
            }
        }
    }

    fn look_at(&self, read: &Read) -> (Given, Option<Timestamp>) {
        look_at(&read.handle, read.size, &self.0.port.snapshot(), Timestamp::now())
    }

    /// Which of `POLLIN` and `POLLOUT` hold for an open file; `notifier` is kept to tell when it can be read.
    pub(super) fn poll(&self, fh: FileHandle, handle: &Arc<Handle>, notifier: Option<PollNotifier>) -> PollEvents {
        let mut events = PollEvents::empty();
        events.set(PollEvents::POLLOUT, handle.writer.is_some());
        let mut state = self.0.state.lock();
        let (is_readable, again) = is_readable(handle, &self.0.port.snapshot(), Timestamp::now());
        if is_readable || state.ended {
            return events | PollEvents::POLLIN;
        }
        if let Some(notifier) = notifier {
            state.wake_at(again);
            state.polls.insert(fh.0, (handle.clone(), notifier));
            self.0.stirred.notify_one();
        }
        events
    }

    /// Nobody has that file open any more.
    pub(super) fn forget(&self, fh: FileHandle) {
        self.0.state.lock().polls.remove(&fh.0);
    }

    /// Looks again at everything that waits.
    pub(super) fn stir(&self) {
        self.0.stir();
    }

    /// Answers every read with ESRCH, and every later one: the mount ends.
    pub(super) fn end(&self) {
        self.0.state.lock().ended = true;
        self.0.stirred.notify_one();
        self.0.answer_all();
    }

    /// Serves what is parked until the mount ends. `is_detached` says whether the mount has
    /// been taken away from the tree of files: then whoever still waits would keep it alive.
    pub(super) fn run(&self, mut is_detached: impl FnMut() -> bool) {
        let (mut next_tick, mut ticks) = (Instant::now(), 0_usize);
        while self.0.sleep(next_tick) {
            self.0.look();
            if Instant::now() >= next_tick {
                self.0.watch();
                ticks = ticks.wrapping_add(1);
                if ticks.is_multiple_of(ASK_DETACHED) && is_detached() {
                    self.0.answer_all();
                }
                next_tick = Instant::now() + TICK;
            }
        }
    }
}

impl Shared {
    fn stir(&self) {
        let mut state = self.state.lock();
        if !state.is_idle() {
            state.fresh = true;
            self.stirred.notify_one();
        }
    }

    /// Sleeps until there is something to do; `false` when the mount ends.
    fn sleep(&self, next_tick: Instant) -> bool {
        let mut state = self.state.lock();
        while !state.ended {
            let until = state.next_look(next_tick);
            if state.fresh || until.is_some_and(|until| until <= Instant::now()) {
                return true;
            }
            match until {
                Some(until) => drop(self.stirred.wait_until(&mut state, until)),
                None => self.stirred.wait(&mut state),
            }
        }
        false
    }

    /// Answers everybody for whom something has come.
    fn look(&self) {
        let mut state = self.state.lock();
        let due = state.again_at.is_some_and(|at| at <= Timestamp::now());
        if !std::mem::take(&mut state.fresh) && !due {
            return;
        }
        let (snapshot, now, mut again) = (self.port.snapshot(), Timestamp::now(), None);
        let mut given = Vec::new();
        for (number, parked) in &state.reads {
            match look_at(&parked.read.handle, parked.read.size, &snapshot, now) {
                (Given::Later, at) => again = [again, at].into_iter().flatten().min(),
                (come, _) => given.push((*number, come)),
            }
        }
        let mut told = Vec::new();
        state.polls.retain(|_, (handle, notifier)| {
            let (readable, at) = is_readable(handle, &snapshot, now);
            again = [again, at].into_iter().flatten().min();
            if readable {
                told.push(notifier.clone());
            }
            !readable
        });
        state.again_at = again;
        let given: Vec<_> =
            given.into_iter().filter_map(|(number, come)| Some((state.reads.remove(&number)?, come))).collect();
        drop(state);
        for (parked, come) in given {
            self.answer(parked.read, parked.caller.as_deref(), come);
        }
        told.into_iter().for_each(tell);
    }

    /// Answers with EINTR whoever a signal calls away, of those whose turn it is to be looked at.
    fn watch(&self) {
        let mut state = self.state.lock();
        let unseen = state.reads.iter().filter(|(_, parked)| parked.is_unseen_for_long());
        let mut away: Vec<u64> = unseen.map(|(number, _)| *number).collect();
        let (count, after) = (state.reads.len().div_ceil(ROUND).max(EVERY_TICK), state.looked_at);
        let round = state.reads.range(after + 1..).chain(state.reads.range(..=after)).take(count);
        let round: Vec<_> = round.map(|(number, parked)| (*number, parked.caller.clone())).collect();
        state.looked_at = round.last().map_or(after, |(number, _)| *number);
        drop(state);
        let called = round.into_iter().filter(|(_, caller)| caller.as_ref().is_some_and(|caller| caller.has_signal()));
        away.extend(called.map(|(number, _)| number));
        if away.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let away: Vec<Parked> = away.iter().filter_map(|number| state.reads.remove(number)).collect();
        drop(state);
        away.into_iter().for_each(|parked| parked.read.reply.error(Errno::EINTR));
    }

    fn answer_all(&self) {
        let mut state = self.state.lock();
        let (reads, polls) = (std::mem::take(&mut state.reads), std::mem::take(&mut state.polls));
        drop(state);
        reads.into_values().for_each(|parked| parked.read.reply.error(Errno::ESRCH));
        polls.into_values().for_each(|(_, notifier)| tell(notifier));
    }

    fn answer(&self, read: Read, caller: Option<&Caller>, given: Given) {
        match given {
            Given::Bytes(bytes) => read.reply.data(&bytes),
            Given::Error(error, true) => read.reply.error(errno(error.kind())),
            Given::Error(error, false) => {
                let pid = caller.map(Caller::process).or_else(|| process::thread_group(read.thread)).unwrap_or(0);
                let actor = Actor::Mount { uid: read.uid, pid, program: process::name(pid) };
                let reply = read.reply;
                refuse(&self.port, read.handle.node, error, actor, move |number| reply.error(number));
            }
            Given::Later => read.reply.error(Errno::EAGAIN),
        }
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.reads.is_empty() && self.polls.is_empty()
    }

    fn wake_at(&mut self, at: Option<Timestamp>) {
        self.again_at = [self.again_at, at].into_iter().flatten().min();
    }

    /// When there is something to do without anybody saying so.
    fn next_look(&self, next_tick: Instant) -> Option<Instant> {
        let tick = (!self.reads.is_empty()).then_some(next_tick);
        let again = self.again_at.map(|at| {
            Instant::now() + Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO)
        });
        [tick, again].into_iter().flatten().min()
    }
}

impl Parked {
    fn is_unseen_for_long(&self) -> bool {
        self.caller.is_none() && self.since.elapsed() >= UNSEEN_LIMIT
    }
}

/// What a read gives now, and when it may give something without a change.
fn look_at(handle: &Handle, size: u32, snapshot: &Snapshot, now: Timestamp) -> (Given, Option<Timestamp>) {
    let Some(awaits) = &handle.awaits else { return (Given::Bytes(Vec::new()), None) };
    let mut awaits = awaits.lock();
    let again = awaits.look(snapshot, now);
    (awaits.take(size), again)
}

/// Whether a read would not wait, and when that may change by itself.
fn is_readable(handle: &Handle, snapshot: &Snapshot, now: Timestamp) -> (bool, Option<Timestamp>) {
    let Some(awaits) = &handle.awaits else { return (true, None) };
    let mut awaits = awaits.lock();
    let again = awaits.look(snapshot, now);
    (awaits.is_readable(), again)
}

fn tell(notifier: PollNotifier) {
    if let Err(error) = notifier.notify() {
        tracing::debug!(%error, "the kernel did not take that a file can be read");
    }
}
