//! One file or folder for each verb: its arguments, and what it does.
//!
//! A verb may use every other room, and none uses a verb.

pub mod completions;
pub mod create;
pub mod deferred;
pub mod freeze;
pub mod latest;
pub mod list;
pub mod prune;
pub mod recover;
pub mod retire;
pub mod run;
pub mod status;
pub mod thaw;
pub mod r#use;
