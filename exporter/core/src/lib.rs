//! The pure core of Noether: readings become energy, energy is charged to workloads, and none is lost.
//!
//! No I/O, no clock, no async: the crate is `no_std`, so that is a compile error.
#![no_std]

extern crate alloc;

pub mod reading;
pub mod sample;
pub mod units;
pub mod workload;
