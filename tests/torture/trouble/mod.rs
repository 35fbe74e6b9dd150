//! Trouble: one kind in each file. The harness strikes with each at random, at its own pace.

pub mod crowd;
pub mod freeze;
pub mod kill;
pub mod memory;
pub mod namespaces;
pub mod one_cpu;
pub mod stop;
pub mod storm;

use crate::company::Company;
use crate::figures::Deed;
use std::time::{Duration, Instant};

/// One kind.
pub trait Trouble {
    /// How long it rests between two strikes, on average.
    fn every(&self) -> Duration;
    /// Finds out what this machine offers and hires whom it needs. What cannot be had here is said, with
    /// the figures that must then stay at nothing.
    fn prepare(&mut self, _company: &mut Company<'_>) -> Result<(), (String, Vec<Deed>)> {
        Ok(())
    }
    /// Strikes once. Returns at once.
    fn strike(&mut self, company: &mut Company<'_>);
    /// Ends what has lasted long enough. Called often.
    fn tend(&mut self, _company: &mut Company<'_>) {}
    /// Ends everything.
    fn end(&mut self, _company: &mut Company<'_>) {}
}

/// A kind, and when it strikes next.
pub struct Scheduled {
    trouble: Box<dyn Trouble>,
    next: Instant,
}

/// All kinds that this machine offers, and what was said of the others.
pub fn all(company: &mut Company<'_>) -> (Vec<Scheduled>, Vec<(String, Vec<Deed>)>) {
    let kinds: [Box<dyn Trouble>; 8] = [
        Box::new(freeze::Freeze::default()),
        Box::new(memory::Memory::default()),
        Box::new(namespaces::Namespaces),
        Box::new(kill::Kill),
        Box::new(stop::Stop),
        Box::new(storm::Storm),
        Box::new(one_cpu::OneCpu::default()),
        Box::new(crowd::Crowd::default()),
    ];
    let (mut offered, mut refused) = (Vec::new(), Vec::new());
    for mut trouble in kinds {
        match trouble.prepare(company) {
            Ok(()) => {
                // Each has its turn soon.
                let next = Instant::now() + company.chance.up_to_ms(3000).min(trouble.every());
                offered.push(Scheduled { trouble, next });
            }
            Err(reason) => refused.push(reason),
        }
    }
    (offered, refused)
}

impl Scheduled {
    /// Strikes if it is time.
    pub fn turn(&mut self, company: &mut Company<'_>) {
        self.trouble.tend(company);
        if self.next <= Instant::now() {
            self.trouble.strike(company);
            let rest = company.chance.up_to_ms(2 * self.trouble.every().as_millis() as u64);
            self.next = Instant::now() + rest;
        }
    }

    pub fn end(&mut self, company: &mut Company<'_>) {
        self.trouble.end(company);
    }
}
