//! Where a snapshot is read from, and where it is put.
//!
//! The lowest room of the snapshot: it knows mounts and folders, and no provider.

pub mod mounts;
pub mod sources;
