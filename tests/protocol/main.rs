//! The protocol, in one process and across several: who excludes whom, who waits, and for how long.

#[path = "../common/mod.rs"]
mod common;

mod assertions;
mod bare;
mod counted;
mod courtesy;
mod cover;
mod entering;
mod exclusion;
mod fences;
mod foreign;
mod freeze;
mod holders;
mod interrupted;
mod lifecycle;
mod limits;
mod nesting;
mod readmission;
mod replaced;
mod several;
mod taken_at;
mod tools;
mod write_lock;
mod yielding;
