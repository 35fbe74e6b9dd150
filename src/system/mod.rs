//! The machine: what the kernel, the compiler and the environment give to any program.
//!
//! Uses no other room, and knows no barrier. Right about how each system call is made and what its answers
//! mean: one that was interrupted, one that cannot be asked, a number that is taken.

pub(crate) mod calls;
pub(crate) mod environment;
pub(crate) mod file_lock;
pub(crate) mod membarrier;
pub(crate) mod proc;
pub(crate) mod signals;
pub(crate) mod source_line;
pub(crate) mod standard;
