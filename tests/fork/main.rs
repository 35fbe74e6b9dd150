//! Fork in every form, exec, descriptor games, confinement, threads and signal handlers: a live writer
//! is never taken for dead, and a dead one never for alive.
//!
//! What would disturb a test program that runs other tests is done by participants.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod confined;
mod descriptors;
mod guards;
mod signals;
mod threads;
mod ways;
