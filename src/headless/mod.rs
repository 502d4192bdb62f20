//! A turn that is a process of its own: what the lines mean that its program prints, and how it ended. From bytes and
//! facts to values; nothing here starts or reads anything.

mod stream;
mod verdict;

pub use stream::{Heard, Stream};
pub use verdict::{Facts, verdict};
