//! A host under load, as it is copied: torn without adoption, whole with it.
//!
//! Each test has a short form. `STILLPOINT_HOST_COPIES=100` takes that many copies, and says the figures of them.

#[path = "../common/mod.rs"]
mod common;

mod dovecot;
mod figures;
mod host;
mod moment;
mod postgresql;
mod servers;
mod sqlite;
mod torn;
