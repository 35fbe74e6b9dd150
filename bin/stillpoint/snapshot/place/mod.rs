//! Where a snapshot is read from, and where it is put: mounts, folders, volumes.
//!
//! The lowest room of the snapshot: it knows no provider, and may use the catalogue and what is below. It is right
//! about what lies at a place at this moment, and about names that are free.

pub mod folder;
pub mod mounts;
pub mod sources;
pub mod target;
pub mod volume;
