//! A share around every write lock of a program.
//!
//! Uses `shared` and below. Right about the order, the share being the outermost, and about how many: a lock brings
//! one share, and gives it back once, however it ends.

pub(crate) mod guard;
pub(crate) mod wrapped;
