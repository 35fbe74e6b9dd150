//! What goes wrong with a group, done to it: real servers of etcd, real barriers, and a process for each agent, each
//! coordinator and each writer.
//!
//! Whatever happens: what is called complete shows one moment, no writer stands longer than the limit allows, and the
//! next snapshot succeeds. The checker that says so is shown to notice.

mod agents;
mod coordinators;
mod engines;
mod many;
mod networks;
mod scene;
mod torn;
