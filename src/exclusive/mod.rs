//! The exclusive side: how a pause is reached, held, handed to another process, and ended.
//!
//! Uses `shared` and below. Right about the certificate: who is given it was alone from the grant to the release.

pub(crate) mod acquire;
mod closing;
pub(crate) mod drain;
pub(crate) mod freeze;
pub(crate) mod guard;
pub(crate) mod held;
mod holders;
pub(crate) mod options;
pub(crate) mod pacing;
