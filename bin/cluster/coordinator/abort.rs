//! Giving an epoch up. Anybody may, at any time, and as often as he likes: what counts is the verdict that is there
//! afterwards, whoever wrote it.

use crate::record::identity::Begun;
use crate::record::keys::Keys;
use crate::record::report::Failed;
use crate::record::value::{decode, encode};
use crate::record::verdict::Verdict;
use crate::store::{Guard, Outcome, Store, Txn, View};
use crate::words::exit::Exit;
use crate::words::failure::Failure;

/// Writes that the epoch was aborted, unless there is a verdict; returns the one there is.
pub async fn abort<S: Store>(
    store: &S,
    keys: &Keys,
    begun: &Begun,
    reason: Failed,
    by: &str,
    when: &str,
) -> Result<Verdict, Failure> {
    let key = keys.verdict(begun.id);
    let ours = Verdict::aborted(&begun.nonce, reason, by, when);
    let txn = || {
        let unsaid = Txn::new().guard(Guard::Absent(key.clone()));
        unsaid.put(key.clone(), encode(&ours)).read(key.clone())
    };
    // The epoch's key goes with it, if it is still there. No later epoch's key has this revision.
    let there = txn().guard(Guard::Created(keys.epoch(), begun.id.0 as i64)).delete(keys.epoch());
    let mut outcome = store.commit(there).await?;
    if !outcome.committed && read(&outcome, &key)?.is_none() {
        outcome = store.commit(txn()).await?;
    }
    match read(&outcome, &key)? {
        Some(verdict) => Ok(verdict),
        None => Err(Failure::new(Exit::INTERNAL, format!("{key}: written, and not there"))),
    }
}

/// The verdict that a transaction has read.
pub fn read(outcome: &Outcome, key: &str) -> Result<Option<Verdict>, Failure> {
    outcome.views.first().map_or(Ok(None), |view| seen(view, key))
}

/// The verdict in a view.
pub fn seen(view: &View, key: &str) -> Result<Option<Verdict>, Failure> {
    let unreadable = |what| Failure::new(Exit::INTERNAL, format!("{key}: {what}"));
    view.get(key).map(|entry| decode(&entry.value).map_err(unreadable)).transpose()
}
