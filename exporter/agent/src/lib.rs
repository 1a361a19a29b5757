//! The parts of the `noether` program.

pub mod aside;
pub mod clock;
pub mod doctor;
pub mod fast;
pub mod grid;
pub mod grid_board;
pub mod http;
mod library_log;
pub mod log;
pub mod meter_log;
pub mod meters;
pub mod names;
pub mod node;
pub mod otlp;
pub mod published;
pub mod pulse;
pub mod sandbox;
pub mod serve;
pub mod settings;
pub mod slow;
pub mod tick;
pub mod units;
pub mod vitals;
pub mod web_config;
pub mod zones;
