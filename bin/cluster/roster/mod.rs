//! Who belongs to the group: hosts join it, leave it, or are put out.
//!
//! A change is made only while no epoch is under way, in one transaction with the roster's version; so an epoch that
//! has begun keeps the members that it began with, and one that begins knows of every change. A host whose agent is
//! gone is still a member: its writers are not gone.
//!
//! Uses `record`, `store` and `words`. Right about the roster: nobody else writes it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::record::identity::Name;
use crate::record::keys::Keys;
use crate::record::live::Live;
use crate::record::roster::{Change, Evicted, Member, What};
use crate::record::value::{decode, encode};
use crate::store::{Event, Guard, Outcome, Store, Txn, View};
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::random;

/// Who asks, and for how long.
#[derive(Clone, Debug)]
pub struct Request {
    /// Of which group.
    pub keys: Keys,
    /// Which host.
    pub host: Name,
    /// How long to wait for the end of an epoch.
    pub wait: Duration,
    /// Who asks, for people.
    pub by: String,
    /// When, for people.
    pub when: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is so now.
    Done,
    /// It was so before.
    WasSo,
}

/// Makes the host a member, with this number.
///
/// # Errors
/// Another machine is the member of that name, or an epoch does not end.
pub async fn join<S: Store>(
    store: &S,
    request: &Request,
    uuid: &str,
    machine: &str,
) -> Result<Changed, Failure> {
    let keys = &request.keys;
    let key = keys.roster(&request.host);
    let member =
        Member { uuid: uuid.to_owned(), machine: machine.to_owned(), joined: request.when.clone() };
    change(store, request, What::Join, |seen| {
        if let Some(other) = seen.member()? {
            if other.uuid == uuid {
                return Ok(None);
            }
            return Err(Failure::new(
                Exit::CANNOT_CREATE,
                format!(
                    "{}: {}, another machine, joined by this name on {}; evict that one, or give this one another name",
                    request.host, other.machine, other.joined
                ),
            ));
        }
        let txn = Txn::new().guard(Guard::Absent(key.clone())).put(key.clone(), encode(&member));
        Ok(Some(txn.delete(keys.evicted(&request.host))))
    })
    .await
}

/// Waits until no epoch is under way.
///
/// # Errors
/// One does not end.
pub async fn until_idle<S: Store>(store: &S, request: &Request) -> Result<(), Failure> {
    let keys = &request.keys;
    let epoch = store.range(&keys.epoch()).await?;
    match epoch.get(&keys.epoch()) {
        None => Ok(()),
        Some(_) => wait(store, keys, &epoch, Instant::now() + request.wait).await,
    }
}

/// Takes the host out, at its own wish. The uuid is that of the host that asks.
///
/// # Errors
/// The member of that name is another machine, or an epoch does not end.
pub async fn leave<S: Store>(
    store: &S,
    request: &Request,
    uuid: Option<&str>,
) -> Result<Changed, Failure> {
    change(store, request, What::Leave, |seen| {
        let Some(member) = seen.member()? else {
            return Ok(None);
        };
        if uuid != Some(member.uuid.as_str()) {
            return Err(Failure::new(
                Exit::USAGE,
                format!(
                    "{}: {} joined by this name, and this is not that machine; `leave` there, or `evict --fenced` if it is dead",
                    request.host, member.machine
                ),
            ));
        }
        Ok(Some(seen.gone()))
    })
    .await
}

/// Puts a host out. Whoever asks says that its writers cannot reach the store any more.
///
/// # Errors
/// Its agent is there, so it is not fenced; or an epoch does not end.
pub async fn evict<S: Store>(store: &S, request: &Request) -> Result<Changed, Failure> {
    let keys = &request.keys;
    change(store, request, What::Evict, |seen| {
        let Some(member) = seen.member()? else {
            return Ok(None);
        };
        if let Some(entry) = seen.hosts.get(&keys.live(&request.host)) {
            let who = match decode::<Live>(&entry.value) {
                Ok(live) => live.described(),
                Err(unreadable) => unreadable.to_string(),
            };
            return Err(Failure::new(
                Exit::CONFLICT,
                format!(
                    "{}: its agent is there, so the host is not fenced: {who}; `leave` there, or fence it and wait until its lease has run out",
                    request.host
                ),
            ));
        }
        let evicted = Evicted {
            uuid: member.uuid,
            by: request.by.clone(),
            when: request.when.clone(),
        };
        // An agent that comes back in between is no fenced one.
        let txn = seen.gone().guard(Guard::Absent(keys.live(&request.host)));
        Ok(Some(txn.put(keys.evicted(&request.host), encode(&evicted))))
    })
    .await
}

/// What there is before a change.
struct Seen<'a> {
    request: &'a Request,
    roster: View,
    hosts: View,
}

impl Seen<'_> {
    fn member(&self) -> Result<Option<Member>, Failure> {
        let key = self.request.keys.roster(&self.request.host);
        let unreadable = |what| Failure::new(Exit::INTERNAL, format!("{key}: {what}"));
        self.roster.get(&key).map(|entry| decode(&entry.value).map_err(unreadable)).transpose()
    }

    /// The member that was seen is none any more.
    fn gone(&self) -> Txn {
        let key = self.request.keys.roster(&self.request.host);
        let put = self.roster.get(&key).map_or(0, |entry| entry.modified);
        Txn::new().guard(Guard::Modified(key.clone(), put)).delete(key)
    }
}

/// Does what is to be done about what there is, until nothing comes between.
async fn change<S: Store>(
    store: &S,
    request: &Request,
    what: What,
    decide: impl Fn(&Seen<'_>) -> Result<Option<Txn>, Failure>,
) -> Result<Changed, Failure> {
    let keys = &request.keys;
    let until = Instant::now() + request.wait;
    let record = Change {
        what,
        host: request.host.clone(),
        by: request.by.clone(),
        when: request.when.clone(),
        nonce: random::number(),
    };
    loop {
        let seen = Seen {
            request,
            roster: store.range(&keys.roster(&request.host)).await?,
            hosts: store.range(&keys.host(&request.host)).await?,
        };
        let Some(txn) = decide(&seen)? else {
            return Ok(Changed::WasSo);
        };
        let txn = txn
            .guard(Guard::Absent(keys.epoch()))
            .put(keys.roster_version(), encode(&record))
            .read(keys.epoch());
        let outcome: Outcome = store.commit(txn).await?;
        if outcome.committed {
            return Ok(Changed::Done);
        }
        let epoch = outcome.views.into_iter().next().unwrap_or_default();
        if epoch.get(&keys.epoch()).is_some() {
            wait(store, keys, &epoch, until).await?;
        }
    }
}

/// Until no epoch is under way.
async fn wait<S: Store>(
    store: &S,
    keys: &Keys,
    seen: &View,
    until: Instant,
) -> Result<(), Failure> {
    let mut watch = store.watch(&keys.epoch(), seen.revision);
    loop {
        let Ok(event) = timeout_at(until, watch.next()).await else {
            let id = seen.get(&keys.epoch()).map_or(0, |entry| entry.created);
            return Err(Failure::new(
                Exit::CONFLICT,
                format!(
                    "epoch {id} is under way, and the roster changes only when none is; try again"
                ),
            ));
        };
        match event? {
            Event::Delete { .. } => return Ok(()),
            Event::Resynced(view) if view.entries.is_empty() => return Ok(()),
            Event::Put(_) | Event::Resynced(_) => {}
        }
    }
}
