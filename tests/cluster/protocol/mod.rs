//! The protocol over a store in memory: the real agents and coordinators, with simulated hosts and a clock that jumps
//! to whatever is due next.

mod agents;
mod coordinators;
mod course;
mod members;
mod orders;
mod rivals;
mod settling;
mod stores;
