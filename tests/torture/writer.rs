//! A writer process: a few threads that take shares in every way there is (`ways`) until they are
//! killed or everything is over.

use crate::arena::{Arena, INSIDE, OUTSIDE};
use crate::chance::Chance;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Release;
use stillpoint::Barrier;

/// Threads of a process.
const THREADS: u32 = 3;
/// Shares of a command and of a forked child.
pub const FEW: u32 = 10;

/// One thread, with the record and the two numbers that are its own.
pub struct Writer<'a> {
    pub arena: &'a Arena,
    pub barrier: &'a Barrier,
    pub number: u32,
    pub chance: Chance,
    shares: u32,
}

/// What the process does: a command takes a few shares and ends.
pub fn run(arena: Arena, command: bool) {
    let process = arena.new_process();
    let barrier = Barrier::open(arena.barrier()).expect("the barrier is there");
    if command {
        let mut writer = Writer::new(&arena, &barrier, process);
        return (0..FEW).for_each(|_| writer.plain());
    }
    let lives = || {
        while !arena.is_over() {
            // A thread of its own, so that it may end inside a share.
            in_a_thread(|| Writer::new(&arena, &barrier, process).live());
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS {
            // Not if the first one already executes a program.
            let _ = std::thread::Builder::new().spawn_scoped(scope, lives);
        }
        lives();
    });
}

/// Runs it in a thread of its own, if there can be one: while another thread of the process executes
/// a program, the kernel refuses any.
pub fn in_a_thread(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, work) {
        Ok(thread) => thread.join().expect("it fails never"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
    });
}

impl<'a> Writer<'a> {
    pub fn new(arena: &'a Arena, barrier: &'a Barrier, process: u32) -> Writer<'a> {
        let number = arena.new_writer(process);
        let chance = Chance::new(u64::from(number) << 20 | u64::from(std::process::id()));
        Writer { arena, barrier, number, chance, shares: 0 }
    }

    /// Takes shares until it ends inside one, or all is over.
    fn live(&mut self) {
        while !self.arena.is_over() {
            match self.chance.below(2000) {
                0..4 => return self.end_inside(),
                4..6 => self.execute(),
                6..12 => self.fork(),
                12..16 => self.command(),
                16 => std::process::exit(0),
                17..60 => self.hand_over(),
                60..200 => self.counted(),
                200..400 => self.nest(),
                400..600 => self.give_way(),
                600..800 => self.try_or_be_timed(),
                800..1000 => self.burst(),
                1000..1020 => self.counted_burst(),
                _ => self.plain(),
            }
            self.chance.jitter();
        }
    }

    /// Not a full fence: it must not stand in for one of the barrier's.
    pub fn mark(&self, state: u32) {
        self.arena.record(self.number).state.store(state, Release);
    }

    /// The change that belongs together. The caller holds a share.
    pub fn change(&mut self) {
        self.change_as(INSIDE);
    }

    /// The same, marked as given.
    pub fn change_as(&mut self, inside: u32) {
        self.mark(inside);
        self.shares += 1;
        let (number, place) = (self.shares.to_ne_bytes(), 4 * u64::from(self.number));
        self.arena.index.write_all_at(&number, place).expect("the file is written");
        self.chance.jitter();
        self.arena.counter.write_all_at(&number, place).expect("the file is written");
        self.mark(OUTSIDE);
    }
}
