//! Kernel requests to `tree` and `port`, errors to errno.

mod errno;
mod filesystem;
mod handle;
mod invalidate;
