//! The plan of the house: a lower room never names a higher one.
//!
//! Each crate's folder is a house, and a folder in it, or a file beside them, a room. Whoever works in a room
//! needs to know those below it, and nothing above. What a file names is read from its text: every path
//! that begins with `crate`, `super` or `self`, in a `use` or elsewhere. The tests at the end of a file may use
//! what they like.

mod circles;
mod cluster;
mod command;
mod core;
mod house;
mod modules;
mod paths;
