//! A watch that goes on: on another server where the last one left off, and with what there is where that is no
//! longer known.
//!
//! Silence is not taken for quiet: after a while the server is asked for a sign of life, and without one it is the
//! next server's turn. That sign says nothing of how far the watch has come (before 3.4.25 and 3.5.8 it may overtake
//! events), so the watch goes on after the last event, or after the last mark that a server sent of its own.
//!
//! A restored backup shows where the watch is opened again: another cluster, or a term or a revision that went back.

use std::time::Duration;

use etcd_client::{Client, ResponseHeader, WatchOptions, WatchResponse, WatchStream};
use tokio::time::{sleep, timeout};

use super::{Etcd, translation};
use crate::store::error::{StoreError, Trouble};
use crate::store::view::{Event, Revision, View};
use crate::store::watch::Feed;

/// Until a sign of life is asked for.
const SILENCE: Duration = Duration::from_secs(1);
/// For any answer.
const ANSWER: Duration = Duration::from_millis(1500);
/// Until a watch that failed is tried again. The servers have an election meanwhile, or are being started.
const PAUSE: Duration = Duration::from_millis(100);
/// Until one that was refused is.
const REFUSED: Duration = Duration::from_secs(1);
/// For all that there is to be read, of a server that may be busy.
const READ: Duration = Duration::from_secs(4);

/// How far the watch has come, and where.
struct Place {
    name: String,
    after: Revision,
    cluster: Option<u64>,
    term: u64,
}

pub(super) async fn follow(etcd: Etcd, name: String, after: Revision, feed: Feed) {
    let mut place = Place { name, after, cluster: None, term: 0 };
    loop {
        match watch(&etcd, &mut place, &feed).await {
            Trouble::Final(error) => {
                feed.tell(Err(error)).await;
                sleep(REFUSED).await;
            }
            Trouble::NotSent(_) | Trouble::Lost(_) => sleep(PAUSE).await,
        }
    }
}

/// Until it fails.
async fn watch(etcd: &Etcd, place: &mut Place, feed: &Feed) -> Trouble {
    let mut connection = match timeout(ANSWER, etcd.connections.current()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(trouble)) => return trouble,
        Err(_) => return Trouble::Lost("no connection".to_string()),
    };
    let opened = timeout(ANSWER, open(&mut connection.client, place)).await;
    let opened = opened.unwrap_or_else(|_| Err(etcd_client::Error::WatchError(String::new())));
    let mut stream = match connection.judge(opened) {
        Ok(stream) => stream,
        Err(trouble) => return trouble,
    };
    let failed = loop {
        let response = match heard(&mut stream).await {
            Some(response) => response,
            None => break Trouble::Lost("the watch broke off".to_string()),
        };
        if let Err(trouble) = take(etcd, place, feed, &response).await {
            break trouble;
        }
    };
    if let Trouble::Final(StoreError::Denied(_)) = failed {
        // The token may be too old: streams are not given a new one.
        let _ = timeout(ANSWER, connection.client.refresh_token()).await;
    } else {
        connection.has_failed();
    }
    failed
}

async fn open(client: &mut Client, place: &Place) -> Result<WatchStream, etcd_client::Error> {
    let options = WatchOptions::new().with_start_revision(place.after + 1).with_progress_notify();
    let options = if place.name.ends_with('/') { options.with_prefix() } else { options };
    client.watch(place.name.as_str(), Some(options)).await
}

/// What the server says next, which it may have to be asked for.
async fn heard(stream: &mut WatchStream) -> Option<WatchResponse> {
    let message = match timeout(SILENCE, stream.message()).await {
        Ok(message) => message,
        Err(_) => {
            stream.request_progress().await.ok()?;
            timeout(ANSWER, stream.message()).await.ok()?
        }
    };
    message.ok().flatten()
}

async fn take(
    etcd: &Etcd,
    place: &mut Place,
    feed: &Feed,
    response: &WatchResponse,
) -> Result<(), Trouble> {
    if response.compact_revision() > 0 {
        return resynchronize(etcd, place, feed).await;
    }
    if response.canceled() {
        let reason = response.cancel_reason().to_string();
        let refused = ["permission denied", "auth token", "user name is empty"];
        return Err(match refused.iter().any(|one| reason.contains(one)) {
            true => Trouble::Final(StoreError::Denied(reason)),
            false => Trouble::Lost(reason),
        });
    }
    let header = response.header();
    if response.created() {
        if let Some(header) = header {
            if place.is_other(header) {
                return resynchronize(etcd, place, feed).await;
            }
            if header.revision() < place.after {
                // A server that lags, or a backup: whoever has a quorum knows.
                let view = now(etcd, &place.name).await?;
                if view.revision < place.after {
                    return resynchronize(etcd, place, feed).await;
                }
            }
        }
        feed.has_opened();
    }
    for told in response.events() {
        feed.tell(Ok(translation::event(told)?)).await;
        let revision = told.kv().map_or(0, |kv| kv.mod_revision());
        place.after = place.after.max(revision);
    }
    // A mark that the server sent of its own belongs to this watch, one that was asked for to none.
    let is_mark = response.events().is_empty() && !response.created() && response.watch_id() >= 0;
    if let (true, Some(header)) = (is_mark, header) {
        place.after = place.after.max(header.revision());
    }
    if let Some(header) = header {
        place.term = place.term.max(header.raft_term());
    }
    Ok(())
}

/// Tells what there is, and has the watch go on from there.
async fn resynchronize(etcd: &Etcd, place: &mut Place, feed: &Feed) -> Result<(), Trouble> {
    let view = now(etcd, &place.name).await?;
    place.after = view.revision;
    place.cluster = None;
    place.term = 0;
    feed.tell(Ok(Event::Resynced(view))).await;
    Err(Trouble::Lost("what happened meanwhile is not known any more".to_string()))
}

async fn now(etcd: &Etcd, name: &str) -> Result<View, Trouble> {
    let view = timeout(READ, etcd.look(name)).await;
    view.unwrap_or_else(|_| Err(Trouble::Lost("no answer to a read".to_string())))
}

impl Place {
    /// Whether this is not what was watched before; from now on it is.
    fn is_other(&mut self, header: &ResponseHeader) -> bool {
        let cluster = self.cluster.replace(header.cluster_id());
        cluster.is_some_and(|cluster| cluster != header.cluster_id())
            || header.raft_term() < self.term
    }
}
