//! What the command adds to the library's barrier: what is known of it on disk, and how a command waits for its
//! exclusive side.
//!
//! Uses `process` and below. Right about losses: none is forgotten in a power cut.

pub mod exclusive;
pub mod folder;
pub mod freezable;
pub mod lost;
pub mod recovery;
pub mod state;
