//! One consistent pause across the hosts of a group.
//!
//! Every host closes its own barrier, snapshots, and opens it again; an engine that the hosts share (etcd) tells them
//! when. The result is *complete* if every host of the durable roster has shown a certificate that nobody wrote from
//! its closing to its opening, and if one verdict, written once, says so. Safety rests on these two and on nothing
//! else: a lease, a clock or a silence is a hint that ends an attempt, never a proof that one succeeded.
//!
//! # Where to look
//!
//! A room uses those below it and names none that is above or beside it; `tests/rooms` sees to that, by this plan.
//!
//! ```text
//! +------------------------------+
//! |            verbs             |  what `stillpoint-cluster VERB` does
//! +-------+-------------+--------+
//! | agent | coordinator | roster |  the service of a host | an epoch from beginning to verdict | who belongs to the group
//! +-------+-------------+--------+
//! |             host             |  a host's own side: its barrier, and what its snapshot is made by
//! +------------------------------+
//! |            record            |  what stands in the store: keys and values
//! +------------------------------+
//! |            store             |  what the protocol needs of an engine; etcd, and one in memory
//! +------------------------------+
//! |            words             |  what is said, and exit statuses
//! +------------------------------+
//! ```
//!
//! The head of each room's `mod.rs` says what it is, what it uses, and what it is right about.

pub mod agent;
pub mod coordinator;
pub mod host;
pub mod record;
pub mod roster;
pub mod store;
pub mod verbs;
pub mod words;
