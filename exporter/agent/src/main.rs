//! The `noether` program: only wires.

#[allow(dead_code, unused_imports, reason = "until main is wired")]
pub mod settings;

fn main() {}
