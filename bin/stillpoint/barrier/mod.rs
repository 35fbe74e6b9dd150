//! What the command adds to the library's barrier: what is known of it on disk, and how a command waits for its
//! exclusive side.
//!
//! It may use words, files and processes. It is right about losses: none is forgotten in a power cut.

pub mod exclusive;
pub mod freezable;
pub mod lost;
pub mod state;
