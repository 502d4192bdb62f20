//! Waiting for what another process does, with a limit and a last look.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Between two looks at something that raises no event.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Looks until it gives `Ok`, and panics with the last `Err` when `limit` has passed.
#[track_caller]
pub fn wait_until<T, E: Debug>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= deadline => panic!("waited {limit:?} for {what}; last saw: {seen:?}"),
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// The same for a plain condition, where there is nothing to show but that it does not hold.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_until(what, limit, || if holds() { Ok(()) } else { Err("it does not hold") });
}
