//! How a snapshot leaves Noether: one file per protocol, and one walk of the page for all of them.

pub mod otlp;
mod page;
pub mod prometheus;
