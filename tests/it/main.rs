//! One test binary, so that nothing is forgotten.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![allow(unreachable_pub, reason = "a binary has no outside; `pub` says what a module offers the others")]

mod cli;
mod dashboard;
mod examples;
mod hostile;
mod json;
mod mount;
mod names;
mod real_codex;
mod real_gemini;
mod real_headless;
mod real_houmao;
mod real_kimicode;
mod real_support;
mod semantics;
mod stand_in;
mod store;
mod support;
mod tidy;
mod tmux;
mod tracking;
mod transcript;
mod tree;
mod users;
