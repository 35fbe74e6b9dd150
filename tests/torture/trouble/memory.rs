//! Shortage of memory: a foreman's people live in a control group that may use little. Again and
//! again one of them takes all of it, so that the kernel reclaims and kills.

use super::Trouble;
use crate::arena::Arena;
use crate::cgroup::Group;
use crate::company::Company;
use crate::figures::Deed;
use crate::foreman::SHORT;
use crate::role::Role;
use std::time::Duration;

/// How often somebody takes it.
pub const EVERY: Duration = Duration::from_secs(2);
/// How much they may use all together.
const LIMIT: usize = 48 << 20;

#[derive(Default)]
pub struct Memory {
    killed: u32,
}

impl Trouble for Memory {
    fn every(&self) -> Duration {
        EVERY
    }

    fn prepare(&mut self, company: &mut Company<'_>) -> Result<(), (String, Vec<Deed>)> {
        let Some(group) = Group::with_memory(LIMIT as u64) else {
            let reason = "no memory limit: needs root and a writable cgroup file system".into();
            return Err((reason, vec![Deed::OomKill, Deed::Reclaim]));
        };
        company.groups[SHORT] = Some(group);
        company.hire(Role::Foreman, Some(SHORT));
        Ok(())
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        if let Some(group) = &company.groups[SHORT] {
            group.reclaim();
            company.arena.count(Deed::Reclaim, 1);
        }
    }

    fn tend(&mut self, company: &mut Company<'_>) {
        if let Some(group) = &company.groups[SHORT] {
            let killed = group.killed();
            company.arena.count(Deed::OomKill, killed.saturating_sub(self.killed));
            self.killed = killed;
        }
    }
}

/// What the hog does. Sometimes it lets the others die first.
pub fn eat(arena: &Arena) {
    let innocent = std::process::id().is_multiple_of(2);
    let score = if innocent { "-900" } else { "900" };
    // Needs privilege to go down; without it the hog itself dies.
    let _ = std::fs::write("/proc/self/oom_score_adj", score);
    let mut eaten = Vec::new();
    while !arena.is_over() && eaten.len() < 2 * LIMIT {
        eaten.resize(eaten.len() + (1 << 20), 1_u8);
        std::thread::sleep(Duration::from_millis(2));
    }
}
