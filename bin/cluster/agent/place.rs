//! The place of a host in its group, which one agent has: its sign of life.
//!
//! A sign of life is made only where there is none. Who finds one of another agent cannot know whether that is dead
//! and not yet given up, or lives on a machine that was cloned from this one: so it puts a rival's sign beside it. An
//! agent that lives answers by saying so in its own sign, and from then on neither takes part, until one of the two
//! is stopped. One that is dead is silent, its sign goes with its lease, and the newcomer has the place. The agent that
//! this very host ran before is known to be dead, since its notebook is free.

use super::settings::Settings;
use crate::record::identity::Incarnation;
use crate::record::live::Live;
use crate::record::value::{decode, encode};
use crate::store::{Event, Guard, Lease, Revision, Store, StoreError, Txn, View};

/// What is known of it.
pub struct Place {
    pub settings: Settings,
    /// The agent that ran here before.
    pub before: Option<Incarnation>,
    pub lease: Lease,
    /// The revision that put the sign last; none: another agent has the place.
    pub put: Option<Revision>,
    /// Since when nobody else wants it.
    pub since: Revision,
    pub live: Live,
    /// The last line of the log about it.
    pub has_said: Option<String>,
}

impl Place {
    /// Something below this host's keys has changed.
    pub async fn hear<S: Store>(&mut self, store: &S, event: Event) -> Result<(), StoreError> {
        let keys = &self.settings.keys;
        let (live, rival) = (keys.live(&self.settings.host), keys.rival(&self.settings.host));
        match event {
            Event::Put(entry) if entry.key == live && self.of_another(&entry.value).is_some() => {
                self.take(store).await?;
            }
            Event::Delete { key, revision } if key == live => {
                if self.put.is_none_or(|put| put < revision) {
                    self.take(store).await?;
                }
            }
            Event::Put(entry) if entry.key == rival => {
                if let Some(other) = self.of_another(&entry.value) {
                    self.answer(store, Some(other)).await?;
                }
            }
            Event::Delete { key, .. } if key == rival => self.answer(store, None).await?,
            Event::Put(_) | Event::Delete { .. } => {}
            Event::Resynced(view) => {
                // A store that went back may show an older sign of ours: with it one could never renew ours again.
                let sign = view.get(&live).filter(|sign| self.of_another(&sign.value).is_none());
                let put = sign.map(|sign| sign.modified);
                if put.is_none() || put != self.put {
                    self.take(store).await?;
                } else {
                    let other = view.get(&rival).and_then(|entry| self.of_another(&entry.value));
                    self.answer(store, other).await?;
                }
            }
        }
        Ok(())
    }

    fn of_another(&self, value: &[u8]) -> Option<Live> {
        let live: Option<Live> = decode(value).ok();
        live.filter(|live| live.incarnation != self.settings.incarnation)
    }

    /// Says who else wants to be this host, if that is news.
    async fn answer<S: Store>(&mut self, store: &S, other: Option<Live>) -> Result<(), StoreError> {
        let incarnation = |live: &Live| live.incarnation.clone();
        let known = self.live.rival.as_deref().map(incarnation);
        if self.put.is_none() || other.as_ref().map(incarnation) == known {
            return Ok(());
        }
        self.live.rival = other.map(Box::new);
        self.renew(store).await?;
        if self.live.rival.is_none() {
            // Coordinators have counted on it from now on only.
            self.since = self.put.unwrap_or(self.since);
        }
        Ok(())
    }

    /// Makes the sign of life, or the rival's beside it; what there is below this host's keys then.
    pub async fn take<S: Store>(&mut self, store: &S) -> Result<View, StoreError> {
        let keys = &self.settings.keys;
        let (live, rival) = (keys.live(&self.settings.host), keys.rival(&self.settings.host));
        let own = keys.host(&self.settings.host);
        let mut guard = Guard::Absent(live.clone());
        self.put = None;
        self.live.rival = None;
        loop {
            let mine = encode(&self.live);
            let txn = Txn::new()
                .guard(guard)
                .put_leased(live.clone(), mine.clone(), &self.lease)
                .read(&own);
            let outcome = store.commit(txn).await?;
            let view = outcome.views.into_iter().next().unwrap_or_default();
            let there_is_a_rival = view.get(&rival).map(|entry| entry.value.clone());
            match (outcome.committed, view.get(&live)) {
                (true, Some(entry)) => {
                    self.put = Some(entry.modified);
                    self.since = entry.modified;
                    match there_is_a_rival.map(|value| decode::<Live>(&value)) {
                        // Our own one, from when the place was taken.
                        Some(Ok(other)) if other.incarnation == self.settings.incarnation => {
                            store.commit(Txn::new().delete(rival)).await?;
                        }
                        Some(Ok(other)) => self.answer(store, Some(other)).await?,
                        Some(Err(_)) | None => {}
                    }
                    return Ok(view);
                }
                (_, None) => guard = Guard::Absent(live.clone()),
                (false, Some(entry)) => match decode::<Live>(&entry.value) {
                    // Of an earlier lease, or of an earlier agent: this one has their notebook.
                    Ok(other) if self.is_own(&other) => {
                        guard = Guard::Modified(live.clone(), entry.modified);
                    }
                    other => {
                        if there_is_a_rival.is_none() {
                            let txn = Txn::new().guard(Guard::Absent(rival.clone()));
                            store.commit(txn.put_leased(rival, mine, &self.lease)).await?;
                        }
                        self.say(Some(match other {
                            Ok(other) => format!(
                                "{} has the name {} already; this host takes no part while that one does, or until it is given up",
                                other.described(),
                                self.settings.host
                            ),
                            Err(unreadable) => format!("{live}: {unreadable}"),
                        }));
                        return Ok(view);
                    }
                },
            }
        }
    }

    fn is_own(&self, other: &Live) -> bool {
        let is_before = self.before.as_ref() == Some(&other.incarnation)
            && other.incarnation.boot == self.settings.incarnation.boot
            && other.machine == self.settings.machine;
        other.incarnation == self.settings.incarnation || is_before
    }

    /// Puts the sign of life again, as it is now; the place is lost if it was not as we had left it.
    pub async fn renew<S: Store>(&mut self, store: &S) -> Result<(), StoreError> {
        let Some(put) = self.put else {
            return Ok(());
        };
        let live = self.settings.keys.live(&self.settings.host);
        let txn = Txn::new()
            .guard(Guard::Modified(live.clone(), put))
            .put_leased(live.clone(), encode(&self.live), &self.lease)
            .read(live.clone());
        let outcome = store.commit(txn).await?;
        let entry = outcome.views.first().and_then(|view| view.get(&live));
        self.put = entry.filter(|_| outcome.committed).map(|entry| entry.modified);
        Ok(())
    }

    /// Tells the log why the host takes no part, or that it does, if that is news.
    pub fn say(&mut self, why_not: Option<String>) {
        if why_not != self.has_said {
            let takes_part = || format!("{} takes part", self.settings.host);
            self.settings.log.say(&why_not.clone().unwrap_or_else(takes_part));
            self.has_said = why_not;
        }
    }
}
