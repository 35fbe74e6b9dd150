//! One CPU: everybody has to share one for a while, so that whoever loses it inside a share, or in
//! the middle of entering or leaving, waits long for it to come back.

use super::Trouble;
use crate::company::Company;
use crate::figures::Deed;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct OneCpu {
    /// The CPUs that there are.
    all: Vec<usize>,
    until: Option<Instant>,
}

impl Trouble for OneCpu {
    fn every(&self) -> Duration {
        Duration::from_secs(8)
    }

    fn prepare(&mut self, _: &mut Company<'_>) -> Result<(), (String, Vec<Deed>)> {
        let set = sched_getaffinity(Pid::from_raw(0)).expect("sched_getaffinity(2)");
        self.all = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect();
        Ok(())
    }

    fn strike(&mut self, company: &mut Company<'_>) {
        let cpu = self.all[company.chance.below(self.all.len() as u64) as usize];
        let processes = pin(company, &[cpu]);
        company.arena.count(Deed::Pinned, processes);
        let time = Duration::from_millis(500) + company.chance.up_to_ms(1500);
        self.until = Some(Instant::now() + time);
    }

    fn tend(&mut self, company: &mut Company<'_>) {
        if self.until.take_if(|until| *until <= Instant::now()).is_some() {
            pin(company, &self.all);
        }
    }

    fn end(&mut self, company: &mut Company<'_>) {
        pin(company, &self.all);
    }
}

/// Binds all threads of the harness and of the company to these CPUs; their children inherit that.
/// Returns how many processes there were.
fn pin(company: &Company<'_>, cpus: &[usize]) -> u32 {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu).expect("a CPU that there is"));
    let members = company.members.iter().map(|member| member.pid());
    let mut processes = 0;
    for pid in members.chain([Pid::this()]) {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        let tasks = tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok());
        // A thread that has ended need not be bound.
        let bound = tasks.filter(|task| sched_setaffinity(Pid::from_raw(*task), &set).is_ok());
        processes += u32::from(bound.count() > 0);
    }
    processes
}
