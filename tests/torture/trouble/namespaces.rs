//! Pid namespaces whose members have the same small ids. Now and then one is ended as a whole, by the
//! death of its first process.

use super::Trouble;
use crate::company::Company;
use crate::figures::Deed;
use crate::namespace;
use crate::role::Role;
use std::time::Duration;

pub struct Namespaces;

impl Trouble for Namespaces {
    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn prepare(&mut self, company: &mut Company<'_>) -> Result<(), (String, Vec<Deed>)> {
        if !namespace::is_possible() {
            let figures = vec![Deed::Namespace, Deed::NamespaceMember, Deed::EqualPids];
            return Err(("no pid namespaces: needs root".into(), figures));
        }
        company.hire(Role::Foreman, None);
        company.hire(Role::Foreman, None);
        Ok(())
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        let mut foremen = company
            .members
            .iter_mut()
            .filter(|member| member.role == Role::Foreman && member.station.is_none());
        let at = company.chance.below(2) as usize;
        if let Some(foreman) = foremen.nth(at).filter(|foreman| !foreman.is_doomed()) {
            foreman.kill();
            company.arena.count(Deed::Kill, 1);
        }
    }
}
