//! Trees that change as a kernel changes them, and the machine's own.

mod fixture;
mod hybrid;
mod real;
mod v1;
mod v2;
