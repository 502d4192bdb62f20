//! The kernel's side of the tree: our own mount and what it takes to own one.

pub mod mount;
pub mod mountinfo;
