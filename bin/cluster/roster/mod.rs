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
use crate::record::keys::{Keys, Place};
use crate::record::live::Live;
use crate::record::roster::{Change, Evicted, Member, What};
use crate::record::value::{Unreadable, decode, encode};
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
    enter(store, request, uuid, machine, false).await
}

/// The same in the place of another machine of that name. Whoever asks says that it is this very one, whose number was
/// lost, or that its writers cannot reach the store any more. At no moment is there no member of the name.
///
/// # Errors
/// The agent of that machine is there, or an epoch does not end.
pub async fn take_over<S: Store>(
    store: &S,
    request: &Request,
    uuid: &str,
    machine: &str,
) -> Result<Changed, Failure> {
    enter(store, request, uuid, machine, true).await
}

async fn enter<S: Store>(
    store: &S,
    request: &Request,
    uuid: &str,
    machine: &str,
    fenced: bool,
) -> Result<Changed, Failure> {
    let keys = &request.keys;
    let live = keys.live(&request.host);
    let key = keys.roster(&request.host);
    let member =
        Member { uuid: uuid.to_owned(), machine: machine.to_owned(), joined: request.when.clone() };
    change(store, request, What::Join, |seen| {
        let txn = match seen.member()? {
            None => Txn::new().guard(Guard::Absent(key.clone())),
            Some(other) if other.uuid == uuid => return Ok(None),
            Some(other) if !fenced => {
                return Err(Failure::new(
                    Exit::CANNOT_CREATE,
                    format!("{}: {}", request.host, other.is_another(machine)),
                ));
            }
            Some(_) => {
                let sign = seen.hosts.get(&live);
                let agent = sign.map(|sign| decode::<Live>(&sign.value));
                if let Some(agent) =
                    agent.filter(|agent| !matches!(agent, Ok(one) if one.uuid == uuid))
                {
                    return Err(seen.is_not_fenced(&agent));
                }
                // Nobody else's agent comes back in between.
                let there = sign.map_or(0, |sign| sign.modified);
                seen.as_it_was().guard(Guard::Modified(live.clone(), there))
            }
        };
        Ok(Some(txn.put(key.clone(), encode(&member)).delete(keys.evicted(&request.host))))
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
/// Its agent is there, so it is not fenced; nobody has ever heard of it; or an epoch does not end.
pub async fn evict<S: Store>(store: &S, request: &Request) -> Result<Changed, Failure> {
    let keys = &request.keys;
    let changed = change(store, request, What::Evict, |seen| {
        let Some(member) = seen.member()? else {
            return Ok(None);
        };
        if let Some(entry) = seen.hosts.get(&keys.live(&request.host)) {
            return Err(seen.is_not_fenced(&decode(&entry.value)));
        }
        let evicted =
            Evicted { uuid: member.uuid, by: request.by.clone(), when: request.when.clone() };
        // An agent that comes back in between is no fenced one.
        let txn = seen.gone().guard(Guard::Absent(keys.live(&request.host)));
        Ok(Some(txn.put(keys.evicted(&request.host), encode(&evicted))))
    })
    .await?;
    match changed {
        Changed::WasSo if !was_here(store, request).await? => {
            Err(unheard_of(store, request).await?)
        }
        changed => Ok(changed),
    }
}

/// Whether there is a trace of such a host: what it reported, or that it was put out.
async fn was_here<S: Store>(store: &S, request: &Request) -> Result<bool, Failure> {
    for trace in [request.keys.host(&request.host), request.keys.evicted(&request.host)] {
        if !store.range(&trace).await?.entries.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn unheard_of<S: Store>(store: &S, request: &Request) -> Result<Failure, Failure> {
    let roster = store.range(&request.keys.rosters()).await?;
    let members = roster.entries.iter().filter_map(|entry| match request.keys.place(&entry.key) {
        Some(Place::Roster(host)) => Some(host.to_string()),
        _ => None,
    });
    let members: Vec<String> = members.collect();
    let members = match members.is_empty() {
        true => "no host has joined".to_owned(),
        false => format!("members are {}", members.join(", ")),
    };
    let text = format!("{}: there is no host of this name in the group; {members}", request.host);
    Ok(Failure::new(Exit::MISSING, text))
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

    /// The member is still the one that was seen.
    fn as_it_was(&self) -> Txn {
        let key = self.request.keys.roster(&self.request.host);
        let put = self.roster.get(&key).map_or(0, |entry| entry.modified);
        Txn::new().guard(Guard::Modified(key, put))
    }

    /// The member that was seen is none any more.
    fn gone(&self) -> Txn {
        self.as_it_was().delete(self.request.keys.roster(&self.request.host))
    }

    fn is_not_fenced(&self, agent: &Result<Live, Unreadable>) -> Failure {
        let who = match agent {
            Ok(live) => live.described(),
            Err(unreadable) => unreadable.to_string(),
        };
        let text = format!(
            "{}: its agent is there, so the host is not fenced: {who}; `leave` there, or fence it and wait until its lease has run out",
            self.request.host
        );
        Failure::new(Exit::CONFLICT, text)
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
