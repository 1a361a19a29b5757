//! The pure core of Noether: readings become energy, energy is charged to workloads, and none is lost.
//!
//! No I/O, no clock, no async: the crate is `no_std`, so that is a compile error.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod attribution;
pub mod budget;
pub mod carbon;
pub mod counter;
pub mod domain;
pub mod gpu;
pub mod granularity;
pub mod grid;
pub mod hierarchy;
pub mod idle;
pub mod ledger;
pub mod metric;
pub mod mirror;
pub mod node;
pub mod pci;
pub mod plausible;
pub mod reading;
pub mod roster;
pub mod sample;
pub mod snapshot;
pub mod sockets;
pub mod split;
pub mod standstill;
pub mod text;
pub mod units;
pub mod usage;
pub mod vitals;
pub mod window;
pub mod workload;
