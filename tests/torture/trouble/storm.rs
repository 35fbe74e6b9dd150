//! Fork storms: processes that fork inside their shares, many children at a time, and are killed in
//! the middle of it.

use super::Trouble;
use crate::company::Company;
use crate::role::Role;
use std::time::Duration;

pub struct Storm;

impl Trouble for Storm {
    fn every(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        for _ in 0..=company.chance.below(3) {
            let time = Duration::from_millis(300) + company.chance.up_to_ms(1000);
            company.hire_for(time, Role::Forker, None);
        }
    }
}
