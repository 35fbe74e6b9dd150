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

/// Who is at each station.
const CAST: [Role; 8] = [
    Role::Tool,
    Role::Writer,
    Role::Calm,
    Role::Calm,
    Role::Calm,
    Role::Calm,
    Role::Calm,
    Role::Runner,
];
/// How long to wait for a tool's pause, to freeze it there.
const AMBUSH: Duration = Duration::from_millis(60);

#[derive(Default)]
pub struct Freeze {
    /// Until when each station's group is frozen, and whether it was seen to stand still.
    frozen: Vec<Option<Frozen>>,
}

struct Frozen {
    until: Instant,
    stands: bool,
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
            CAST.into_iter().for_each(|role| company.hire(role, Some(station)));
        }
        Ok(())
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        let station = company.chance.below(self.frozen.len() as u64) as usize;
        if self.frozen[station].is_some() {
            return;
        }
        let started = Instant::now();
        let pausing = || company.arena.station(station).load(SeqCst) == PAUSING;
        let long = company.chance.one_in(3);
        while long && !pausing() && started.elapsed() < AMBUSH {
            std::thread::sleep(Duration::from_micros(100));
        }
        if let Some(group) = &company.groups[station] {
            group.freeze();
        }
        let most = if long { 600 } else { 60 };
        let until = Instant::now() + company.chance.up_to_ms(most);
        self.frozen[station] = Some(Frozen { until, stands: false });
    }

    fn tend(&mut self, company: &mut Company<'_>) {
        let arena = company.arena;
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
