//! The only reading of the clock.

use jiff::Timestamp;

/// The time in whole milliseconds, rounded down: finer times tell people nothing
/// and make every file that shows one longer.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
