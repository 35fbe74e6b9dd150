//! The task that keeps a host present: that it has its [`Place`], and that the agent knows whether it takes part.

use std::future::pending;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::machine::{Input, Member};
use super::place::Place;
use super::settings::Settings;
use crate::host::Host;
use crate::record::identity::{Begun, EpochId, Incarnation};
use crate::record::live::{Counts, Live};
use crate::record::roster;
use crate::record::value::decode;
use crate::store::{Event, Store, StoreError};

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
    /// What this host has settled last.
    pub settled: watch::Receiver<Option<Begun>>,
    pub told: UnboundedSender<Input>,
}

impl<S: Store, H: Host> Presence<S, H> {
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        let (mut inner, mut outer) = (stop.clone(), stop.clone());
        loop {
            let present = async {
                let present = self.present(&mut inner).await;
                self.settings.totals.change(|counted| counted.member = false);
                match present {
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
        let mut settled = self.settled.clone();
        let mut place = Place {
            settings: settings.clone(),
            before: self.before.clone(),
            lease: self.store.lease(settings.lease).await?,
            put: None,
            since: 0,
            live: Live {
                incarnation: settings.incarnation.clone(),
                uuid: self.uuid.clone(),
                machine: settings.machine.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                barriers: self.counted().await,
                settled: settled.borrow_and_update().clone(),
                rival: None,
            },
            // Nothing: that all is well is said once, too.
            has_said: Some(String::new()),
        };
        let mut has_told = None;
        let view = self.store.range(&seat).await?;
        let mut seats = self.store.watch(&seat, view.revision);
        let mut member = view.get(&seat).map(|entry| entry.value.clone());
        let view = place.take(&self.store).await?;
        let mut hosts = self.store.watch(&own, view.revision);
        self.tell(&mut place, &mut has_told, member.as_deref());
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
                event = hosts.next() => place.hear(&self.store, event?).await?,
                // Others wait for it: what would be said soon is said now.
                Ok(()) = settled.changed() => count_at = count_at.map(|_| Instant::now()),
                () = next_count => {
                    count_at = settings.counts.map(|every| Instant::now() + every);
                    let barriers = self.counted().await;
                    let settled = settled.borrow_and_update().clone();
                    if (&barriers, &settled) != (&place.live.barriers, &place.live.settled) {
                        (place.live.barriers, place.live.settled) = (barriers, settled);
                        let had = place.put.is_some();
                        place.renew(&self.store).await?;
                        // Nobody need tell us why: the store may have gone back unseen.
                        if had && place.put.is_none() {
                            place.take(&self.store).await?;
                        }
                    }
                }
            }
            self.tell(&mut place, &mut has_told, member.as_deref());
        }
    }

    async fn counted(&self) -> Vec<Counts> {
        match self.settings.counts {
            Some(_) => self.host.counts().await,
            None => Vec::new(),
        }
    }

    /// Says whether the host takes part, and why not.
    fn tell(&self, place: &mut Place, told: &mut Option<Option<Member>>, seat: Option<&[u8]>) {
        let host = &self.settings.host;
        let why_not = match (seat.map(decode::<roster::Member>), &place.live.rival) {
            (None, _) => Some(format!(
                "{host} is not in the roster; `stillpoint-cluster join` makes it a member"
            )),
            (Some(Err(unreadable)), _) => Some(format!("the roster: {unreadable}")),
            (Some(Ok(member)), _) if member.uuid != self.uuid => {
                Some(format!("{host}: {}", member.is_another(&self.settings.machine)))
            }
            (Some(Ok(_)), Some(rival)) => Some(place.live.rivalry(rival)),
            (Some(Ok(_)), None) => None,
        };
        let member = match (place.put, &why_not) {
            (Some(_), None) => Some(Member { since: EpochId(place.since as u64) }),
            _ => None,
        };
        if place.put.is_some() {
            place.say(why_not);
        }
        if told.replace(member) != Some(member) {
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
