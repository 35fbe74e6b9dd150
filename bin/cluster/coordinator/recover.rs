//! What is left of an epoch whose coordinator died: it gets its verdict.
//!
//! Doing it again changes nothing, and neither does a death in the middle of it, or ten of them at once: the verdict
//! that is there counts. There is one epoch at most without a verdict, the last that began, since the next one begins
//! only when that has one.

use super::abort::{abort, seen};
use super::round::failed;
use crate::record::epoch::{Beginning, Epoch};
use crate::record::identity::{Begun, EpochId};
use crate::record::keys::Keys;
use crate::record::report::Failed;
use crate::record::value::decode;
use crate::record::verdict::Verdict;
use crate::store::{Store, View};
use crate::words::exit::Exit;
use crate::words::failure::Failure;

/// The reason that is given.
pub const LEFT: &str = "its coordinator was gone before there was a verdict";

/// What was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// No epoch ever began.
    Nothing,
    /// The last one had this verdict.
    Settled(EpochId, Verdict),
    /// It has one now.
    Recovered(EpochId, Verdict),
}

/// Sees to it that the last epoch has a verdict.
///
/// # Errors
/// An epoch that is under way is left alone, unless it is to be given up.
pub async fn recover<S: Store>(
    store: &S,
    keys: &Keys,
    gives_up: bool,
    by: &str,
    when: &str,
) -> Result<Found, Failure> {
    let begun = store.range(&keys.begun()).await?;
    let Some(Last { begun, .. }) = last_begun(keys, &begun)? else {
        return Ok(Found::Nothing);
    };
    let last = begun.id;
    let key = keys.verdict(last);
    if let Some(verdict) = seen(&store.range(&key).await?, &key)? {
        return Ok(Found::Settled(last, verdict));
    }
    let epoch = store.range(&keys.epoch()).await?;
    let reason: Failed = match epoch.get(&keys.epoch()) {
        Some(_) if !gives_up => return Err(busy(&epoch, keys)),
        Some(_) => failed(Exit::CONFLICT, format!("it was given up at {by}")),
        None => failed(Exit::CONFLICT, LEFT.to_owned()),
    };
    Ok(Found::Recovered(last, abort(store, keys, &begun, reason, by, when).await?))
}

/// The last epoch that began.
pub(super) fn last_begun(keys: &Keys, view: &View) -> Result<Option<Last>, Failure> {
    let key = keys.begun();
    let Some(entry) = view.get(&key) else {
        return Ok(None);
    };
    let Beginning { nonce, before } = decode(&entry.value)
        .map_err(|unreadable| Failure::new(Exit::INTERNAL, format!("{key}: {unreadable}")))?;
    let begun = Begun { id: EpochId(entry.modified as u64), nonce };
    Ok(Some(Last { begun, before }))
}

/// The last epoch that began, and those before it.
pub(super) struct Last {
    pub begun: Begun,
    pub before: Vec<EpochId>,
}

/// The epochs whose verdicts are kept, the newest first.
pub async fn recent<S: Store>(store: &S, keys: &Keys) -> Result<Vec<EpochId>, Failure> {
    let last = last_begun(keys, &store.range(&keys.begun()).await?)?;
    let ids = last.into_iter().flat_map(|last| [vec![last.begun.id], last.before].concat());
    Ok(ids.collect())
}

/// Somebody else's epoch is under way.
pub(super) fn busy(view: &View, keys: &Keys) -> Failure {
    let text = match view.get(&keys.epoch()) {
        None => "another epoch was under way; try again".to_owned(),
        Some(entry) => {
            let id = entry.created;
            match decode::<Epoch>(&entry.value) {
                Ok(epoch) => format!(
                    "epoch {id} of {} is under way, in its phase {}; try again when it is over",
                    epoch.coordinator, epoch.phase
                ),
                Err(unreadable) => format!("epoch {id} is under way: {unreadable}"),
            }
        }
    };
    Failure::new(Exit::CONFLICT, text)
}
