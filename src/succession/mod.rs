//! Files that lose their place: removed or renamed under their users, and made again.
//!
//! Uses `member` and below. Right about who uses which file: nobody writes beside the barrier, unless that cannot be
//! seen, and then it is said.

pub(crate) mod coming_over;
pub(crate) mod gathering;
pub(crate) mod stragglers;
pub(crate) mod users;
