//! What must be true of a run, whatever went wrong in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stillpoint_cluster::record::identity::{Begun, Name};
use stillpoint_cluster::record::keys::Place;
use stillpoint_cluster::record::value::decode;
use stillpoint_cluster::record::verdict::{Outcome, Verdict};
use stillpoint_cluster::store::fake::Fake;
use stillpoint_cluster::store::{Event, Store};

use super::world::{DRAIN, HOLD, World};
use crate::group::keys;

/// A writer waits in small steps.
const TOLERANCE: Duration = Duration::from_millis(100);

/// What was written to the store, seen by nobody else.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    roster: Vec<Name>,
    verdicts: BTreeMap<Begun, Verdict>,
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
                Some(Place::Roster(host)) => seen.roster.push(host),
                Some(Place::Verdict(id)) => {
                    let verdict: Verdict = decode(&entry.value).expect("a verdict");
                    let begun = Begun { id, nonce: verdict.nonce.clone() };
                    if verdict.outcome == Outcome::Complete {
                        let mut roster = seen.roster.clone();
                        roster.sort();
                        roster.dedup();
                        if !roster.iter().eq(verdict.members.keys()) {
                            seen.wrong.push(format!("{id} is complete without all of {roster:?}"));
                        }
                    }
                    if seen.verdicts.insert(begun, verdict).is_some() {
                        seen.wrong.push(format!("{id} has two verdicts"));
                    }
                }
                _ => {}
            },
            Event::Delete { key, .. } => {
                if let Some(Place::Roster(host)) = keys().place(&key) {
                    seen.roster.retain(|other| *other != host);
                }
            }
            // It is told of everything at once, before anything can be forgotten.
            _ => seen.wrong.push("the witness was asleep".to_owned()),
        }
    }

    /// How many epochs were complete.
    pub fn complete(&self) -> usize {
        let seen = self.0.lock().unwrap();
        seen.verdicts.values().filter(|verdict| verdict.outcome == Outcome::Complete).count()
    }

    pub fn epochs(&self) -> usize {
        self.0.lock().unwrap().verdicts.len()
    }

    /// Everything that is wrong.
    pub fn judge(&self, world: &World) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        let mut wrong = seen.wrong.clone();
        for (begun, verdict) in &seen.verdicts {
            if verdict.outcome == Outcome::Complete {
                wrong.extend(orphans(world, begun, verdict));
            }
        }
        for member in &world.members {
            let machine = &member.machine;
            if machine.is_closed() {
                wrong.push(format!("the gate of {} is closed", member.name));
            }
            if machine.longest() > DRAIN + HOLD + TOLERANCE {
                wrong.push(format!("a writer of {} waited {:?}", member.name, machine.longest()));
            }
            for (id, told) in machine.settled() {
                let begun = Begun { id, nonce: told.nonce.clone() };
                let is_said = seen.verdicts.get(&begun).is_some_and(|verdict| *verdict == told);
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

/// Receipts without their sends, and members without a snapshot.
fn orphans(world: &World, begun: &Begun, verdict: &Verdict) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut taken = BTreeMap::new();
    for member in world.members.iter().filter(|one| verdict.members.contains_key(&one.name)) {
        match member.machine.snapshot_of(begun) {
            Some(data) => drop(taken.insert(member.machine.number, data)),
            None => wrong.push(format!("{} has no snapshot of {}", member.name, begun.id)),
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
