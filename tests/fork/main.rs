//! Fork in every form, exec, descriptor games, confinement, containers, threads and signal handlers: a live
//! writer is never taken for dead, a dead one never for alive, and this boot never for another.
//!
//! What would disturb a test program that runs other tests is done by participants.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod confined;
mod containers;
mod descriptors;
mod detectors;
mod guards;
mod signals;
mod threads;
mod ways;
