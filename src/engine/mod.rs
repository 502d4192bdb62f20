//! Decides. Facts go in, snapshots and effects come out; nothing here reads a
//! clock, a file or a terminal.

mod agent;
mod chronicle;
mod compose;
mod headless;
mod on_screen;
mod plan;
mod turns;
mod world;

pub use plan::{Effect, LaunchOrder, plan};
pub use turns::{Accepted, LATE_TURN, MAX_REPLY_BYTES, MAX_TURN_BYTES, MAX_TURNS, Progress};
pub use world::{Agent, Fact, Note, World};

#[cfg(test)]
mod tests;
