//! Dying at a named point, for tests: whatever is killed between two effects must leave something that the next process
//! understands. Only builds with debug assertions have it, so no program that somebody installs can be told to die.

/// The variable that names the point, as `NAME` or `NAME:N` for the Nth time that it is reached.
#[cfg(debug_assertions)]
const VARIABLE: &str = "TROOP_CRASH_AT";

/// Ends this process as SIGKILL would if a test asked for it at this point.
#[cfg(debug_assertions)]
pub(super) fn here(point: &str) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static REACHED: AtomicUsize = AtomicUsize::new(0);
    let Ok(wanted) = std::env::var(VARIABLE) else { return };
    let (name, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if name == point && (REACHED.fetch_add(1, Ordering::SeqCst) + 1).to_string() == count {
        let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Nothing, in a release.
#[cfg(not(debug_assertions))]
pub(super) fn here(_point: &str) {}
