//! One test binary, so that nothing is forgotten.

mod real_gemini;
mod real_houmao;
mod real_support;
