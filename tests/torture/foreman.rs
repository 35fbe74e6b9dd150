//! Foremen: processes with a small company of their own, in a place that processes are born into: a
//! pid namespace, or a control group. (Moving processes between groups would make every fork on the
//! machine wait.) A foreman keeps his people up and torments them, as the harness does with all others.

use crate::arena::{Arena, STATIONS};
use crate::company::Company;
use crate::role::Role;
use crate::trouble::{Trouble, kill::Kill, memory, stop::Stop};
use std::time::{Duration, Instant};

/// Where the control group is that he and his people belong to.
pub const GROUP: &str = "STILLPOINT_TORTURE_GROUP";
/// The station that is short of memory.
pub const SHORT: usize = STATIONS - 1;
/// How long everybody may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who works there.
fn cast(station: Option<usize>) -> &'static [Role] {
    use Role::{Calm, Runner, Tight, Tool, Writer};
    match station {
        None => &[Tool, Calm, Calm, Calm, Calm, Calm],
        Some(SHORT) => &[Tool, Tight, Tight, Tight],
        Some(even) if even % 2 == 0 => &[Tool, Calm, Calm, Calm, Calm, Writer],
        Some(_) => &[Tool, Calm, Calm, Calm, Calm, Runner],
    }
}

pub fn run(arena: &Arena, process: u32, station: Option<usize>) {
    if let Some(group) = std::env::var_os(GROUP) {
        let procs = std::path::Path::new(&group).join("cgroup.procs");
        std::fs::write(procs, "0").expect("the group takes this process in");
    }
    let mut company = Company::new(arena, process);
    company.short_of_memory = station == Some(SHORT);
    cast(station).iter().for_each(|role| company.hire(*role, station));
    let (mut kill, mut stop) = (Kill, Stop);
    let mut hungry = Instant::now();
    while !arena.is_over() {
        std::thread::sleep(company.chance.up_to_ms(400));
        company.reap();
        if company.chance.one_in(2) {
            kill.strike(&mut company);
        } else {
            stop.strike(&mut company);
        }
        stop.tend(&mut company);
        if company.short_of_memory && hungry <= Instant::now() {
            hungry += memory::EVERY;
            company.hire_for(memory::EVERY, Role::Hog, station);
        }
    }
    stop.end(&mut company);
    company.finish(Instant::now() + PATIENCE);
}
