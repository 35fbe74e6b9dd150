//! What is said, and with which exit status.
//!
//! Uses nothing. Right about the numbers being those that the command `stillpoint` documents.

pub mod exit;
pub mod failure;
pub mod lines;
pub mod random;
