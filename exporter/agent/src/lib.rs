//! The parts of the `noether` program.

pub mod clock;
pub mod doctor;
pub mod http;
pub mod log;
pub mod meters;
pub mod names;
pub mod node;
pub mod published;
pub mod settings;
pub mod tick;
