//! Decides. Facts go in, snapshots and effects come out; nothing here reads a
//! clock, a file or a terminal.

mod chronicle;
mod compose;
mod plan;
mod world;

pub use plan::{Effect, LaunchOrder, plan};
pub use world::{Agent, Fact, Note, World};

#[cfg(test)]
mod tests;
