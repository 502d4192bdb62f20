//! One test binary, so that nothing is forgotten.

mod tmux;

mod support {
    pub(crate) mod tmux;
}
