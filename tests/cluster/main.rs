//! One consistent pause across hosts: the engines, the protocol on them, and what goes wrong.

#[macro_use]
mod conformance;
mod fake;
