//! `docs/SEMANTICS.md`, proven: each of its paragraphs stands above the test of its name.

mod answers;
mod ask;
mod document;
mod ends;
mod evidence;
mod faults;
mod glance;
mod gone;
mod history;
mod keyboard;
mod listing;
mod names;
mod prompt;
mod queue;
mod reading;
mod records;
mod refusal;
mod rounds;
mod scripts;
mod sources;
mod state;
mod submit;
mod transcript;
mod tree;
mod turns;
mod waits;
mod world;

pub use world::{LIMIT, World, have, plant, record};
