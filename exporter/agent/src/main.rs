//! The `noether` program: only wires.

fn main() {}
