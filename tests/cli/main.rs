//! The command, as its users meet it: one file per verb, one for signals, one for nesting, one for
//! bad days.

mod bad_days;
mod create;
mod harness;
mod nesting;
mod recover;
mod run;
mod signals;
mod status;
