//! One test binary, so that nothing is forgotten.

mod stand_in;
