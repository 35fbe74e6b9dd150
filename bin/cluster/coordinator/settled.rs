//! Waiting until each host has carried a verdict out, which it says in its sign of life.
//!
//! The verdict stands whether or not anybody waits; this is for who reads the parts by their names. Nobody is asked
//! anything: a host says what has settled with what it says anyway, as soon as it has.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::record::identity::{EpochId, Name};
use crate::record::keys::{Keys, Place};
use crate::record::live::Live;
use crate::record::value::decode;
use crate::store::{Entry, Event, Store, StoreError};

/// Before a store that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits for these hosts, for so long at most; those that have not said it by then.
pub async fn until_settled<S: Store>(
    store: &S,
    keys: &Keys,
    epoch: EpochId,
    hosts: impl IntoIterator<Item = Name>,
    limit: Duration,
) -> BTreeSet<Name> {
    let mut awaited = hosts.into_iter().collect();
    let waiting = async {
        while let Err(_silence) = listen(store, keys, epoch, &mut awaited).await {
            sleep(PAUSE).await;
        }
    };
    let _ = timeout(limit, waiting).await;
    awaited
}

/// Until nobody is awaited any more.
async fn listen<S: Store>(
    store: &S,
    keys: &Keys,
    epoch: EpochId,
    awaited: &mut BTreeSet<Name>,
) -> Result<(), StoreError> {
    let view = store.range(&keys.hosts()).await?;
    let mut signs = store.watch(&keys.hosts(), view.revision);
    let mut told = view.entries;
    loop {
        for host in told.iter().filter_map(|entry| settled(keys, epoch, entry)) {
            awaited.remove(&host);
        }
        if awaited.is_empty() {
            return Ok(());
        }
        told = match signs.next().await? {
            Event::Put(entry) => vec![entry],
            Event::Resynced(view) => view.entries,
            Event::Delete { .. } => Vec::new(),
        };
    }
}

/// The host whose sign of life this is, if it has settled this epoch or a later one.
fn settled(keys: &Keys, epoch: EpochId, entry: &Entry) -> Option<Name> {
    let Some(Place::Live(host)) = keys.place(&entry.key) else { return None };
    let live: Live = decode(&entry.value).ok()?;
    (live.settled?.id >= epoch).then_some(host)
}
