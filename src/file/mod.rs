//! The barrier file: its bytes, where it is, of which boot, and what is checked before it is trusted.
//!
//! Uses `gate`, `error` and below. Right about the layout, which processes of every width and version share, and
//! about hostile bytes: nothing in the file is followed as an address, a length or a process.

pub(crate) mod boot;
pub(crate) mod byte_lock;
pub(crate) mod features;
pub(crate) mod layout;
pub(crate) mod losses;
pub(crate) mod open;
pub(crate) mod taken_at;
