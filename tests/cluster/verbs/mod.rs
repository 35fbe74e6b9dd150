//! What a user types and what he gets: every verb of `stillpoint-cluster`, with hosts that have a barrier, a store, a
//! catalogue and an agent each, over a real etcd.

mod bad_hosts;
mod engine;
mod everyday;
mod history;
mod members;
mod settling;
mod shapes;
mod site;
mod strangers;
mod surroundings;
mod usage;
mod watch;
