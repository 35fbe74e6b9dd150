//! SIGKILL, at any moment.

use super::Trouble;
use crate::company::{Company, Member};
use crate::figures::Deed;
use crate::role::Role;
use std::time::Duration;

pub struct Kill;

impl Trouble for Kill {
    fn every(&self) -> Duration {
        Duration::from_millis(25)
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        let gathering = |member: &Member| member.role == Role::Crowd;
        if let Some(victim) = anybody(company).filter(|victim| !gathering(victim)) {
            victim.kill();
            company.arena.count(Deed::Kill, 1);
        }
    }
}

/// Anybody who was not killed yet, but for the foremen, with whom whole companies end. Every second time one
/// who does something all the time.
pub fn anybody<'c>(company: &'c mut Company<'_>) -> Option<&'c mut Member> {
    let busy = company.chance.one_in(2);
    let chosen = |member: &Member| {
        let wanted = !busy || !matches!(member.role, Role::Calm | Role::Crowd);
        wanted && member.role != Role::Foreman && !member.is_doomed()
    };
    let count = company.members.iter().filter(|member| chosen(member)).count() as u64;
    if count == 0 {
        return None;
    }
    let at = company.chance.below(count) as usize;
    company.members.iter_mut().filter(|member| chosen(member)).nth(at)
}
