//! What stands in the store: keys, and the values below them.
//!
//! Values are JSON objects. What is added to one later is passed over by who does not know it; what must not be
//! passed over raises [`value::PROTOCOL`], and who is older than that refuses the value instead of misreading it.
//!
//! Uses nothing. Right about what is written: no other room knows how a key is spelt or a value laid out.

pub mod epoch;
pub mod identity;
pub mod keys;
pub mod live;
pub mod report;
pub mod roster;
pub mod value;
pub mod verdict;
