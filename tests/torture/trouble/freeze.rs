//! The freezer: a whole group of writers and tools stands still, as stopped ones do, but cannot be
//! woken by a signal; under version 1 not even killed. It lives, and is never taken for dead. A tool
//! that is frozen past its limit has lost its pause.

use super::Trouble;
use crate::cgroup::Group;
use crate::company::Company;
use crate::figures::Deed;
use crate::role::Role;
use crate::tool::{FROZEN, PAUSING};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How long to lie in wait for a tool's pause, to freeze it there.
const AMBUSH: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct Freeze {
    /// The groups that are frozen, by their station.
    frozen: Vec<Option<Frozen>>,
    /// Until when the next tool that has a pause is frozen in it.
    ambush: Option<Instant>,
}

struct Frozen {
    until: Instant,
    /// Whether it was seen to stand still.
    stands: bool,
}

impl Freeze {
    fn freeze(&mut self, company: &Company<'_>, station: usize, time: Duration) {
        if let (None, Some(group)) = (&self.frozen[station], &company.groups[station]) {
            group.freeze();
            self.frozen[station] = Some(Frozen { until: Instant::now() + time, stands: false });
        }
    }
}

impl Trouble for Freeze {
    fn every(&self) -> Duration {
        Duration::from_millis(700)
    }

    fn prepare(&mut self, company: &mut Company<'_>) -> Result<(), (String, Vec<Deed>)> {
        let groups = Group::freezers();
        if groups.is_empty() {
            let reason = "no freezer: needs root and a writable cgroup file system".into();
            return Err((reason, vec![Deed::Freeze, Deed::FrozenRevoked]));
        }
        for (station, group) in groups.into_iter().enumerate() {
            company.groups[station] = Some(group);
            self.frozen.push(None);
            company.hire(Role::Foreman, Some(station));
        }
        Ok(())
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        if company.chance.one_in(3) {
            self.ambush = Some(Instant::now() + AMBUSH);
            return;
        }
        let station = company.chance.below(self.frozen.len() as u64) as usize;
        let time = company.chance.up_to_ms(60);
        self.freeze(company, station, time);
    }

    fn tend(&mut self, company: &mut Company<'_>) {
        let arena = company.arena;
        if self.ambush.is_some_and(|until| until > Instant::now()) {
            let pausing = |station: &usize| arena.station(*station).load(SeqCst) == PAUSING;
            if let Some(station) = (0..self.frozen.len()).find(pausing) {
                // Longer than most pauses may last.
                let time = Duration::from_millis(400) + company.chance.up_to_ms(300);
                self.freeze(company, station, time);
                self.ambush = None;
            }
        }
        for (station, entry) in self.frozen.iter_mut().enumerate() {
            let (Some(frozen), Some(group)) = (&mut *entry, &company.groups[station]) else {
                continue;
            };
            if !frozen.stands && group.is_frozen() {
                frozen.stands = true;
                arena.count(Deed::Freeze, 1);
                // The tool cannot say anything else meanwhile.
                let word = arena.station(station);
                let _ = word.compare_exchange(PAUSING, FROZEN, SeqCst, SeqCst);
            }
            if frozen.until <= Instant::now() {
                group.thaw();
                *entry = None;
            }
        }
    }

    fn end(&mut self, company: &mut Company<'_>) {
        self.frozen.fill_with(|| None);
        company.groups.iter().flatten().for_each(Group::thaw);
    }
}
