//! The service of a host: it obeys epochs, drives the host's own side of them, and says how far it is.
//!
//! Its loop waits for nothing but news. What takes time (a session, a report, the reading of a verdict, being
//! registered) is a task beside it, and its end is news too.
//!
//! Uses `host`, `record`, `store` and `words`. Right about what a host has promised: no epoch is obeyed twice or after
//! a later one, over restarts too, and a gate is not closed again before it was open for long enough.

mod asking;
pub mod machine;
pub mod notebook;
mod part;
mod place;
mod presence;
mod reporting;
pub mod run;
mod session;
pub mod settings;
mod totals;

pub use run::run;
pub use totals::{Counted, Totals};
