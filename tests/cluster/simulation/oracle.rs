//! What must be true of a run, whatever went wrong in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stillpoint_cluster::record::epoch::Beginning;
use stillpoint_cluster::record::identity::{Begun, EpochId, Name};
use stillpoint_cluster::record::keys::Place;
use stillpoint_cluster::record::value::decode;
use stillpoint_cluster::record::verdict::{Outcome, Verdict};
use stillpoint_cluster::store::fake::Fake;
use stillpoint_cluster::store::{Entry, Event, Store};

use super::world::{DRAIN, HOLD, World};
use crate::group::keys;

/// A writer waits in small steps.
const TOLERANCE: Duration = Duration::from_millis(100);

/// What was written to the store, seen by nobody else.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    roster: BTreeSet<Name>,
    /// Those that the store knows of.
    begun: BTreeSet<Begun>,
    /// Those that it has.
    verdicts: BTreeMap<Begun, Verdict>,
    /// All that were ever written: a store that goes back forgets some.
    all: Vec<(Begun, Verdict)>,
    /// How often it was told what there is, instead of what has changed.
    resynced: usize,
    wrong: Vec<String>,
}

impl Witness {
    pub fn of(store: &Fake) -> Witness {
        let witness = Witness::default();
        let own = witness.clone();
        let mut watch = store.link().watch(keys().all(), 0);
        tokio::spawn(async move {
            while let Ok(event) = watch.next().await {
                own.sees(event);
            }
        });
        witness
    }

    fn sees(&self, event: Event) {
        let mut seen = self.0.lock().unwrap();
        match event {
            Event::Put(entry) => match keys().place(&entry.key) {
                Some(Place::Roster(host)) => drop(seen.roster.insert(host)),
                Some(Place::Begun) => drop(seen.begun.insert(begun(&entry))),
                Some(Place::Verdict(id)) => {
                    let verdict: Verdict = decode(&entry.value).expect("a verdict");
                    let begun = Begun { id, nonce: verdict.nonce.clone() };
                    if verdict.outcome == Outcome::Complete {
                        let Seen { roster, wrong, .. } = &mut *seen;
                        if !roster.iter().eq(verdict.members.keys()) {
                            wrong.push(format!("{id} is complete without all of {roster:?}"));
                        }
                    }
                    seen.all.push((begun.clone(), verdict.clone()));
                    if seen.verdicts.insert(begun, verdict).is_some() {
                        seen.wrong.push(format!("{id} has two verdicts"));
                    }
                }
                _ => {}
            },
            Event::Delete { key, .. } => {
                if let Some(Place::Roster(host)) = keys().place(&key) {
                    seen.roster.remove(&host);
                }
            }
            // It is told of everything at once, before anything can be forgotten: the store has gone back.
            Event::Resynced(view) => {
                seen.resynced += 1;
                let hosts =
                    view.entries.iter().filter_map(|entry| match keys().place(&entry.key)? {
                        Place::Roster(host) => Some(host),
                        _ => None,
                    });
                seen.roster = hosts.collect();
                let last = view.get(&keys().begun()).map(begun);
                seen.begun.retain(|one| last.as_ref().is_some_and(|last| one <= last));
                seen.verdicts.retain(|one, _| view.get(&keys().verdict(one.id)).is_some());
            }
            _ => seen.wrong.push("an event of another kind".to_owned()),
        }
    }

    /// How many epochs were complete.
    pub fn complete(&self) -> usize {
        let seen = self.0.lock().unwrap();
        seen.all.iter().filter(|(_, verdict)| verdict.outcome == Outcome::Complete).count()
    }

    pub fn epochs(&self) -> usize {
        self.0.lock().unwrap().all.len()
    }

    /// Everything that is wrong.
    pub fn judge(&self, world: &World) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        let mut wrong = seen.wrong.clone();
        if seen.resynced != world.restores {
            wrong.push("the witness was asleep".to_owned());
        }
        for begun in seen.begun.iter().filter(|begun| !seen.verdicts.contains_key(begun)) {
            wrong.push(format!("{} has begun and has no verdict", begun.id));
        }
        for (begun, verdict) in &seen.all {
            if verdict.outcome == Outcome::Complete {
                wrong.extend(orphans(world, begun, verdict));
            }
        }
        for member in &world.members {
            let machine = &member.machine;
            wrong.extend(machine.wrong());
            if machine.is_closed() {
                wrong.push(format!("the gate of {} is closed", member.name));
            }
            if machine.longest() > DRAIN + HOLD + TOLERANCE {
                wrong.push(format!("a writer of {} waited {:?}", member.name, machine.longest()));
            }
            for (id, told) in machine.settled() {
                let begun = Begun { id, nonce: told.nonce.clone() };
                let is_said = seen.all.iter().any(|(one, said)| *one == begun && *said == told);
                // What it concludes by itself is no good word.
                if told.is_good() && !is_said {
                    wrong.push(format!("{} was told {:?} of {id}", member.name, told.outcome));
                }
                let written = seen.verdicts.get(&begun).is_some_and(Verdict::is_good);
                if written && !told.is_good() {
                    wrong.push(format!("{} has thrown its part of {id} away", member.name));
                }
            }
        }
        wrong
    }
}

/// The epoch that this entry says has begun.
fn begun(entry: &Entry) -> Begun {
    let Beginning { nonce, .. } = decode(&entry.value).expect("a beginning");
    Begun { id: EpochId(entry.modified as u64), nonce }
}

/// Receipts without their sends, and members without a snapshot.
fn orphans(world: &World, begun: &Begun, verdict: &Verdict) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut taken = BTreeMap::new();
    for member in world.members.iter().filter(|one| verdict.members.contains_key(&one.name)) {
        match member.machine.snapshot_of(begun) {
            Some(data) => drop(taken.insert(member.machine.number, data)),
            None => wrong.push(format!("{} has no snapshot of {}", member.name, begun.id)),
        }
        let own = member.machine.certificate_of(begun);
        if own.is_none() || verdict.members[&member.name].certificate != own {
            wrong.push(format!("{} has not certified its part of {}", member.name, begun.id));
        }
    }
    for (to, theirs) in &taken {
        for (from, received) in &theirs.received {
            let Some(sent) = taken.get(from).map(|data| data.sent.get(to).copied().unwrap_or(0))
            else {
                continue;
            };
            if *received > sent {
                wrong.push(format!(
                    "epoch {}: h{to} has message {received} of h{from}, which has sent {sent}",
                    begun.id
                ));
            }
        }
    }
    wrong
}
