//! Torture: writers and tools in all kinds of trouble, watched by an oracle.
//!
//! Hundreds of processes of several threads take shares of one barrier in every way there is; threads
//! and processes take the exclusive side of it. All the while trouble of many kinds (`trouble`, one
//! file each) strikes at random. Each certified pause is judged: no living writer was inside, nobody's
//! two numbers disagreed, nothing moved from the grant to the release, and for each writer that died
//! inside the dirty epoch had risen. The judge (`oracle`) knows who is inside and who lives from bytes
//! and locks of its own (`arena`), not from the barrier's.
//!
//! | file | idea |
//! |---|---|
//! | `role`, `company` | the processes that take part, and who keeps them up |
//! | `writer`, `ways`, `forks`, `crowd` | the shared side |
//! | `tool`, `runs` | the exclusive side, and the real command |
//! | `foreman`, `namespace`, `cgroup` | where some of them live |
//! | `arena`, `state`, `oracle` | who is judged, and how |
//! | `figures` | what was done, and the least of it |
//!
//! `STILLPOINT_TORTURE_SECONDS` says for how long (20), `STILLPOINT_TORTURE_SEED` with which seed: it
//! gives the same choices, though not the same interleaving. scripts/torture sets both. A machine that is
//! too slow to do enough of everything in that time gets more of it. One line of figures is printed.

#[path = "../common/mod.rs"]
mod common;

mod arena;
mod cgroup;
mod company;
mod crowd;
mod figures;
mod foreman;
mod forks;
mod interrupt;
mod namespace;
mod oracle;
mod role;
mod runs;
mod state;
mod tool;
mod trouble;
mod ways;
mod writer;

use arena::Arena;
use company::Company;
use figures::Deed;
use nix::sys::prctl::set_child_subreaper;
use role::{HARNESS, Role};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use stillpoint::{Barrier, ExclusiveOptions, Status};

/// The name of the test below, for the processes that take part in it.
const TEST: &str = "writers_and_tools_in_all_kinds_of_trouble";
/// How long everybody may take to end when asked to. Seconds would do; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many times as long as asked it may go on until enough was done, and between two looks whether it was.
const MOST: u32 = 4;
const MORE: Duration = Duration::from_secs(5);
/// Processes that take a share now and then, beside those that a kind of trouble hires.
const CALM: usize = 150;
/// Processes that do something all the time.
const BUSY: [Role; 5] = [Role::Writer, Role::Writer, Role::Tool, Role::Tool, Role::Runner];

#[test]
fn writers_and_tools_in_all_kinds_of_trouble() {
    if let Some(role) = Role::inherited() {
        return role.play(&Arena::inherited().expect("an arena with the role"));
    }
    let seconds: u64 = number("STILLPOINT_TORTURE_SECONDS").unwrap_or(20);
    let seed = number("STILLPOINT_TORTURE_SEED").unwrap_or_else(|| std::process::id().into());
    println!("torture: {seconds} s, seed {seed}");
    let arena = Arena::create(seconds, seed);
    let started = Instant::now();
    let absent = torture(&arena, seconds);
    tally(&arena);
    println!(
        "torture: {} s, seed {seed}: {} shares, {}, {} violations",
        started.elapsed().as_secs(),
        arena.shares(),
        figures::line(&arena),
        arena.violations(),
    );
    assert_eq!(arena.violations(), 0, "{}", arena.complaints());
    assert!(!interrupt::has_come(), "interrupted");
    let missing = figures::missing(&arena, seconds, &absent);
    assert!(missing.is_empty(), "too little was done to show anything: {}", missing.join(", "));
}

/// Counts what is not counted by whoever does it.
fn tally(arena: &Arena) {
    let (members, equal) = namespace::members(arena);
    let losses = Status::read(arena.barrier()).expect("it is there").dirty.epoch;
    for (deed, times) in [
        (Deed::NamespaceMember, members),
        (Deed::EqualPids, equal),
        (Deed::Process, arena.processes()),
        (Deed::Thread, arena.writers()),
        (Deed::Loss, losses),
    ] {
        arena.count_at_least(deed, times);
    }
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number in the environment"))
}

/// All of it, so long and until enough was done, until interrupted, or until something is wrong. Returns which
/// figures this machine cannot give.
fn torture(arena: &Arena, seconds: u64) -> Vec<Deed> {
    interrupt::watch();
    assert_eq!(arena.new_process(None), HARNESS);
    Barrier::create(arena.barrier()).expect("a barrier is made");
    // Orphans of the killed come here, and are waited for.
    set_child_subreaper(true).expect("prctl(2)");
    let mut absent = Vec::new();
    let lost = std::thread::scope(|scope| {
        let over = Over(arena);
        let lost = scope.spawn(|| Lost::collect(arena));
        for _ in 0..2 {
            scope.spawn(|| tool::run(arena, HARNESS, None));
        }
        let mut company = Company::new(arena, HARNESS);
        let (mut troubles, refused) = trouble::all(&mut company);
        for (reason, figures) in refused {
            absent.extend(figures);
            common::skip(&reason);
        }
        BUSY.into_iter().for_each(|role| company.hire(role, None));
        (0..CALM).for_each(|_| company.hire(Role::Calm, None));
        let asked = Duration::from_secs(seconds);
        let (mut end, latest) = (Instant::now() + asked, Instant::now() + MOST * asked);
        while !interrupt::has_come() && arena.violations() == 0 {
            if Instant::now() >= end {
                tally(arena);
                let missing = figures::missing(arena, seconds, &absent);
                if Instant::now() >= latest || missing.is_empty() {
                    break;
                }
                println!("torture: it goes on, as there is too little yet: {}", missing.join(", "));
                end += MORE;
            }
            std::thread::sleep(company.chance.up_to_ms(10));
            company.reap();
            arena.settle();
            troubles.iter_mut().for_each(|trouble| trouble.turn(&mut company));
        }
        troubles.iter_mut().for_each(|trouble| trouble.end(&mut company));
        if interrupt::has_come() {
            company.members.iter_mut().for_each(company::Member::kill);
        }
        drop(over);
        company.finish(Instant::now() + PATIENCE);
        assert!(!arena.is_populated(), "somebody lives who is nobody's child");
        arena.settle();
        lost.join().expect("the lost are collected")
    });
    lost.judge(arena);
    absent
}

/// Everything is over when this is dropped, also when the harness fails.
struct Over<'a>(&'a Arena);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Whom the barrier has reported lost, by label and pid.
#[derive(Default)]
struct Lost {
    named: HashSet<(String, u32)>,
    /// How many may have left its ring before they were read.
    missed: u32,
    epoch: u32,
}

impl Lost {
    /// How many the barrier's ring remembers.
    const RING: u32 = 32;

    /// Follows the ring until the end.
    fn collect(arena: &Arena) -> Lost {
        let barrier = Barrier::open(arena.barrier()).expect("the barrier is there");
        let mut lost = Lost::default();
        while !arena.is_over() {
            let started = Instant::now();
            if barrier.dirty().epoch != lost.epoch {
                lost.read(arena);
            }
            // It takes long in a crowd, and hinders whoever locks something meanwhile.
            let next = Instant::now() + Duration::from_millis(10).max(2 * started.elapsed());
            while Instant::now() < next && !arena.is_over() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        lost
    }

    fn read(&mut self, arena: &Arena) {
        let status = Status::read(arena.barrier()).expect("the barrier can be read");
        // The ring was read after the epoch, and an entry may have been half written.
        self.missed += (status.dirty.epoch - self.epoch).saturating_sub(Lost::RING - 1);
        self.epoch = status.dirty.epoch;
        self.named.extend(status.lost.into_iter().map(|lost| (lost.label, lost.pid)));
    }

    /// Everybody has ended. The barrier becomes quiet, the tables are as they should be, and each writer
    /// that died inside is among the lost.
    fn judge(mut self, arena: &Arena) {
        let barrier = Barrier::open(arena.barrier()).expect("the barrier is there");
        let options = &mut ExclusiveOptions::default().wait(PATIENCE);
        let pause = barrier.exclusive(options).expect("nobody is left: it becomes quiet");
        tool::judged(arena, pause).expect("nobody is left who could revoke it");
        self.read(arena);
        let died: HashSet<(String, u32)> = arena.died_inside().into_iter().collect();
        let forgotten: Vec<_> = died.difference(&self.named).collect();
        if forgotten.len() > self.missed as usize {
            arena.complain(&format!("died inside and were never reported: {forgotten:?}"));
        }
    }
}
