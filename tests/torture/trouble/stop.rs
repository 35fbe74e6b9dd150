//! SIGSTOP, and SIGCONT after a while: a process that stands still lives.

use super::Trouble;
use super::kill::anybody;
use crate::company::Company;
use crate::figures::Deed;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

pub struct Stop;

impl Trouble for Stop {
    fn every(&self) -> Duration {
        Duration::from_millis(150)
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        let most = if company.chance.one_in(12) { 600 } else { 60 };
        let until = Instant::now() + company.chance.up_to_ms(most);
        if let Some(victim) = anybody(company)
            && victim.stopped_until.is_none()
        {
            victim.signal(Signal::SIGSTOP);
            victim.stopped_until = Some(until);
            company.arena.count(Deed::Stop, 1);
        }
    }

    fn tend(&mut self, company: &mut Company<'_>) {
        for member in &mut company.members {
            if member.stopped_until.is_some_and(|until| until <= Instant::now()) {
                member.stopped_until = None;
                member.signal(Signal::SIGCONT);
            }
        }
    }

    fn end(&mut self, company: &mut Company<'_>) {
        for member in company.members.iter_mut().filter(|member| member.stopped_until.is_some()) {
            member.stopped_until = None;
            member.signal(Signal::SIGCONT);
        }
    }
}
