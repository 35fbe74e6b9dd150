//! Fault injection.

#[path = "../common/mod.rs"]
mod common;

#[cfg(not(stillpoint_steps))]
mod calls;
mod claims;
#[cfg(not(stillpoint_steps))]
mod commands;
#[cfg(not(stillpoint_steps))]
mod errnos;
mod many;
mod oracle;
mod scene;
mod stage;
#[cfg(stillpoint_steps)]
mod steps;
#[cfg(not(stillpoint_steps))]
mod strace;
