//! The task that keeps a host present: its sign of life, its place in the roster, and that nobody else is this host.
//!
//! A sign of life is made only where there is none. Who finds one of another agent cannot know whether that is dead
//! and not yet given up, or lives on a machine that was cloned from this one: so it puts a rival's sign beside it. An
//! agent that lives answers by saying so in its own sign, and from then on neither takes part, until one of the two
//! is stopped. One that is dead is silent, its sign goes with its lease, and the newcomer has the place. The agent that
//! this very host ran before is known to be dead, since its notebook is free.

use std::future::pending;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::machine::{Input, Member};
use super::settings::Settings;
use crate::host::Host;
use crate::record::identity::{EpochId, Incarnation};
use crate::record::live::{Counts, Live};
use crate::record::roster;
use crate::record::value::{decode, encode};
use crate::store::{Event, Guard, Lease, Revision, Store, StoreError, Txn, View};

/// Before an engine that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the host present until it is told to stop.
pub struct Presence<S, H> {
    pub store: S,
    pub host: H,
    pub settings: Settings,
    pub uuid: String,
    /// The agent that ran here before.
    pub before: Option<Incarnation>,
    pub told: UnboundedSender<Input>,
}

/// What is known of the host's keys.
struct Place {
    lease: Lease,
    /// The revision that put the sign last; none: another agent has the place.
    put: Option<Revision>,
    /// Since when nobody else wants it.
    since: Revision,
    live: Live,
    has_told: Option<Option<Member>>,
    has_said: Option<String>,
}

impl<S: Store, H: Host> Presence<S, H> {
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        let (mut inner, mut outer) = (stop.clone(), stop.clone());
        loop {
            let present = async {
                match self.present(&mut inner).await {
                    Ok(()) => {}
                    Err(error) => {
                        self.settings.log.say(&format!("the host is not present: {error}"));
                        sleep(PAUSE).await;
                    }
                }
            };
            select! {
                biased;
                () = present => {}
                // What it holds is dropped, and runs out.
                () = stopped_for(&mut outer, 2 * PAUSE) => return,
            }
            if *stop.borrow_and_update() {
                return;
            }
        }
    }

    /// Until the lease is lost, or it is told to stop.
    async fn present(&self, stop: &mut watch::Receiver<bool>) -> Result<(), StoreError> {
        let settings = &self.settings;
        let keys = &settings.keys;
        let (own, seat) = (keys.host(&settings.host), keys.roster(&settings.host));
        let lease = self.store.lease(settings.lease).await?;
        let mut place = Place {
            lease,
            put: None,
            since: 0,
            live: Live {
                incarnation: settings.incarnation.clone(),
                uuid: self.uuid.clone(),
                machine: settings.machine.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                barriers: self.counted().await,
                rival: None,
            },
            has_told: None,
            has_said: None,
        };
        let view = self.store.range(&seat).await?;
        let mut seats = self.store.watch(&seat, view.revision);
        let mut member = view.get(&seat).map(|entry| entry.value.clone());
        let view = self.take_place(&mut place).await?;
        let mut hosts = self.store.watch(&own, view.revision);
        self.tell(&mut place, member.as_deref());
        let mut count_at = settings.counts.map(|every| Instant::now() + every);
        loop {
            let next_count = async {
                match count_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            select! {
                biased;
                () = stopped(stop) => {
                    let _ = place.lease.revoke().await;
                    return Ok(());
                }
                () = place.lease.lost() => return Ok(()),
                event = seats.next() => {
                    member = match event? {
                        Event::Put(entry) => Some(entry.value),
                        Event::Delete { .. } => None,
                        Event::Resynced(view) => view.get(&seat).map(|entry| entry.value.clone()),
                    };
                }
                event = hosts.next() => {
                    let event = event?;
                    self.hear(&mut place, event).await?;
                }
                () = next_count => {
                    count_at = settings.counts.map(|every| Instant::now() + every);
                    let barriers = self.counted().await;
                    if barriers != place.live.barriers {
                        place.live.barriers = barriers;
                        self.renew(&mut place).await?;
                    }
                }
            }
            self.tell(&mut place, member.as_deref());
        }
    }

    async fn counted(&self) -> Vec<Counts> {
        match self.settings.counts {
            Some(_) => self.host.counts().await,
            None => Vec::new(),
        }
    }

    /// Something below this host's keys has changed.
    async fn hear(&self, place: &mut Place, event: Event) -> Result<(), StoreError> {
        let keys = &self.settings.keys;
        let (live, rival) = (keys.live(&self.settings.host), keys.rival(&self.settings.host));
        let of_another = |value: &[u8]| {
            let live: Option<Live> = decode(value).ok();
            live.filter(|live| live.incarnation != self.settings.incarnation)
        };
        match event {
            Event::Put(entry) if entry.key == live => {
                if of_another(&entry.value).is_some() {
                    self.take_place(place).await?;
                }
            }
            Event::Delete { key, revision } if key == live => {
                if place.put.is_none_or(|put| put < revision) {
                    self.take_place(place).await?;
                }
            }
            Event::Put(entry) if entry.key == rival && place.put.is_some() => {
                if let Some(other) = of_another(&entry.value) {
                    place.live.rival = Some(Box::new(other));
                    self.renew(place).await?;
                }
            }
            Event::Delete { key, .. } if key == rival && place.live.rival.is_some() => {
                place.live.rival = None;
                self.renew(place).await?;
                // Coordinators have counted on it from now on only.
                place.since = place.put.unwrap_or(place.since);
            }
            Event::Put(_) | Event::Delete { .. } => {}
            Event::Resynced(view) => {
                let mine = view.get(&live).is_some_and(|entry| of_another(&entry.value).is_none());
                let other =
                    view.get(&rival).and_then(|entry| of_another(&entry.value)).map(Box::new);
                if !mine || place.put.is_none() {
                    self.take_place(place).await?;
                } else if other.as_ref().map(|live| &live.incarnation)
                    != place.live.rival.as_ref().map(|live| &live.incarnation)
                {
                    place.live.rival = other;
                    self.renew(place).await?;
                    place.since = place.put.unwrap_or(place.since);
                }
            }
        }
        Ok(())
    }

    /// Makes the sign of life, or the rival's beside it.
    async fn take_place(&self, place: &mut Place) -> Result<View, StoreError> {
        let keys = &self.settings.keys;
        let (live, rival) = (keys.live(&self.settings.host), keys.rival(&self.settings.host));
        place.put = None;
        let mut guard = Guard::Absent(live.clone());
        let mut mine = place.live.clone();
        mine.rival = None;
        loop {
            let txn = Txn::new()
                .guard(guard)
                .put_leased(live.clone(), encode(&mine), &place.lease)
                .read(keys.host(&self.settings.host));
            let outcome = self.store.commit(txn).await?;
            let view = outcome.views.into_iter().next().unwrap_or_default();
            let found = view.get(&live);
            if let (true, Some(entry)) = (outcome.committed, found) {
                place.put = Some(entry.modified);
                place.since = entry.modified;
                place.live = mine;
                // Our own one, from when the place was taken; another's is answered.
                match view.get(&rival).map(|entry| decode::<Live>(&entry.value)) {
                    Some(Ok(other)) if other.incarnation == self.settings.incarnation => {
                        self.store.commit(Txn::new().delete(rival)).await?;
                    }
                    Some(Ok(other)) => {
                        place.live.rival = Some(Box::new(other));
                        self.renew(place).await?;
                    }
                    Some(Err(_)) | None => {}
                }
                return Ok(view);
            }
            let Some(entry) = found else {
                guard = Guard::Absent(live.clone());
                continue;
            };
            match decode::<Live>(&entry.value) {
                // Of an earlier lease, or of an earlier agent: this one has their notebook.
                Ok(other) if self.is_own(&other) => {
                    guard = Guard::Modified(live.clone(), entry.modified)
                }
                other => {
                    let is_known = view.get(&rival).is_some();
                    if !is_known {
                        let txn = Txn::new().guard(Guard::Absent(rival.clone())).put_leased(
                            rival,
                            encode(&mine),
                            &place.lease,
                        );
                        self.store.commit(txn).await?;
                    }
                    let said = match other {
                        Ok(other) => format!(
                            "{} has the name {} already; this host takes no part while that one does, or until it is given up",
                            other.described(),
                            self.settings.host
                        ),
                        Err(unreadable) => format!("{live}: {unreadable}"),
                    };
                    if place.has_said.as_ref() != Some(&said) {
                        self.settings.log.say(&said);
                        place.has_said = Some(said);
                    }
                    return Ok(view);
                }
            }
        }
    }

    fn is_own(&self, other: &Live) -> bool {
        let is_before = self.before.as_ref() == Some(&other.incarnation)
            && other.incarnation.boot == self.settings.incarnation.boot
            && other.machine == self.settings.machine;
        other.incarnation == self.settings.incarnation || is_before
    }

    /// Puts the sign of life again, as it is now.
    async fn renew(&self, place: &mut Place) -> Result<(), StoreError> {
        let Some(put) = place.put else {
            return Ok(());
        };
        let live = self.settings.keys.live(&self.settings.host);
        let txn = Txn::new()
            .guard(Guard::Modified(live.clone(), put))
            .put_leased(live.clone(), encode(&place.live), &place.lease)
            .read(live.clone());
        let outcome = self.store.commit(txn).await?;
        let entry = outcome.views.first().and_then(|view| view.get(&live));
        place.put = entry.filter(|_| outcome.committed).map(|entry| entry.modified);
        Ok(())
    }

    /// Says whether the host takes part, and why not.
    fn tell(&self, place: &mut Place, seat: Option<&[u8]>) {
        let host = &self.settings.host;
        let why_not = match (seat.map(decode::<roster::Member>), &place.live.rival) {
            (None, _) => Some(format!(
                "{host} is not in the roster; `stillpoint-cluster join` makes it a member"
            )),
            (Some(Err(unreadable)), _) => Some(format!("the roster: {unreadable}")),
            (Some(Ok(member)), _) if member.uuid != self.uuid => Some(format!(
                "another machine, {}, joined as {host} on {}; evict it, or give this one another name",
                member.machine, member.joined
            )),
            (Some(Ok(_)), Some(rival)) => Some(place.live.rivalry(rival)),
            (Some(Ok(_)), None) => None,
        };
        let member = match (place.put, &why_not) {
            (Some(_), None) => Some(Member { since: EpochId(place.since as u64) }),
            _ => None,
        };
        if place.put.is_some() && why_not != place.has_said {
            let line = why_not.clone().unwrap_or_else(|| format!("{host} takes part"));
            self.settings.log.say(&line);
            place.has_said = why_not;
        }
        if place.has_told != Some(member) {
            place.has_told = Some(member);
            self.settings.totals.change(|counted| counted.member = member.is_some());
            let _ = self.told.send(Input::Membership(member));
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An agent that is gone without a word has its tasks ended.
    if stop.wait_for(|stop| *stop).await.is_err() {
        pending::<()>().await;
    }
}

/// When it was told to stop that long ago.
async fn stopped_for(stop: &mut watch::Receiver<bool>, long: Duration) {
    stopped(stop).await;
    sleep(long).await;
}
