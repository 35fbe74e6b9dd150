//! The shared side: shares of threads, of tasks, of commands and of other languages, and waiting for them.
//!
//! Uses `barrier` and below. Right about writers: inside only with the gate's consent or under a cover, and never
//! kept waiting longer than a pause may last.

pub(crate) mod admitted;
pub(crate) mod bare;
pub(crate) mod command_loop;
pub(crate) mod command_share;
pub(crate) mod cookie;
pub(crate) mod counted;
pub(crate) mod entering;
pub(crate) mod guard;
pub(crate) mod opening;
#[cfg(test)]
mod strikes;
pub(crate) mod wait;
