//! The command, as its users meet it: one file per verb, and one each for the lifetime of a command, for
//! signals, for nesting and for bad days.

#[path = "../common/mod.rs"]
mod common;

mod adopt;
mod adopted_units;
mod advice;
mod bad_days;
mod check;
mod completions;
mod create;
mod empty_file;
mod flock;
mod forbidden;
mod freeze;
mod freeze_job;
mod heirs;
mod inherited;
mod job_init;
mod lifetime;
mod links;
mod losses;
mod modes;
mod nesting;
mod numbers;
mod older;
mod participants;
mod pipes;
mod prometheus;
mod reaper;
mod recover;
mod removed;
mod run;
mod signals;
mod status;
mod usage;
mod who;
