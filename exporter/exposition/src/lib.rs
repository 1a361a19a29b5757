//! How a snapshot leaves Noether: one file per protocol.

pub mod prometheus;
