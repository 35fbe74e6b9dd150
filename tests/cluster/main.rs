//! One consistent pause across hosts: the engines, the protocol on them, and what goes wrong.

#[allow(dead_code, reason = "other suites use the rest")]
#[path = "../common"]
mod common {
    pub mod chance;
    pub mod comma;
    pub mod faketime;
    pub mod process;
    pub mod skip;
    pub mod time;
}
use common::{chance, skip};

mod child;
#[macro_use]
mod conformance;
mod demo;
mod etcd;
mod fake;
mod faults;
mod group;
mod protocol;
mod proxy;
mod security;
mod servers;
mod simulation;
mod verbs;
