//! This process, told apart from the one it was forked from.
//!
//! A forked child inherits the library's memory but neither its maps nor its locks, and must notice
//! that before it touches any of them, however it was forked. One word in a page that the kernel
//! wipes in the child (`MADV_WIPEONFORK`, madvise(2)) is the sign; where the kernel cannot, or an
//! emulator only says so, the process id is compared instead (`STILLPOINT_FORK_CHECK=pid` asks for
//! that). Each process that the sign tells apart is one *incarnation*, numbered.
//!
//! One lock per process guards joining and leaving. All signals are blocked while it is held, so that no
//! handler waits for the thread that it interrupted; none is blocked while it is waited for.
//!
//! A fork waits, in `pthread_atfork(3)`, until nobody holds it, and keeps others from it until it is done:
//! no child shall be made between the opening and the closing of a descriptor that carries a lock, which
//! such a child would keep alive after its owner's death. But between our handler and the fork there may be
//! handlers of others, that wait for locks of the program, and whoever holds one of those may be waiting
//! here. So both waits have an end. Who goes past a fork that has been under way for long counts that, and a
//! child that was made meanwhile takes nothing from what its parent may have been changing.
//!
//! # Safety
//!
//! What the lock guards is only reached through [`Locked`], of which there is one at a time, and by a new
//! child before it has a second thread.

use crate::file::open::Identity;
use crate::gate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::member::attachment::Attachment;
use crate::member::inner::Inner;
use crate::member::mapping;
use crate::member::threads;
use crate::seat::Seat;
use crate::system::calls::{at_fork, futex_wait, futex_wake};
use crate::system::environment::variable;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use std::cell::{Cell, UnsafeCell};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// What the process-wide lock guards.
#[derive(Debug, Default)]
pub(crate) struct Process {
    /// Every barrier that is open here: opening a file twice gives the same one.
    barriers: Vec<Opened>,
    /// How many seats there are.
    pub(crate) seats: usize,
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

    /// All open barriers. To be dropped after the lock, as above.
    pub(crate) fn all(&self) -> Vec<Arc<Inner>> {
        self.barriers.iter().filter_map(|opened| opened.inner.upgrade()).collect()
    }

    /// Counts it among them.
    pub(crate) fn add(&mut self, inner: &Arc<Inner>) {
        self.barriers.retain(|opened| opened.inner.strong_count() > 0);
        let (id, identity, uuid) = (inner.id, inner.place.identity, inner.uuid);
        self.barriers.push(Opened { id, identity, uuid, inner: Arc::downgrade(inner) });
    }
}

/// The open barrier of this number.
pub(crate) fn open_barrier(id: u64) -> Option<Arc<Inner>> {
    lock().find(|opened| opened.id == id)
}

impl Process {
    const fn new() -> Process {
        Process {
            barriers: Vec::new(),
            seats: 0,
            free_seats: Vec::new(),
            all_seats: Vec::new(),
            inherited: Vec::new(),
        }
    }
}

struct Guarded(UnsafeCell<Process>);

// SAFETY: see the head of the module.
unsafe impl Sync for Guarded {}

static PROCESS: Guarded = Guarded(UnsafeCell::new(Process::new()));

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
        let promised = !asked && mapping::rejects_unknown_advice();
        if let Some(page) = promised.then(mapping::wiped_on_fork).and_then(Result::ok) {
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
        threads::prepare();
        let _ = at_fork(before_fork, after_fork, in_child);
        Detector::new()
    })
}

/// Does what opening the first barrier would do for this process: it notices forks from now on. For
/// libraries to call when they are loaded, before there are threads, and before the program has handlers of
/// its own for forks: those then run before this library's, which has the least to wait for.
pub fn prepare() {
    let _ = detector();
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

/// The lock: [`HELD`], and how many forks are under way.
static LOCK: AtomicU32 = AtomicU32::new(0);
const HELD: u32 = 1 << 31;
/// How often somebody has gone past a fork that was under way.
static PASSED: AtomicU64 = AtomicU64::new(0);

/// How long a fork may keep others waiting.
const FORKING: Duration = Duration::from_millis(100);
/// How long a fork waits for whoever joins or leaves.
const JOINING: Duration = Duration::from_secs(1);
/// Between two looks of who waits for either.
const TICK: Duration = Duration::from_millis(5);

/// The process-wide lock, with all signals blocked for as long as it is held.
pub(crate) struct Locked {
    mask: SigSet,
}

impl std::ops::Deref for Locked {
    type Target = Process;
    fn deref(&self) -> &Process {
        // SAFETY: see the head of the module.
        unsafe { &*PROCESS.0.get() }
    }
}

impl std::ops::DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Process {
        // SAFETY: see the head of the module.
        unsafe { &mut *PROCESS.0.get() }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        LOCK.fetch_and(!HELD, Ordering::Release);
        futex_wake(&LOCK, u32::MAX >> 1);
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}

/// Takes the process-wide lock.
pub(crate) fn lock() -> Locked {
    let mut forking: Option<Instant> = None;
    loop {
        let mut mask = SigSet::empty();
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask));
        let found = LOCK.load(Ordering::Relaxed);
        let forks = found & !HELD;
        let patient = forks > 0 && forking.is_none_or(|since| since.elapsed() < FORKING);
        if found & HELD == 0 && !patient && change(found, found | HELD) {
            if forks > 0 {
                PASSED.fetch_add(1, Ordering::Relaxed);
            }
            return Locked { mask };
        }
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
        match forks {
            0 => forking = None,
            _ => drop(forking.get_or_insert_with(Instant::now)),
        }
        if found & HELD != 0 || patient {
            futex_wait(&LOCK, found, Some(TICK));
        }
    }
}

fn change(from: u32, to: u32) -> bool {
    LOCK.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

thread_local! {
    /// What `PASSED` was when this thread began to fork.
    static PASSED_BEFORE: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn before_fork() {
    let since = Instant::now();
    loop {
        let found = LOCK.load(Ordering::Relaxed);
        let waits = found & HELD != 0 && since.elapsed() < JOINING;
        if !waits && change(found, found + 1) {
            break;
        }
        if waits {
            futex_wait(&LOCK, found, Some(TICK));
        }
    }
    let _ = PASSED_BEFORE.try_with(|before| before.set(PASSED.load(Ordering::Relaxed)));
}

extern "C" fn after_fork() {
    LOCK.fetch_sub(1, Ordering::Release);
    futex_wake(&LOCK, u32::MAX >> 1);
}

extern "C" fn in_child() {
    let before = PASSED_BEFORE.try_with(Cell::get).unwrap_or(0);
    if LOCK.load(Ordering::Relaxed) & HELD != 0 || PASSED.load(Ordering::Relaxed) != before {
        // Somebody may have been in the middle of a change. What barriers were open here, its handles know.
        // SAFETY: this child has one thread yet, which holds no lock. What is left behind is not touched.
        unsafe { PROCESS.0.get().write(Process::new()) };
    }
    LOCK.store(0, Ordering::Relaxed);
    threads::forget_current_after_fork();
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
