//! Who takes shares while bytes change: two threads, and a process of its own.
//!
//! Each has a mark on a board that all see and that is no part of the barrier: the oracle's own idea
//! of who is inside.

use crate::scene::LIMIT;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;
use stillpoint::{Barrier, ErrorKind};

/// Writers: a process, then threads.
pub const WRITERS: usize = 3;
/// How long the shares of each last: one is so brief that it always moves, one outlasts the two looks
/// of a tool that does not see it. Asleep, so that there is a processor left for the edits.
const WORK: [Duration; WRITERS] =
    [Duration::from_micros(400), Duration::from_micros(10), Duration::from_micros(100)];
/// Between two shares.
const REST: Duration = Duration::from_micros(20);

/// One writer, as it sees itself.
#[derive(Default)]
pub struct Mark {
    /// How many shares it has asked for.
    pub asked: AtomicU32,
    /// Grows when a share is granted and before it is left: odd while inside.
    pub inside: AtomicU32,
    /// How many shares it has had and left.
    pub left: AtomicU32,
}

/// The marks, in memory that both processes see. Zeros are a board.
#[derive(Default)]
pub struct Board {
    pub marks: [Mark; WRITERS],
    process: AtomicI32,
}

impl Board {
    fn new() -> &'static Board {
        let size = NonZeroUsize::new(size_of::<Board>()).expect("a board is not empty");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new map at a place of the kernel's choice.
        let start = unsafe { mmap_anonymous(None, size, protection, MapFlags::MAP_SHARED) };
        let start = start.expect("memory").cast::<Board>();
        // SAFETY: it is as large as a board, never unmapped, zero, and made of atomics only.
        unsafe { start.as_ref() }
    }

    pub fn all_have_begun(&self) -> bool {
        self.marks.iter().all(|mark| mark.left.load(Ordering::SeqCst) > 0)
    }

    /// Everybody's `inside`.
    pub fn inside(&self) -> [u32; WRITERS] {
        std::array::from_fn(|index| self.marks[index].inside.load(Ordering::SeqCst))
    }

    /// The shares that each has asked for.
    pub fn asked(&self) -> [u32; WRITERS] {
        std::array::from_fn(|index| self.marks[index].asked.load(Ordering::SeqCst))
    }

    /// Whether everybody has had a whole share that was asked for after `asked` was read.
    pub fn all_have_had_one_since(&self, asked: [u32; WRITERS]) -> bool {
        let left = |index: usize| self.marks[index].left.load(Ordering::SeqCst);
        (0..WRITERS).all(|index| left(index).wrapping_sub(asked[index]) as i32 > 0)
    }

    /// The writer process is there: nothing that it met has ended it.
    pub fn process_lives(&self) -> bool {
        let process = Pid::from_raw(self.process.load(Ordering::SeqCst));
        matches!(waitpid(process, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
    }
}

/// Forks the process of the first mark. It ends with this one.
pub fn start_process(path: &Path) -> &'static Board {
    let board = Board::new();
    // SAFETY: no other thread of this process has a lock that the child would need.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Parent { child } => board.process.store(child.as_raw(), Ordering::SeqCst),
        ForkResult::Child => {
            // The fuzzer's own handlers would speak for an input that is not the one at fault.
            for fatal in [Signal::SIGABRT, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL] {
                // SAFETY: the default action runs no code.
                let _ = unsafe { signal(fatal, SigHandler::SigDfl) };
            }
            // SAFETY: an option of this process, without pointers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let barrier = Barrier::open(path).expect("a barrier");
            write_for_ever(&barrier, board, 0)
        }
    }
    board
}

/// Starts the threads of the other marks.
pub fn start_threads(barrier: &Barrier, board: &'static Board) {
    for number in 1..WRITERS {
        let barrier = barrier.clone();
        std::thread::spawn(move || write_for_ever(&barrier, board, number));
    }
}

fn write_for_ever(barrier: &Barrier, board: &Board, number: usize) -> ! {
    let mark = &board.marks[number];
    loop {
        mark.asked.fetch_add(1, Ordering::SeqCst);
        match barrier.shared_timeout(LIMIT) {
            Ok(share) => {
                mark.inside.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(WORK[number]);
                mark.inside.fetch_add(1, Ordering::SeqCst);
                drop(share);
            }
            Err(error) => {
                let slow = error.kind() == ErrorKind::TimedOut;
                panic!("{}: {error}", if slow { "a writer hangs" } else { "a writer fails" });
            }
        }
        mark.left.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(REST);
    }
}
