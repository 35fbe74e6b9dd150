//! This process, told apart from the one it was forked from.
//!
//! A forked child inherits the library's memory but neither its maps nor its locks, and must notice
//! that before it touches any of them, however it was forked. One word in a page that the kernel
//! wipes in the child (`MADV_WIPEONFORK`, madvise(2)) is the sign; where the kernel cannot, or an
//! emulator only says so, the process id is compared instead (`STILLPOINT_FORK_CHECK=pid` asks for
//! that). Each process that the sign tells apart is one *incarnation*, numbered.
//!
//! One mutex per process guards joining and leaving. `pthread_atfork(3)` takes it before a fork, so
//! that no child is made between the opening and the closing of a descriptor that carries a lock:
//! such a child would keep the lock alive after its owner's death. All signals are blocked while it
//! is held, so that no handler waits for the thread that it interrupted.

use crate::barrier::{Barrier, Inner};
use crate::environment::variable;
use crate::file::Identity;
use crate::join::Attachment;
use crate::mapping;
use crate::seat::Seat;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::sys;
use crate::thread;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// What the process-wide lock guards.
#[derive(Debug, Default)]
pub(crate) struct Process {
    /// Every barrier that is open here: opening a file twice gives the same one.
    barriers: Vec<Opened>,
    /// Seats that belong to no thread.
    pub(crate) free_seats: Vec<&'static Seat>,
    /// All seats, where the kernel does not wipe them for us.
    pub(crate) all_seats: Vec<&'static Seat>,
    /// What a forked child found attached: not the child's to give back. It stands here so that
    /// leak checkers, which look for memory that nothing leads to, do not take it for lost.
    pub(crate) inherited: Vec<&'static Attachment>,
}

/// A barrier that was opened here, and which file it is.
#[derive(Debug)]
pub(crate) struct Opened {
    id: u64,
    pub(crate) identity: Identity,
    pub(crate) uuid: [u32; 4],
    inner: Weak<Inner>,
}

impl Process {
    /// One of the open barriers. Dropped after the lock: it may by then be the last handle, and closing
    /// takes the lock.
    pub(crate) fn find(&self, wanted: impl Fn(&Opened) -> bool) -> Option<Arc<Inner>> {
        self.barriers.iter().filter(|opened| wanted(opened)).find_map(|one| one.inner.upgrade())
    }

    /// Counts it among them.
    pub(crate) fn add(&mut self, inner: &Arc<Inner>) {
        self.barriers.retain(|opened| opened.inner.strong_count() > 0);
        let (id, identity, uuid) = (inner.id, inner.place.identity, inner.uuid);
        self.barriers.push(Opened { id, identity, uuid, inner: Arc::downgrade(inner) });
    }
}

/// The open barrier of this number.
pub(crate) fn open_barrier(id: u64) -> Option<Barrier> {
    let found = lock().find(|opened| opened.id == id);
    found.map(|inner| Barrier { id, inner })
}

static PROCESS: Mutex<Process> = Mutex::new(Process {
    barriers: Vec::new(),
    free_seats: Vec::new(),
    all_seats: Vec::new(),
    inherited: Vec::new(),
});

static INCARNATION: AtomicU64 = AtomicU64::new(1);

/// How a child notices that it is one.
#[derive(Debug)]
enum Detector {
    /// This word is 0 in a new child.
    Wiped(&'static AtomicU32),
    /// The process id differs from this one in a new child.
    Pid(AtomicU32),
}

impl Detector {
    fn new() -> Detector {
        let asked = variable("STILLPOINT_FORK_CHECK").is_some_and(|how| how == "pid");
        if !asked
            && mapping::rejects_unknown_advice()
            && let Ok(page) = mapping::wiped_on_fork()
        {
            // SAFETY: the page is ours alone, aligned, and never unmapped; zero is a valid atomic.
            let word: &'static AtomicU32 = unsafe { page.cast::<AtomicU32>().as_ref() };
            word.store(1, Ordering::Relaxed);
            return Detector::Wiped(word);
        }
        Detector::Pid(AtomicU32::new(std::process::id()))
    }

    fn same_process(&self) -> bool {
        match self {
            Detector::Wiped(word) => word.load(Ordering::Relaxed) != 0,
            Detector::Pid(pid) => pid.load(Ordering::Relaxed) == std::process::id(),
        }
    }
}

static DETECTOR: OnceLock<Detector> = OnceLock::new();

fn detector() -> &'static Detector {
    DETECTOR.get_or_init(|| {
        // Failure (no memory) leaves only the stretch between open and close uncovered.
        let _ = sys::at_fork(before_fork, after_fork, after_fork);
        Detector::new()
    })
}

/// Whether seats are wiped in a child by the kernel: then one look at the seat is enough.
pub(crate) fn wipes_seats() -> bool {
    matches!(detector(), Detector::Wiped(_))
}

/// The number of this incarnation; makes a new one in a child that has none yet.
pub(crate) fn incarnation() -> u64 {
    let detector = detector();
    if !detector.same_process() {
        let process = lock();
        if !detector.same_process() {
            INCARNATION.fetch_add(1, Ordering::Relaxed);
            match detector {
                Detector::Wiped(word) => word.store(1, Ordering::Relaxed),
                Detector::Pid(pid) => {
                    process.all_seats.iter().for_each(|seat| seat.wipe());
                    pid.store(std::process::id(), Ordering::Relaxed);
                }
            }
        }
    }
    INCARNATION.load(Ordering::Relaxed)
}

/// Whether this still is the incarnation of that number. Changes nothing.
pub(crate) fn is_current(incarnation: u64) -> bool {
    detector().same_process() && INCARNATION.load(Ordering::Relaxed) == incarnation
}

/// The process-wide lock, with all signals blocked for as long as it is held.
pub(crate) struct Locked {
    process: Option<MutexGuard<'static, Process>>,
    mask: SigSet,
}

impl std::ops::Deref for Locked {
    type Target = Process;
    fn deref(&self) -> &Process {
        self.process.as_ref().expect("held until dropped")
    }
}

impl std::ops::DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("held until dropped")
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.process = None;
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}

/// Takes the process-wide lock.
pub(crate) fn lock() -> Locked {
    let mut mask = SigSet::empty();
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask));
    let process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    Locked { process: Some(process), mask }
}

thread_local! {
    /// The lock, held by the thread that forks, from before the fork until after it.
    static ACROSS_FORK: RefCell<Option<Locked>> = const { RefCell::new(None) };
}

extern "C" fn before_fork() {
    let locked = lock();
    let _ = ACROSS_FORK.try_with(|held| *held.borrow_mut() = Some(locked));
}

extern "C" fn after_fork() {
    let _ = ACROSS_FORK.try_with(|held| *held.borrow_mut() = None);
    thread::forget_current_after_fork();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: nix::sys::signal::Signal) -> bool {
        SigSet::thread_get_mask().unwrap().contains(signal)
    }

    #[test]
    fn no_handler_runs_while_the_lock_is_held() {
        use nix::sys::signal::Signal::{SIGALRM, SIGUSR1};
        let locked = lock();
        assert!(is_blocked(SIGALRM) && is_blocked(SIGUSR1));
        drop(locked);
        assert!(!is_blocked(SIGALRM) && !is_blocked(SIGUSR1));
    }
}
