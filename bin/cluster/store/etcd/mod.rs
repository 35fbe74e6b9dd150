//! The store of etcd.
//!
//! The client library does one request on one connection. What is added here: another server when one does not answer
//! (`connection`), watches that go on where they were (`watching`), leases that are kept (`leasing`), and what an
//! error means for a second try (`fault`). None of it is what the protocol's truth rests on.

mod connection;
mod fault;
mod leasing;
mod settings;
mod translation;
mod watching;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub use settings::{Settings, Tls, User};

use super::error::{StoreError, Trouble};
use super::lease::Lease;
use super::transaction::{Outcome, Txn};
use super::view::{Revision, View};
use super::watch::Watch;
use super::{Store, repeat};
use connection::Connections;
use leasing::OfEtcd;

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to an etcd of one or more members.
#[derive(Clone)]
pub struct Etcd {
    connections: Arc<Connections>,
    /// The newest revision that this process has seen.
    seen: Arc<AtomicI64>,
    patience: Duration,
}

impl Etcd {
    /// Reads the files that the settings name, to say at once what is wrong with them. The servers are asked when they
    /// are needed, and whether they are there is seen then.
    pub fn new(settings: Settings) -> Result<Etcd, StoreError> {
        let connections = Connections::new(settings)?;
        Ok(Etcd { connections: Arc::new(connections), seen: Arc::default(), patience: PATIENCE })
    }

    async fn attempt(&self, txn: Txn) -> Result<Outcome, Trouble> {
        let mut connection = self.connections.current().await?;
        let answer = connection.client.txn(translation::request(&txn)).await;
        translation::outcome(connection.judge(answer)?)
    }

    async fn look(&self, name: &str) -> Result<View, Trouble> {
        let mut connection = self.connections.current().await?;
        let answer = connection.client.get(name, translation::all_under(name)).await;
        translation::view(&connection.judge(answer)?, None)
    }
}

impl Store for Etcd {
    fn patient(&self, patience: Duration) -> Etcd {
        Etcd { patience, ..self.clone() }
    }

    async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError> {
        let seen = self.seen.load(Ordering::Relaxed);
        let outcome = repeat::commit(txn, self.patience, seen, |txn| self.attempt(txn)).await?;
        self.seen.fetch_max(outcome.revision, Ordering::Relaxed);
        Ok(outcome)
    }

    async fn range(&self, name: &str) -> Result<View, StoreError> {
        let view = repeat::read(self.patience, || self.look(name)).await?;
        self.seen.fetch_max(view.revision, Ordering::Relaxed);
        Ok(view)
    }

    fn watch(&self, name: &str, after: Revision) -> Watch {
        let (etcd, name) = (self.clone(), name.to_string());
        Watch::fed_by(move |feed| watching::follow(etcd, name, after, feed))
    }

    async fn lease(&self, ttl: Duration) -> Result<Lease, StoreError> {
        let seconds = ttl.as_millis().div_ceil(1000).max(1) as i64;
        let grant = || async {
            let mut connection = self.connections.current().await?;
            let answer = connection.client.lease_grant(seconds, None).await;
            connection.judge(answer)
        };
        // One whose answer got lost runs out by itself.
        let granted = repeat::read(self.patience, grant).await?;
        let ttl = Duration::from_secs(granted.ttl().max(1) as u64);
        Ok(Lease::keep(granted.id(), ttl, OfEtcd::new(self.clone(), granted.id())))
    }
}
