//! `docs/SEMANTICS.md`, proven: each of its paragraphs stands above the test of its name.

mod answers;
mod ask;
mod document;
mod ends;
mod evidence;
mod faults;
mod found;
mod gc;
mod gone;
mod headless;
mod headless_crash;
mod history;
mod homes;
mod keyboard;
mod launch;
mod listing;
mod names;
mod prompt;
mod queue;
mod reading;
mod records;
mod recovery;
mod refusal;
mod relaunch;
mod rounds;
mod scripts;
mod sources;
mod state;
mod stop;
mod submit;
mod transcript;
mod tree;
mod turns;
mod waits;
mod world;

pub use world::{LIMIT, World, have, plant, record};
