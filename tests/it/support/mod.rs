//! What the tests stand on: everything private, everything cleaned up.
#![allow(dead_code, unused_imports, reason = "a toolbox: not every tool is in use at every moment")]

pub mod disk;
pub mod hello;
pub mod leaks;
pub mod made;
pub mod mount;
pub mod person;
pub mod sandbox;
pub mod skip;
pub mod tmux;
pub mod user;
pub mod wait;

pub use mount::Mount;
pub use person::Person;
pub use sandbox::Sandbox;
pub use wait::{wait_for, wait_until};
