//! The handle: opening a barrier, making, looking at and retiring one.
//!
//! Uses `succession` and below. Right about a file that is made or made anew: whoever comes meanwhile finds all of
//! it or nothing. What is done by a handle stands in the room of what is done.

pub(crate) mod founding;
pub(crate) mod fresh_start;
pub(crate) mod handle;
pub(crate) mod options;
pub(crate) mod status;
