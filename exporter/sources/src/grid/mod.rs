//! The electricity grid: how much carbon its power carries, by shipped tables and by those who publish it live.

pub mod generation;
pub mod zones;
