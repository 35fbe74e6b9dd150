//! Programs that know nothing of a barrier and are adopted to it.

#[path = "../common/mod.rs"]
mod common;
mod harness;

mod days;
mod gate;
mod programs;
mod scenarios;
mod start;
mod surroundings;
mod tool;
