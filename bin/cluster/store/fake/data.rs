//! The data of the store in memory, with etcd's rules: one revision for a transaction, whose reads see its writes; a
//! key that is made again has a new creation; the end of a lease takes all its keys in one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use crate::store::error::StoreError;
use crate::store::lease::LeaseId;
use crate::store::transaction::{Guard, Outcome, Txn, Write};
use crate::store::view::{Entry, Event, Revision, View, covers};

/// Of operations, and of guards: what etcd takes unless it is told otherwise.
const MOST: usize = 128;

pub(super) struct Data {
    revision: Revision,
    /// Changes up to this one are forgotten.
    compacted: Revision,
    /// Counts the restored backups.
    restored: u64,
    entries: BTreeMap<String, (Entry, Option<LeaseId>)>,
    history: Vec<(Revision, Event)>,
    leases: BTreeMap<LeaseId, Granted>,
    granted: LeaseId,
    pub transactions: u64,
}

struct Granted {
    ttl: Duration,
    until: Duration,
}

/// What there was.
#[derive(Clone, Debug)]
pub struct Backup {
    revision: Revision,
    entries: BTreeMap<String, (Entry, Option<LeaseId>)>,
    leases: BTreeMap<LeaseId, Duration>,
}

/// What a watch is to be told.
pub(super) enum News {
    Changes(Vec<(Revision, Event)>),
    /// Some changes are not known any more.
    Forgotten(View),
}

impl Data {
    pub fn new() -> Data {
        Data {
            revision: 1,
            compacted: 0,
            restored: 0,
            entries: BTreeMap::new(),
            history: Vec::new(),
            leases: BTreeMap::new(),
            granted: 0,
            transactions: 0,
        }
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn view(&self, name: &str) -> View {
        let from = self.entries.range::<str, _>((Bound::Included(name), Bound::Unbounded));
        let entries = from.take_while(|(key, _)| key.starts_with(name));
        let entries = entries.filter(|(key, _)| covers(name, key));
        View {
            revision: self.revision,
            entries: entries.map(|(_, (entry, _))| entry.clone()).collect(),
        }
    }

    pub fn commit(&mut self, txn: Txn) -> Result<Outcome, StoreError> {
        self.transactions += 1;
        let operations = txn.writes.len() + txn.reads.len();
        if operations > MOST || txn.guards.len() > MOST {
            return Err(StoreError::Invalid("too many operations in one transaction".to_string()));
        }
        let keys = txn.writes.iter().map(|write| match write {
            Write::Put { key, .. } | Write::Delete { key } => key,
        });
        let keys: Vec<&String> = keys.collect();
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            return Err(StoreError::Invalid("a key is written twice".to_string()));
        }
        let committed = txn.guards.iter().all(|guard| self.holds(guard));
        if committed {
            let leases = txn.writes.iter().filter_map(|write| match write {
                Write::Put { lease, .. } => *lease,
                Write::Delete { .. } => None,
            });
            if leases.into_iter().any(|lease| !self.leases.contains_key(&lease)) {
                return Err(StoreError::LeaseGone);
            }
            self.write(txn.writes);
        }
        let views = txn.reads.iter().map(|name| self.view(name)).collect();
        Ok(Outcome { committed, revision: self.revision, views })
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Absent(name) => self.view(name).entries.is_empty(),
            Guard::Created(key, revision) => {
                self.entries.get(key).map_or(0, |(entry, _)| entry.created) == *revision
            }
            Guard::Modified(key, revision) => {
                self.entries.get(key).map_or(0, |(entry, _)| entry.modified) == *revision
            }
        }
    }

    /// In one revision, if anything changes.
    fn write(&mut self, writes: Vec<Write>) {
        let revision = self.revision + 1;
        for write in writes {
            let event = match write {
                Write::Put { key, value, lease } => {
                    let created = self.entries.get(&key).map_or(revision, |(old, _)| old.created);
                    let entry = Entry { key: key.clone(), value, created, modified: revision };
                    self.entries.insert(key, (entry.clone(), lease));
                    Event::Put(entry)
                }
                Write::Delete { key } => match self.entries.remove(&key) {
                    Some(_) => Event::Delete { key, revision },
                    None => continue,
                },
            };
            self.history.push((revision, event));
            self.revision = revision;
        }
    }

    /// Since `after`; `epoch` is the watch's own note of the backup that it has heard of.
    pub fn news(&self, name: &str, after: Revision, epoch: &mut Option<u64>) -> News {
        let was_restored = epoch.replace(self.restored).is_some_and(|old| old != self.restored);
        if was_restored || after < self.compacted || after > self.revision {
            return News::Forgotten(self.view(name));
        }
        let since = self.history.partition_point(|(revision, _)| *revision <= after);
        let changes = self.history[since..].iter().filter(|(_, event)| match event {
            Event::Put(entry) => covers(name, &entry.key),
            Event::Delete { key, .. } => covers(name, key),
            Event::Resynced(_) => false,
        });
        News::Changes(changes.cloned().collect())
    }

    pub fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }

    pub fn backup(&self) -> Backup {
        let leases = self.leases.iter().map(|(id, granted)| (*id, granted.ttl));
        Backup { revision: self.revision, entries: self.entries.clone(), leases: leases.collect() }
    }

    /// With its leases, whose time begins anew.
    pub fn restore_whole(&mut self, backup: &Backup, now: Duration) {
        self.revision = backup.revision;
        self.entries = backup.entries.clone();
        self.history.clear();
        self.compacted = 0;
        self.restored += 1;
        let leases = backup.leases.iter();
        let begun = |ttl: Duration| Granted { ttl, until: now + ttl };
        self.leases = leases.map(|(id, ttl)| (*id, begun(*ttl))).collect();
    }

    /// So late that its leases are over.
    pub fn restore(&mut self, backup: &Backup) {
        self.restore_whole(backup, Duration::ZERO);
        self.leases.clear();
        let leased = self.entries.iter().filter(|(_, (_, lease))| lease.is_some());
        let leased = leased.map(|(key, _)| Write::Delete { key: key.clone() }).collect();
        self.write(leased);
    }

    pub fn grant(&mut self, ttl: Duration, now: Duration) -> LeaseId {
        self.granted += 1;
        self.leases.insert(self.granted, Granted { ttl, until: now + ttl });
        self.granted
    }

    pub fn lease_of(&self, key: &str) -> Option<LeaseId> {
        self.entries.get(key).and_then(|(_, lease)| *lease)
    }

    pub fn renew(&mut self, lease: LeaseId, now: Duration) -> bool {
        let Some(granted) = self.leases.get_mut(&lease) else { return false };
        granted.until = now + granted.ttl;
        true
    }

    pub fn revoke(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        let keys = self.entries.iter().filter(|(_, (_, of))| *of == Some(lease));
        let keys = keys.map(|(key, _)| Write::Delete { key: key.clone() }).collect();
        self.write(keys);
    }

    /// Ends the leases that are over; whether there were any.
    pub fn expire(&mut self, now: Duration) -> bool {
        let over = self.leases.iter().filter(|(_, granted)| granted.until <= now);
        let over: Vec<LeaseId> = over.map(|(id, _)| *id).collect();
        over.iter().for_each(|lease| self.revoke(*lease));
        !over.is_empty()
    }

    pub fn next_expiry(&self) -> Option<Duration> {
        self.leases.values().map(|granted| granted.until).min()
    }
}
