//! One CPU: everybody has to share one for a while, so that whoever loses it inside a share, or in
//! the middle of entering or leaving, waits long for it to come back.

use super::Trouble;
use crate::company::{Company, Member};
use crate::figures::Deed;
use crate::role::Role;
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

/// Binds all threads of the harness, of the company and of the foremen's people to these CPUs; their
/// children inherit that. Returns how many processes there were.
fn pin(company: &Company<'_>, cpus: &[usize]) -> u32 {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu).expect("a CPU that there is"));
    let mut all: Vec<Pid> = company.members.iter().map(Member::pid).chain([Pid::this()]).collect();
    for member in company.members.iter().filter(|member| member.role == Role::Foreman) {
        all.extend(children(member.pid()));
    }
    let mut processes = 0;
    for pid in all {
        // A thread that has ended need not be bound.
        let bound = tasks(pid).filter(|task| sched_setaffinity(*task, &set).is_ok());
        processes += u32::from(bound.count() > 0);
    }
    processes
}

fn tasks(pid: Pid) -> impl Iterator<Item = Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| Some(Pid::from_raw(task.file_name().to_str()?.parse().ok()?)))
}

fn children(pid: Pid) -> Vec<Pid> {
    let of = |task| std::fs::read_to_string(format!("/proc/{pid}/task/{task}/children"));
    let text: String = tasks(pid).filter_map(|task| of(task).ok()).collect();
    let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.map(Pid::from_raw).collect()
}
