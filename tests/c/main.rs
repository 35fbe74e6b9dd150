//! The C library, used by real C programs that are compiled here against its header.
//!
//! Most programs beside this file are small suites of their own (see `check.h`): each is run as it is,
//! under valgrind, and compiled with gcc's sanitizers.

#[path = "../common/mod.rs"]
mod common;
mod harness;

mod archive;
mod assertions;
mod calls;
mod closed;
mod daemon;
mod examples;
mod header;
mod install;
mod loads;
mod lost;
mod manual;
mod programs;
mod setid;
