//! `docs/SEMANTICS.md`, proven: each of its paragraphs stands above the test of its name.

mod ask;
mod document;
mod ends;
mod evidence;
mod gone;
mod keyboard;
mod listing;
mod names;
mod prompt;
mod reading;
mod records;
mod refusal;
mod sources;
mod state;
mod tree;
mod waits;
mod world;

pub use world::{World, have, plant, record};
