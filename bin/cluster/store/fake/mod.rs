//! A store in memory, which fails when it is told to.
//!
//! One [`Fake`] is one process's connection; [`Fake::link`] makes one for another process, to the same data. What
//! goes wrong with the connection is told to the link ([`Fake::cut_requests`], [`Fake::cut_answers`],
//! [`Fake::refuse`], [`Fake::delay`]), what goes wrong with the engine to any of them ([`Fake::compact`],
//! [`Fake::restore`], [`Fake::expire`]).
//!
//! Nothing happens by itself: leases run out when somebody looks, and whoever waits for a change looks when the next
//! one is due. So with the runtime's clock paused, a run depends on nothing but what it is told.

mod data;
mod link;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

pub use data::Backup;

use super::error::{StoreError, Trouble};
use super::lease::{Lease, LeaseId, Renewal};
use super::transaction::{Outcome, Txn};
use super::view::{Event, Revision, View};
use super::watch::{Feed, Watch};
use super::{Store, repeat};
use data::{Data, News};
use link::Link;

const PATIENCE: Duration = Duration::from_secs(10);

/// What a fake takes for the time since some beginning.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A connection to a store in memory.
#[derive(Clone)]
pub struct Fake {
    engine: Arc<Engine>,
    link: Arc<Link>,
    patience: Duration,
}

struct Engine {
    data: Mutex<Data>,
    clock: Clock,
    /// Wakes those who wait for a change, in the order in which they came.
    changes: Notify,
}

impl Engine {
    /// The data now: what was due is done.
    fn data(&self) -> MutexGuard<'_, Data> {
        let mut data = self.data.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if data.expire((self.clock)()) {
            self.has_changed();
        }
        data
    }

    fn has_changed(&self) {
        self.changes.notify_waiters();
    }
}

impl Default for Fake {
    fn default() -> Fake {
        Fake::new()
    }
}

impl Fake {
    /// An empty store, whose leases go by the runtime's clock.
    pub fn new() -> Fake {
        let start = Instant::now();
        Fake::with_clock(Arc::new(move || start.elapsed()))
    }

    /// An empty store, whose leases go by this clock; the waiting goes by the runtime's.
    pub fn with_clock(clock: Clock) -> Fake {
        let data = Mutex::new(Data::new());
        let engine = Arc::new(Engine { data, clock, changes: Notify::new() });
        Fake { engine, link: Arc::default(), patience: PATIENCE }
    }

    /// Another process's connection to the same store, without faults.
    pub fn link(&self) -> Fake {
        Fake { engine: self.engine.clone(), link: Arc::default(), patience: self.patience }
    }

    /// Whether requests get lost on their way: nothing is done, nothing is answered.
    pub fn cut_requests(&self, cut: bool) {
        self.link.set(|faults| faults.requests = cut);
    }

    /// Whether answers get lost on their way: what was asked for is done, and nobody hears of it; nor of any change.
    pub fn cut_answers(&self, cut: bool) {
        self.link.set(|faults| faults.answers = cut);
    }

    /// Whether there is nobody at the other end, and the connecting fails at once.
    pub fn refuse(&self, refuse: bool) {
        self.link.set(|faults| faults.refused = refuse);
    }

    /// The next `count` answers get lost.
    pub fn lose_answers(&self, count: usize) {
        self.link.set(|faults| faults.losses = count);
    }

    /// The next `count` transactions are done, and their answers get lost.
    pub fn lose_commits(&self, count: usize) {
        self.link.set(|faults| faults.commits = count);
    }

    /// What each way takes. What is on its way arrives even if its sender has given up.
    pub fn delay(&self, delay: Duration) {
        self.link.set(|faults| faults.delay = delay);
    }

    /// Forgets all changes up to now: a watch that has not heard of them is told what there is instead.
    pub fn compact(&self) {
        self.engine.data().compact();
        self.engine.has_changed();
    }

    /// Lets a lease run out now, wrongly or not.
    pub fn expire(&self, lease: LeaseId) {
        self.engine.data().revoke(lease);
        self.engine.has_changed();
    }

    /// The lease of a key that is there.
    pub fn lease_of(&self, key: &str) -> Option<LeaseId> {
        self.engine.data().lease_of(key)
    }

    /// All that there is, for [`Fake::restore`].
    pub fn backup(&self) -> Backup {
        self.engine.data().backup()
    }

    /// Goes back to what there was: revisions too, as with a backup restored without care. Leases are there again.
    pub fn restore_whole(&self, backup: &Backup) {
        let now = (self.engine.clock)();
        self.engine.data().restore_whole(backup, now);
        self.engine.has_changed();
    }

    /// The same after so long that all leases are over.
    pub fn restore(&self, backup: &Backup) {
        self.engine.data().restore(backup);
        self.engine.has_changed();
    }

    /// How many transactions were committed or refused, of all connections.
    pub fn transactions(&self) -> u64 {
        self.engine.data().transactions
    }

    /// Asks the engine, over the link and back.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Data, Duration) -> T + Send + 'static,
    ) -> Result<T, Trouble> {
        let engine = self.engine.clone();
        let answer = self.link.carry(move || {
            let mut data = engine.data();
            let before = data.revision();
            let answer = work(&mut data, (engine.clock)());
            let has_changed = data.revision() != before;
            drop(data);
            if has_changed {
                engine.has_changed();
            }
            answer
        });
        answer.await
    }

    async fn follow(self, name: String, mut after: Revision, feed: Feed) {
        let mut epoch = None;
        loop {
            self.link.hears().await;
            let changed = self.engine.changes.notified();
            let mut changed = pin!(changed);
            changed.as_mut().enable();
            let (news, due) = {
                let data = self.engine.data();
                (data.news(&name, after, &mut epoch), data.next_expiry())
            };
            let now = (self.engine.clock)();
            self.link.comes_back().await;
            feed.has_opened();
            match news {
                News::Changes(events) => {
                    for (revision, event) in events {
                        feed.tell(Ok(event)).await;
                        after = revision;
                    }
                }
                News::Forgotten(view) => {
                    after = view.revision;
                    feed.tell(Ok(Event::Resynced(view))).await;
                }
            }
            let due = due.map(|due| due.saturating_sub(now));
            tokio::select! {
                biased;
                () = changed => {}
                () = sleep(due.unwrap_or(Duration::MAX)) => {}
            }
        }
    }
}

impl Store for Fake {
    fn patient(&self, patience: Duration) -> Fake {
        Fake { patience, ..self.clone() }
    }

    async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError> {
        let seen = self.link.seen();
        let outcome = repeat::commit(txn, self.patience, seen, |txn| async {
            let outcome = self.ask(move |data, _| data.commit(txn)).await?;
            match self.link.loses_commit() {
                true => Err(Trouble::Lost("connection reset".to_string())),
                false => outcome.map_err(Trouble::Final),
            }
        });
        let outcome = outcome.await?;
        self.link.has_seen(outcome.revision);
        Ok(outcome)
    }

    async fn range(&self, name: &str) -> Result<View, StoreError> {
        let view = repeat::read(self.patience, || {
            let name = name.to_string();
            self.ask(move |data, _| data.view(&name))
        });
        let view = view.await?;
        self.link.has_seen(view.revision);
        Ok(view)
    }

    fn watch(&self, name: &str, after: Revision) -> Watch {
        let (fake, name) = (self.clone(), name.to_string());
        Watch::fed_by(move |feed| fake.follow(name, after, feed))
    }

    async fn lease(&self, ttl: Duration) -> Result<Lease, StoreError> {
        let ttl = Duration::from_secs(ttl.as_millis().div_ceil(1000).max(1) as u64);
        let grant = || self.ask(move |data, now| data.grant(ttl, now));
        let id = repeat::read(self.patience, grant).await?;
        Ok(Lease::keep(id, ttl, OfFake { fake: self.clone(), id }))
    }
}

struct OfFake {
    fake: Fake,
    id: LeaseId,
}

impl Renewal for OfFake {
    async fn renew(&mut self) -> Result<bool, Trouble> {
        let id = self.id;
        self.fake.ask(move |data, now| data.renew(id, now)).await
    }

    async fn revoke(&mut self) -> Result<(), StoreError> {
        let id = self.id;
        repeat::read(self.fake.patience, || self.fake.ask(move |data, _| data.revoke(id))).await
    }
}
