//! Who is named in reports, and what is counted.
//!
//! Uses `file` and below. Right about nothing but what people read: process ids, names and numbers are as the
//! file and the kernel's lists have them, and nothing is decided by them.

pub(crate) mod foreign;
pub(crate) mod heirs;
pub(crate) mod held_lock;
pub(crate) mod lock_table;
pub(crate) mod stats;
pub(crate) mod watch;
pub(crate) mod writer;
