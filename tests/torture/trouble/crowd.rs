//! A crowd: for some seconds there are more threads than slots, while everything else goes on.

use super::Trouble;
use crate::company::Company;
use crate::crowd::{PROCESSES, THREADS};
use crate::figures::Deed;
use crate::role::Role;
use crate::writer::CALM_THREADS;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How long at most: they may have to wait long for their slots.
const LONGEST: Duration = Duration::from_secs(40);

#[derive(Default)]
pub struct Crowd {
    gathered: bool,
}

impl Trouble for Crowd {
    fn every(&self) -> Duration {
        Duration::from_secs(25)
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        if is_odd(company) {
            return;
        }
        self.gathered = false;
        company.arena.crowded().store(0, SeqCst);
        // Before the first of them takes a slot.
        company.arena.crowding().fetch_add(1, SeqCst);
        for _ in 0..PROCESSES {
            company.hire_for(LONGEST, Role::Crowd, None);
        }
    }

    fn tend(&mut self, company: &mut Company<'_>) {
        if !is_odd(company) {
            return;
        }
        let here = company.members.iter().filter(|member| member.role == Role::Crowd).count();
        if here == 0 {
            // After the last of them has given its slot back.
            company.arena.crowding().fetch_add(1, SeqCst);
        }
        if !self.gathered && company.arena.crowded().load(SeqCst) == PROCESSES {
            self.gathered = true;
            let calm = company.members.iter().filter(|member| member.role == Role::Calm).count();
            let threads = PROCESSES * THREADS + calm as u32 * CALM_THREADS;
            company.arena.count_at_least(Deed::ThreadsAtOnce, threads);
            // They disperse: one after another is killed.
            let now = std::time::Instant::now();
            let crowd = company.members.iter_mut().filter(|member| member.role == Role::Crowd);
            for member in crowd {
                member.until =
                    Some(now + Duration::from_millis(500) + company.chance.up_to_ms(3000));
            }
        }
    }
}

fn is_odd(company: &Company<'_>) -> bool {
    company.arena.crowding().load(SeqCst) % 2 == 1
}
