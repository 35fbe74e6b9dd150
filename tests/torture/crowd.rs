//! A crowd: a process of so many threads that with others of its kind there are more than slots. The
//! late ones count in their process's slot, and everybody goes on.

use crate::arena::{Arena, label};
use crate::common::chance::Chance;
use crate::figures::Deed;
use crate::role::Role;
use crate::writer::Writer;
use std::collections::HashSet;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Barrier as Meeting, OnceLock};
use stillpoint::{Kind, Status};

/// Processes of a crowd, and threads of each: with the calm ones more than the 3,072 that there are
/// slots for.
pub const PROCESSES: u32 = 20;
pub const THREADS: u32 = 140;
/// Enough for what these threads do.
const STACK: usize = 128 * 1024;

pub fn run(arena: &Arena, process: u32) {
    let barrier = &arena.open_barrier(process);
    let (met, known) = (&Meeting::new(THREADS as usize + 1), &OnceLock::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let life = move || {
                let mut writer = Writer::new(arena, barrier, process, Role::Crowd);
                met.wait();
                let slots: &Option<HashSet<u32>> = known.wait();
                let thread = nix::unistd::gettid().as_raw() as u32;
                let counted = slots.as_ref().is_some_and(|slots| !slots.contains(&thread));
                arena.count(Deed::OverflowThread, u32::from(counted));
                while !arena.is_over() {
                    std::thread::sleep(writer.chance.up_to_ms(3000));
                    writer.plain();
                    arena.count(Deed::OverflowShare, u32::from(counted));
                }
            };
            let builder = std::thread::Builder::new().stack_size(STACK);
            builder.spawn_scoped(scope, life).expect("a thread");
        }
        // Everybody has had a share now, in a slot or without.
        met.wait();
        let mut chance = Chance::of(arena.seed(), process);
        // Some of them find out who has got no slot; it takes long while there are so many.
        let slots = chance.one_in(4).then(|| own_slots(arena, process));
        known.set(slots).expect("once");
        arena.crowded().fetch_add(1, SeqCst);
        std::thread::sleep(chance.up_to_ms(3000));
        if chance.one_in(4) {
            // With all threads where they are.
            std::process::exit(0);
        }
    });
}

/// The threads of a process that have slots.
fn own_slots(arena: &Arena, process: u32) -> HashSet<u32> {
    let name = label(process);
    let status = Status::read(arena.barrier()).expect("the barrier can be read");
    let own = status.writers.iter().filter(|slot| slot.kind == Kind::Thread && slot.label == name);
    own.map(|slot| slot.tid).collect()
}
