//! Beginning an epoch, or saying why it cannot be.
//!
//! What is seen before is for people: nobody is asked to do anything for a snapshot that cannot come about. What
//! counts is the transaction that makes the epoch's key: in it the roster is what was seen, nobody else's epoch is
//! under way, and the one before has its verdict.

use std::collections::BTreeMap;

use tokio::join;

use super::Request;
use super::abort::{abort, seen};
use super::recover::{LEFT, busy, last_begun};
use super::round::failed;
use crate::record::epoch::{Beginning, Epoch, Phase};
use crate::record::identity::{self, EpochId, Incarnation, Name};
use crate::record::keys::{Keys, Place};
use crate::record::live::Live;
use crate::record::roster::Member;
use crate::record::value::{decode, decode_ours, encode};
use crate::store::{Guard, Lease, Revision, Store, Txn, View, Watch};
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::random;

/// How many verdicts are kept. Each host's catalogue has its own for as long as it has the snapshot.
const KEPT: usize = 100;
/// How often others may come between.
const ATTEMPTS: usize = 5;

/// An epoch that has begun.
pub struct Begun {
    pub id: EpochId,
    pub epoch: Epoch,
    /// The revision that put the epoch's key last.
    pub written: Revision,
    /// That put the roster's version last.
    pub roster: Revision,
    pub members: BTreeMap<Name, Incarnation>,
    /// Members that cannot take part after all, and were not left out.
    pub unfit: Vec<String>,
    pub lease: Lease,
    pub hosts: Watch,
    pub epochs: Watch,
}

/// Begins an epoch.
pub async fn begin<S: Store>(store: &S, request: &Request) -> Result<Begun, Failure> {
    let keys = &request.keys;
    for _ in 0..ATTEMPTS {
        let seen = look(store, request).await?;
        let missing = seen.missing(request)?;
        // Before anything is written, so that nothing of what comes of it is told late.
        let hosts = store.watch(&keys.hosts(), seen.revision);
        let epochs = store.watch(&keys.epoch(), seen.revision);
        let lease = store.lease(request.lease);
        let (lease, (), ()) = join!(lease, hosts.opened(), epochs.opened());
        let lease = lease?;
        let epoch = Epoch {
            phase: Phase::first(request.limits.prepare),
            mode: request.mode,
            prepare_ms: request.limits.prepare.as_millis() as u64,
            drain_ms: request.limits.drain.as_millis() as u64,
            hold_ms: request.limits.hold.as_millis() as u64,
            coordinator: request.by.clone(),
            nonce: random::number(),
            missing,
        };
        let mut before = seen.before;
        let old = before.split_off(KEPT.min(before.len()));
        let txn = old.iter().fold(Txn::new(), |txn, old| txn.delete(keys.verdict(*old)));
        let txn = txn
            .guard(Guard::Absent(keys.epoch()))
            .guard(Guard::Modified(keys.roster_version(), seen.roster_version))
            .guard(Guard::Modified(keys.begun(), seen.begun))
            .put_leased(keys.epoch(), encode(&epoch), &lease)
            .put(keys.begun(), encode(&Beginning { nonce: epoch.nonce.clone(), before }))
            .read(keys.epoch())
            .read(keys.rosters())
            .read(keys.hosts());
        let outcome = store.commit(txn).await?;
        let [now, roster, live] = outcome.views.as_slice() else {
            return Err(Failure::new(Exit::INTERNAL, "the store left a read out"));
        };
        match (outcome.committed, now.get(&keys.epoch())) {
            (true, Some(entry)) => {
                let hosts_at = Seats::new(keys, roster, live)?;
                let mut members = BTreeMap::new();
                let mut unfit = Vec::new();
                for (name, fitness) in hosts_at.0 {
                    match fitness {
                        _ if epoch.missing.contains(&name) => {}
                        Ok(incarnation) => drop(members.insert(name, incarnation)),
                        Err(why) => unfit.push(format!("{name}: {why}")),
                    }
                }
                return Ok(Begun {
                    id: EpochId(entry.created as u64),
                    written: entry.modified,
                    roster: seen.roster_version,
                    epoch,
                    members,
                    unfit,
                    lease,
                    hosts,
                    epochs,
                });
            }
            // It was there, and somebody gave it up since.
            (true, None) => {
                return Err(Failure::new(Exit::CONFLICT, "the epoch was given up as it began"));
            }
            (false, Some(_)) => return Err(busy(now, keys)),
            // The roster, or the epoch before, is another one by now.
            (false, None) => drop(lease.revoke().await),
        }
    }
    Err(Failure::new(
        Exit::CONFLICT,
        "others began epochs or changed the roster all the while; try again",
    ))
}

/// What there is before the beginning.
struct Seen {
    revision: Revision,
    roster_version: Revision,
    begun: Revision,
    /// The epochs before this one whose verdicts there are, the newest first.
    before: Vec<EpochId>,
    seats: Seats,
}

async fn look<S: Store>(store: &S, request: &Request) -> Result<Seen, Failure> {
    let keys = &request.keys;
    let (version, begun, epoch) = (keys.roster_version(), keys.begun(), keys.epoch());
    let (rosters, hosts) = (keys.rosters(), keys.hosts());
    // The guards are on what these show, so it is no harm that each is of a revision of its own.
    let (version_view, begun_view, epoch_view, roster, live) = join!(
        store.range(&version),
        store.range(&begun),
        store.range(&epoch),
        store.range(&rosters),
        store.range(&hosts)
    );
    let (version_view, begun_view, epoch_view) = (version_view?, begun_view?, epoch_view?);
    let (roster, live) = (roster?, live?);
    if epoch_view.get(&epoch).is_some() {
        return Err(busy(&epoch_view, keys));
    }
    let put = |view: &View, key: &str| view.get(key).map_or(0, |entry| entry.modified);
    let mut before = Vec::new();
    if let Some(last) = last_begun(keys, &begun_view)? {
        settle(store, request, &last.begun).await?;
        before = [vec![last.begun.id], last.before].concat();
    }
    Ok(Seen {
        revision: live.revision,
        roster_version: put(&version_view, &version),
        begun: put(&begun_view, &begun),
        before,
        seats: Seats::new(keys, &roster, &live)?,
    })
}

/// The epoch before has its verdict, or gets it.
async fn settle<S: Store>(
    store: &S,
    request: &Request,
    last: &identity::Begun,
) -> Result<(), Failure> {
    let key = request.keys.verdict(last.id);
    if seen(&store.range(&key).await?, &key)?.is_none() {
        let why = failed(Exit::CONFLICT, LEFT.to_owned());
        abort(store, &request.keys, last, why, &request.by, &request.when).await?;
    }
    Ok(())
}

/// Each member, with its agent or the reason why it cannot take part.
struct Seats(BTreeMap<Name, Result<Incarnation, String>>);

impl Seats {
    fn new(keys: &Keys, roster: &View, live: &View) -> Result<Seats, Failure> {
        let mut seats = BTreeMap::new();
        for entry in &roster.entries {
            let Some(Place::Roster(name)) = keys.place(&entry.key) else {
                continue;
            };
            // Nobody is left out because his entry cannot be read.
            let member: Member = decode(&entry.value).map_err(|unreadable| {
                Failure::new(Exit::INTERNAL, format!("{}: {unreadable}", entry.key))
            })?;
            let rival = live.get(&keys.rival(&name)).map(|entry| decode::<Live>(&entry.value));
            let live = live.get(&keys.live(&name)).map(|entry| decode_ours::<Live>(&entry.value));
            let fitness = match live {
                // One that is dead answers it with silence, and has no part in anything either.
                Some(Ok(live)) if live.rival.is_none() && matches!(rival, Some(Ok(_))) => {
                    Err(format!(
                        "{} wants the place of {}; if this is one machine that was started again, it has it in a few seconds",
                        rival
                            .and_then(Result::ok)
                            .map_or_else(String::new, |rival| rival.described()),
                        live.described()
                    ))
                }
                None => {
                    Err("its agent is not there; start it, or see why it cannot reach the store"
                        .to_owned())
                }
                Some(Err(unreadable)) => Err(unreadable.to_string()),
                Some(Ok(live)) => match live.rival {
                    Some(ref rival) => Err(live.rivalry(rival)),
                    None if live.uuid != member.uuid => Err(format!(
                        "{} does not have the number of the machine that joined by this name: {}",
                        live.described(),
                        member.is_another(&live.machine)
                    )),
                    None => Ok(live.incarnation),
                },
            };
            seats.insert(name, fitness);
        }
        Ok(Seats(seats))
    }
}

impl Seen {
    /// The members that are left out, if that was asked for.
    fn missing(&self, request: &Request) -> Result<Vec<Name>, Failure> {
        if self.seats.0.is_empty() {
            return Err(Failure::new(
                Exit::MISSING,
                "no host has joined the group; `stillpoint-cluster join` on each makes them members",
            ));
        }
        let unfit: Vec<(&Name, &String)> = self
            .seats
            .0
            .iter()
            .filter_map(|(name, fitness)| Some((name, fitness.as_ref().err()?)))
            .collect();
        match unfit.first() {
            None => Ok(Vec::new()),
            Some((name, why)) if !request.allow_missing || unfit.len() == self.seats.0.len() => {
                let more = match unfit.len() {
                    1 => String::new(),
                    more => format!(" (and {} more hosts)", more - 1),
                };
                Err(Failure::new(Exit::CONFLICT, format!("{name}: {why}{more}")))
            }
            Some(_) => Ok(unfit.into_iter().map(|(name, _)| name.clone()).collect()),
        }
    }
}
