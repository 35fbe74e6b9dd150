//! One group snapshot, conducted: from its beginning to its verdict, and what is left of one whose coordinator died.
//!
//! There may be several coordinators at a time, and each may die or sleep at any step. The epoch's key is made by one
//! of them only; each later write of his holds only while that key is as he left it. The verdict is written once.
//! Whoever finds an epoch begun, its key gone and no verdict, writes that it was aborted: he, or ten of them.
//!
//! Uses `record`, `store` and `words`. Right about verdicts: nobody else writes one.

mod abort;
mod begin;
mod conduct;
pub mod recover;
pub mod round;
pub mod settled;

use std::future::Future;
use std::time::Duration;

use crate::record::epoch::{Mode, Phase};
use crate::record::identity::{EpochId, Name};
use crate::record::keys::Keys;
use crate::record::verdict::Verdict;
use crate::store::Store;
use crate::words::failure::Failure;
use round::Limits;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Of which group.
    pub keys: Keys,
    /// When hosts open.
    pub mode: Mode,
    /// How long they may take.
    pub limits: Limits,
    /// Do without members that are not there.
    pub allow_missing: bool,
    /// How long the epoch outlives its coordinator.
    pub lease: Duration,
    /// Who asks, for people.
    pub by: String,
    /// When, for people.
    pub when: String,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which epoch it was.
    pub epoch: EpochId,
    /// What the store says of it, for ever.
    pub verdict: Verdict,
}

/// What is told on the way.
#[derive(Clone, Debug)]
pub enum Told<'a> {
    /// The epoch has begun.
    Begun(EpochId),
    /// A phase was written.
    Phase(Phase),
    /// A member's word is in; these are awaited.
    Awaited(&'a [&'a Name]),
}

/// Conducts a group snapshot.
///
/// # Errors
/// Nothing began, or nobody knows how it ended: no verdict could be written or read. A verdict that says aborted is no
/// error here.
pub async fn run<S: Store>(
    store: &S,
    request: &Request,
    interrupted: impl Future<Output = String> + Send,
    mut told: impl FnMut(Told<'_>) + Send,
) -> Result<Ended, Failure> {
    let begun = begin::begin(store, request).await?;
    told(Told::Begun(begun.id));
    conduct::conduct(store, request, begun, interrupted, &mut told).await
}
