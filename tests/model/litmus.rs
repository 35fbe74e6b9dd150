//! A litmus test of entering without a fence: the gate's own code, on this machine's memory.
//!
//! A writer enters while a tool closes the gate and looks once. If the writer found the gate open and the tool did not see
//! it, both have missed each other. With membarrier(2) between closing and looking that never happens. Without it, it
//! does, now and then: the word was still on its way. A second look, as the product takes, outlasts what a store takes on x86; so
//! only one look shows anything, and only on two processors or more.
//!
//! That the registration is needed is not seen here: the call alone takes longer than a store. `buffers` shows it.

use crate::gate::protocol::{Gate, is_closed};
use crate::gate::sync::{AtomicU32, Ordering};
use nix::libc;
use std::convert::Infallible;
use std::sync::atomic::AtomicU64;

// linux/membarrier.h
const GLOBAL_EXPEDITED: i32 = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: i32 = 1 << 2;

fn membarrier(command: i32) -> bool {
    // SAFETY: it takes numbers, and touches no memory of this process.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// A cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Apart<T>(T);

#[derive(Default)]
struct Scene {
    gate: Apart<Gate>,
    word: Apart<AtomicU32>,
    /// The round that the tool, or the writer, has come to.
    tool: Apart<AtomicU64>,
    writer: Apart<AtomicU64>,
    /// The last round in which the writer got in.
    inside: Apart<AtomicU64>,
}

fn meet(own: &AtomicU64, other: &AtomicU64, round: u64) {
    own.store(round, Ordering::Release);
    let mut spins = 0_u32;
    while other.load(Ordering::Acquire) < round {
        spins += 1;
        match spins % 1024 {
            0 => std::thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
}

impl Scene {
    fn writer(&self, rounds: u64) {
        for round in 1..=rounds {
            let odd = 2 * round as u32 - 1;
            meet(&self.writer.0, &self.tool.0, 2 * round - 1);
            let generation = self.gate.0.publish_unfenced(&self.word.0, odd);
            if !is_closed(generation) {
                self.inside.0.store(round, Ordering::Relaxed);
            }
            meet(&self.writer.0, &self.tool.0, 2 * round);
            self.word.0.store(odd + 1, Ordering::Release);
        }
    }

    /// How often both missed each other.
    fn tool(&self, rounds: u64, call: impl Fn()) -> u64 {
        let mut missed = 0;
        for round in 1..=rounds {
            meet(&self.tool.0, &self.writer.0, 2 * round - 1);
            let closed = self.gate.0.close().expect("nobody else closes it");
            let generation = closed.generation();
            let Ok(_fenced) = closed.fence(|| {
                call();
                Ok::<(), Infallible>(())
            });
            let look = self.gate.0.look([&self.word.0].into_iter(), &mut Vec::with_capacity(1));
            meet(&self.tool.0, &self.writer.0, 2 * round);
            let inside = self.inside.0.load(Ordering::Relaxed) == round;
            missed += u64::from(inside && look.inside == 0);
            assert!(self.gate.0.open(generation));
        }
        missed
    }
}

fn missed(rounds: u64, call: impl Fn()) -> u64 {
    let scene = Scene::default();
    std::thread::scope(|scope| {
        scope.spawn(|| scene.writer(rounds));
        scene.tool(rounds, call)
    })
}

#[test]
fn with_the_call_nobody_is_missed() {
    if !membarrier(REGISTER_GLOBAL_EXPEDITED) {
        println!("skipped: membarrier(2) does not work here");
        return;
    }
    let rounds = if crate::scenes::full() { 1_000_000 } else { 10_000 };
    let missed_with = missed(rounds, || assert!(membarrier(GLOBAL_EXPEDITED)));
    // Not insisted on: a busy machine may never run both at once.
    let without = missed(rounds / 2, || {});
    println!(
        "litmus: {missed_with} of {rounds} missed; without the call {without} of {}",
        rounds / 2
    );
    assert_eq!(missed_with, 0);
}
