//! What the protocol needs of an engine: a guarded transaction, a read at one revision, a watch that resumes, a lease.
//!
//! [`Store`] is all that the rooms above know of etcd. Two have it, and pass the same tests: the one of etcd, and
//! [`fake::Fake`], which is in memory, deterministic, and fails when it is told to.
//!
//! A *name* is a key, or, if it ends in `/`, all keys below it. Keys and values are the callers' own: a store adds
//! no prefix and no bytes.
//!
//! What comes late, twice or not at all is dealt with in one place, `repeat`, for both: a transaction is tried again
//! until its outcome is known or the handle's patience is at its end.
//!
//! Uses `words` and the runtime. Right about the outcome of a transaction: what it calls committed was done once, in
//! one piece, while the guards held; and about a watch: no change after its revision is left out, unless it says so.

mod error;
pub mod etcd;
pub mod fake;
mod lease;
mod repeat;
mod transaction;
mod view;
mod watch;

use std::future::Future;
use std::time::Duration;

pub use error::StoreError;
pub use lease::{Lease, LeaseId};
pub use transaction::{Guard, Outcome, Txn, Write};
pub use view::{Entry, Event, Revision, View, covers};
pub use watch::Watch;

/// A handle on an engine. Clones share connections; each has its own patience.
pub trait Store: Clone + Send + Sync + 'static {
    /// The same, with this long for each call to succeed.
    fn patient(&self, patience: Duration) -> Self;

    /// If every guard holds, does the writes; answers the reads either way, all at one revision, the writes seen.
    ///
    /// Is tried again until its outcome is known, so it must be right to do it twice while the guards hold. What
    /// became of a try without an answer is told by the values that were put: they carry something of their writer's
    /// own, or equal ones mean the same whoever wrote them.
    ///
    /// `committed` is the truth. Not committed, after a try without an answer, means: what was asked for does not
    /// hold now. Dropping the future leaves the outcome unknown, as [`StoreError::Unknown`] does: the writes may
    /// yet appear, unless a lease of theirs is revoked first.
    fn commit(&self, txn: Txn) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// What is under `name` now: no older than any answer that anybody has had before.
    fn range(&self, name: &str) -> impl Future<Output = Result<View, StoreError>> + Send;

    /// The changes under `name` since revision `after`, for ever: over reconnections and other servers.
    ///
    /// To miss nothing: read, then watch from the revision of what was read.
    fn watch(&self, name: &str, after: Revision) -> Watch;

    /// A lease of at least `ttl`, rounded up to whole seconds and to what the engine grants, kept alive until it is
    /// revoked or dropped.
    fn lease(&self, ttl: Duration) -> impl Future<Output = Result<Lease, StoreError>> + Send;
}
