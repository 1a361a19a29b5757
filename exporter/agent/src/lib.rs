//! The parts of the `noether` program.

pub mod http;
