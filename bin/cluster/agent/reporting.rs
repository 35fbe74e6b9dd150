//! The task that writes reports. Only the last one matters; one that could not be written is tried again until its
//! epoch is over, and then that is news.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::sleep;

use super::machine::Input;
use super::settings::Settings;
use crate::record::report::Report;
use crate::record::value::encode;
use crate::store::{Guard, Revision, Store, StoreError, Txn, View};

/// Between tries, beyond the store's own patience.
const PAUSE: Duration = Duration::from_millis(250);

/// Writes what it is given, for ever.
pub async fn report<S: Store>(
    store: S,
    settings: Settings,
    mut reports: watch::Receiver<Option<Report>>,
    told: UnboundedSender<Input>,
) {
    let keys = &settings.keys;
    let (epoch, own) = (keys.epoch(), keys.report(&settings.host));
    // A report whose outcome was not known may come late: it must not come over a later one.
    let mut last = None;
    while reports.changed().await.is_ok() {
        loop {
            let newest = reports.borrow_and_update().clone();
            let Some(report) = newest else {
                break;
            };
            let written = match last {
                Some(last) => write(&store, &epoch, &own, &report, last).await,
                None => store.range(&own).await.map(|view| Written::After(put(&view, &own))),
            };
            match written {
                Ok(Written::Done(revision)) => {
                    last = Some(revision);
                    break;
                }
                Ok(Written::After(revision)) => last = Some(revision),
                Ok(Written::Over) => {
                    let _ = told.send(Input::Refused(report.epoch));
                    break;
                }
                Err(error) => {
                    settings.log.say(&format!("epoch {}: its report: {error}", report.epoch));
                    if matches!(error, StoreError::Denied(_) | StoreError::Invalid(_)) {
                        sleep(10 * PAUSE).await;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// What became of a report.
enum Written {
    /// It was put by this revision.
    Done(Revision),
    /// There is one that was put by this revision, and is to be written over.
    After(Revision),
    /// Its epoch is over.
    Over,
}

async fn write<S: Store>(
    store: &S,
    epoch: &str,
    own: &str,
    report: &Report,
    last: Revision,
) -> Result<Written, StoreError> {
    let id = report.epoch.0 as Revision;
    let txn = Txn::new()
        .guard(Guard::Created(epoch.to_owned(), id))
        .guard(Guard::Modified(own.to_owned(), last))
        .put(own, encode(report))
        .read(own)
        .read(epoch);
    let outcome = store.commit(txn).await?;
    let [mine, epochs] = outcome.views.as_slice() else {
        return Err(StoreError::Invalid("it left a read out".to_owned()));
    };
    Ok(match outcome.committed {
        true => Written::Done(put(mine, own)),
        false if epochs.get(epoch).is_some_and(|entry| entry.created == id) => {
            Written::After(put(mine, own))
        }
        false => Written::Over,
    })
}

/// The revision that put the key last, or 0.
fn put(view: &View, key: &str) -> Revision {
    view.get(key).map_or(0, |entry| entry.modified)
}
