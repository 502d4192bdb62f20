//! The one bridge between threads.
