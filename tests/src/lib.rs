//! Fixtures and the simulated machine.
