//! One test binary, so that nothing is forgotten.
mod store;
