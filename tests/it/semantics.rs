//! `docs/SEMANTICS.md`, proven: each of its paragraphs stands above the test of its name.

mod answers;
mod document;
mod ends;
mod evidence;
mod gone;
mod keyboard;
mod listing;
mod names;
mod prompt;
mod queue;
mod reading;
mod records;
mod refusal;
mod sources;
mod state;
mod submit;
mod tree;
mod turns;
mod world;

pub use world::{World, have, plant, record};
