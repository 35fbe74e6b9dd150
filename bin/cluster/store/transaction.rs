//! A guarded transaction, and what became of it.

use super::lease::{Lease, LeaseId};
use super::view::{Revision, View};

/// What must hold for the writes to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// There is no such key; or, of a name that ends in `/`, nothing below it.
    Absent(String),
    /// The key is still the one that this revision made.
    Created(String, Revision),
    /// The key was put last by this revision; 0: there is no such key.
    Modified(String, Revision),
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Write {
    /// The key has this value from now on, until the lease runs out, if it has one.
    Put {
        /// Which.
        key: String,
        /// What.
        value: Vec<u8>,
        /// Whose end is the key's end.
        lease: Option<LeaseId>,
    },
    /// The key is gone; nothing is wrong if it was not there.
    Delete {
        /// Which.
        key: String,
    },
}

/// Guards, writes and reads. No key is written twice, and no more than 128 of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Txn {
    /// All of them must hold.
    pub guards: Vec<Guard>,
    /// Done in one piece.
    pub writes: Vec<Write>,
    /// Names, answered after the writes.
    pub reads: Vec<String>,
}

impl Txn {
    /// One that does nothing.
    pub fn new() -> Txn {
        Txn::default()
    }

    /// One more thing that must hold.
    pub fn guard(mut self, guard: Guard) -> Txn {
        self.guards.push(guard);
        self
    }

    /// Puts a value that stays.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Txn {
        self.writes.push(Write::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    /// Puts a value that goes with its lease.
    pub fn put_leased(
        mut self,
        key: impl Into<String>,
        value: impl Into<Vec<u8>>,
        lease: &Lease,
    ) -> Txn {
        let lease = Some(lease.id());
        self.writes.push(Write::Put { key: key.into(), value: value.into(), lease });
        self
    }

    /// Removes a key.
    pub fn delete(mut self, key: impl Into<String>) -> Txn {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Asks what is under a name.
    pub fn read(mut self, name: impl Into<String>) -> Txn {
        self.reads.push(name.into());
        self
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The guards held and the writes are done; otherwise nothing was.
    pub committed: bool,
    /// At which the reads were answered: the transaction's own, or a later one if it took several tries.
    pub revision: Revision,
    /// One for each read, in their order.
    pub views: Vec<View>,
}
