//! One test binary, so that nothing is forgotten.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod tmux;

mod support {
    pub(crate) mod tmux;
}
