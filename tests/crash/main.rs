//! Bad days: participants that are killed, stopped or dump core at any moment, a full table of slots,
//! and bytes that nobody should have written.

#[path = "../common/mod.rs"]
mod common;

mod cut;
mod full;
mod holders;
mod hostile;
mod writers;
