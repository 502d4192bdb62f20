//! troop: every live AI agent is a directory.
//!
//! The modules and what each may know of are listed in `docs/ARCHITECTURE.md`;
//! `tests/it/tidy.rs` reads that table and fails the build when one is ignored.
//! The library exists for the `troop` program and promises no stability.

pub mod cli;
pub mod command;
pub mod daemon;
pub mod dashboard;
pub mod engine;
pub mod error;
pub mod fuse;
pub mod headless;
pub mod model;
pub mod port;
pub mod process;
pub mod replay;
pub mod stand_in;
pub mod store;
pub mod tmux;
pub mod tool;
pub mod tracker;
pub mod transcript;
pub mod tree;

pub use error::{Error, Kind, Result};
