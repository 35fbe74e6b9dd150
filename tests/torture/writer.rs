//! A writer process: a few threads that take shares in every way there is (`ways`, `forks`) until they
//! are killed, have lived long enough, or everything is over.

use crate::arena::Arena;
use crate::common::chance::Chance;
use crate::role::Role;
use crate::state::{Doing, State};
use std::io::ErrorKind;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};
use stillpoint::Barrier;

/// Threads of a calm process.
pub const CALM_THREADS: u32 = 5;
/// Shares of a command and of a forked child.
pub const FEW: u32 = 10;
/// How long a process lives, and the same again by chance. The oracle remembers all since the oldest.
const LIFE: Duration = Duration::from_secs(10);

/// One thread, with the record and the two numbers that are its own.
pub struct Writer<'a> {
    pub arena: &'a Arena,
    pub barrier: &'a Barrier,
    pub number: u32,
    pub process: u32,
    pub chance: Chance,
    state: State,
    /// Whether its shares certainly stand in a slot of its own.
    own_slot: bool,
    shares: u32,
}

/// What the process does.
pub fn run(arena: &Arena, process: u32, role: Role) {
    let barrier = arena.open_barrier(process);
    let threads = match role {
        Role::Calm => CALM_THREADS,
        _ => 2,
    };
    let born = Instant::now();
    let life = LIFE + Chance::of(arena.seed(), process).up_to_ms(LIFE.as_millis() as u64);
    let goes_on = || !arena.is_over() && born.elapsed() < life;
    let lives = || {
        while goes_on() {
            // A thread of its own, so that it may end inside a share.
            in_a_thread(|| Writer::new(arena, &barrier, process, role).live(role, &goes_on));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Not if the first one already executes a program.
            let _ = std::thread::Builder::new().spawn_scoped(scope, lives);
        }
        lives();
    });
}

/// What a process does that runs under somebody's share: a few shares of its own.
pub fn run_covered(arena: &Arena, process: u32) {
    let barrier = arena.open_barrier(process);
    let mut writer = Writer::new(arena, &barrier, process, Role::Covered);
    (0..FEW).for_each(|_| writer.plain());
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
    pub fn new(arena: &'a Arena, barrier: &'a Barrier, process: u32, role: Role) -> Writer<'a> {
        let number = arena.new_writer(process);
        let chance = Chance::of(arena.seed(), number);
        // A thread keeps what its first share finds: a slot, unless there is none left or no memory
        // to claim it.
        let crowding = || arena.crowding().load(SeqCst);
        let before = crowding();
        drop(barrier.shared().expect("a share"));
        let own_slot =
            role != Role::Tight && role != Role::Crowd && before % 2 == 0 && crowding() == before;
        let state = State(0);
        Writer { arena, barrier, number, process, chance, state, own_slot, shares: 0 }
    }

    /// Takes shares until it ends inside one, or all is over.
    fn live(&mut self, role: Role, goes_on: &impl Fn() -> bool) {
        while goes_on() {
            match self.chance.below(2000) {
                _ if role == Role::Forker => self.storm(),
                0..4 => return self.end_inside(),
                4..16 if role == Role::Tight => {}
                4..6 => self.execute(role),
                6..12 => self.fork(),
                12..16 => self.command(),
                16 => std::process::exit(0),
                17..60 => self.hand_over(),
                60..200 => self.counted(),
                200..400 => self.nest(),
                400..600 => self.give_way(),
                600..800 => self.try_or_be_timed(),
                800..1000 => self.burst(role),
                1000..1020 => self.counted_burst(role),
                _ => self.plain(),
            }
            match role {
                Role::Calm => std::thread::sleep(self.chance.up_to_ms(400)),
                Role::Tight => std::thread::sleep(self.chance.up_to_ms(5)),
                _ => self.chance.jitter(),
            }
        }
    }

    /// Says what it is doing. Not a full fence: it must not stand in for one of the barrier's.
    pub fn mark(&mut self, doing: Doing) {
        self.state = self.state.next(doing);
        self.arena.record(self.number).state.store(self.state.0, Release);
    }

    /// How it is inside with a share of this thread.
    pub fn inside(&self) -> Doing {
        if self.own_slot { Doing::Inside } else { Doing::Counted }
    }

    /// How it ends inside such a share.
    pub fn ended(&self) -> Doing {
        if self.own_slot { Doing::Ended } else { Doing::CountedEnded }
    }

    /// The change that belongs together. The caller holds a share of this thread.
    pub fn change(&mut self) {
        self.change_as(self.inside());
    }

    /// The same, marked as given.
    pub fn change_as(&mut self, inside: Doing) {
        self.mark(inside);
        self.shares += 1;
        let (shares, place) = (self.shares, self.number as usize);
        self.arena.index[place].store(shares, Relaxed);
        self.chance.jitter();
        self.arena.counter[place].store(shares, Relaxed);
        self.mark(Doing::Outside);
    }
}
