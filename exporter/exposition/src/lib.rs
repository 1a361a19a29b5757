//! How a snapshot leaves Noether: one file per protocol.
