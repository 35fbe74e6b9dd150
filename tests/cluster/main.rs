//! One consistent pause across hosts: the engines, the protocol on them, and what goes wrong.

#[allow(dead_code)]
#[path = "../common/chance.rs"]
mod chance;
#[allow(dead_code)]
#[path = "../common/skip.rs"]
mod skip;

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
