//! What `/proc` says of a pane's programs: which there are, which of them own the
//! keyboard, and when one ends; and of a caller, whether a signal calls it away.
//!
//! A process that vanishes while it is looked at is an absence, never an error.

mod caller;
mod ended;
mod environ;
mod marked;
mod open;
mod stat;
mod stopped;
mod walk;

pub use caller::Caller;
pub use ended::ended;
pub use environ::{directory, variable};
pub use marked::{MAX_MARKED, marked};
pub use open::{Open, open_files};
pub use stopped::{Stopped, stopped};
pub use walk::{
    MAX_ARGV_BYTES, MAX_PROCESSES, name, process, programs, start_time, started_at, thread_group, was_signalled,
};
