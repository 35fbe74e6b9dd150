//! The gate: the words by which writers and the exclusive side exclude each other.
//!
//! Uses `system`. Right about exclusion and wake-ups, by the order of its stores and fences alone: it knows no
//! file and no process, and the model checker runs `protocol` as it stands here.

pub(crate) mod fence;
pub(crate) mod protocol;
#[cfg(any(stillpoint_steps, test))]
pub(crate) mod steps;
pub(crate) mod sync;
