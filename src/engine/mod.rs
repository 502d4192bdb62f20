//! Decides. Facts go in, snapshots and effects come out; nothing here reads a
//! clock, a file or a terminal.

mod agent;
mod chronicle;
mod compose;
mod fact;
mod found;
pub mod gc;
mod headless;
#[cfg(test)]
pub(crate) mod made;
mod on_screen;
mod order;
mod plan;
mod recognise;
pub mod recovery;
mod registered;
mod turns;
mod world;

pub use agent::Agent;
pub use fact::{Fact, Note};
pub use order::LaunchOrder;
pub use plan::{Effect, plan};
pub use recognise::{Claim, Recognised, claimed, may_be_agent, recognise};
pub use turns::{Accepted, LATE_TURN, MAX_REPLY_BYTES, MAX_TURN_BYTES, MAX_TURNS, Progress};
pub use world::World;

#[cfg(test)]
mod tests;
