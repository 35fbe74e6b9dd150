//! Where a snapshot is read from, and where it is put: mounts, folders, volumes.
//!
//! Uses `catalogue` and below, and nothing of the snapshot. Right about what lies at a place at this moment, and
//! which names are free there.

pub mod binding;
pub mod folder;
pub mod mounts;
pub mod showing;
pub mod sources;
pub mod target;
pub mod volume;
