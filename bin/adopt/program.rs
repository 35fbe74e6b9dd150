//! What this process is adopted to.
//!
//! It is found out when the library is loaded, or at the first call that comes before. A process that may give up
//! what it needs to reach the barrier, its root or its user, joins then, and so does each of its children; any other
//! joins when it first asks for a write lock that counts: most never do. A barrier that is missing is looked for
//! again now and then: it may be made after its writers were started.

use crate::bus;
use crate::devices::Devices;
use crate::flight::{busy, is_busy};
use crate::log::{self, About, say};
use crate::settings::Settings;
use barrier::Barrier;
use nix::errno::Errno;
use nix::libc;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const UNKNOWN: u32 = 0;
const BEGINNING: u32 = 1;
const ADOPTED: u32 = 2;
const NOT_ADOPTED: u32 = 3;
/// Not adopted either, and that is to be said to who asks for a lock.
const AGAINST_THE_WISH: u32 = 4;

static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);
static PROGRAM: OnceLock<Program> = OnceLock::new();
/// What the core knows the barrier by; 0: it is not open.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Between two attempts to find a barrier that is missing.
const AGAIN: Duration = Duration::from_secs(5);

/// An adopted process.
pub struct Program {
    pub devices: Devices,
    pub ignored: Vec<PathBuf>,
    fails_without: bool,
    path: PathBuf,
    barrier: AtomicPtr<Barrier>,
    looked: AtomicU64,
    began: Instant,
}

/// What the core knows the barrier by, once it is open; else 0.
#[inline(always)]
pub fn number() -> u64 {
    NUMBER.load(Ordering::Relaxed)
}

/// Whether it is known that this process is not adopted.
#[inline(always)]
pub fn is_not_adopted() -> bool {
    STATE.load(Ordering::Relaxed) == NOT_ADOPTED
}

/// This process, if it is adopted.
pub fn this() -> Option<&'static Program> {
    loop {
        match STATE.load(Ordering::Acquire) {
            ADOPTED => return PROGRAM.get(),
            NOT_ADOPTED => return None,
            AGAINST_THE_WISH => {
                log::speak();
                STATE.store(NOT_ADOPTED, Ordering::Relaxed);
                return None;
            }
            // What this thread calls on its way here is its own.
            BEGINNING if is_busy() => return None,
            BEGINNING => std::thread::sleep(Duration::from_micros(100)),
            _ => begin(),
        }
    }
}

/// Finds it out.
fn begin() {
    if STATE.compare_exchange(UNKNOWN, BEGINNING, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return;
    }
    let errno = Errno::last_raw();
    log::begin();
    let found = busy(|| catch_unwind(AssertUnwindSafe(Program::read)).ok().flatten());
    let state = match found {
        Some(_) => ADOPTED,
        None if log::is_anything_kept() => AGAINST_THE_WISH,
        None => NOT_ADOPTED,
    };
    if let Some(program) = found {
        let _ = PROGRAM.set(program);
    }
    STATE.store(state, Ordering::Release);
    if let Some(program) = PROGRAM.get() {
        // SAFETY: a function of this library, which stays loaded.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if may_become_another() {
            let _ = busy(|| catch_unwind(AssertUnwindSafe(|| program.barrier())));
        }
    }
    Errno::set_raw(errno);
}

/// Whether it may give up what it needs to reach the barrier: it is root, or has some of root's privileges.
fn may_become_another() -> bool {
    // SAFETY: it only answers.
    let user = unsafe { libc::geteuid() };
    user == 0 || barrier::is_untrusted() || has_capabilities()
}

/// capget(2): the third version, of which a process may be asked about as 0.
fn has_capabilities() -> bool {
    let question = [0x2008_0522_u32, 0];
    // Effective, permitted, inheritable; twice.
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: places of the size that this version has.
    let asked = unsafe { libc::syscall(libc::SYS_capget, question.as_ptr(), sets.as_mut_ptr()) };
    asked == 0 && sets.iter().any(|set| set[1] != 0)
}

extern "C" fn in_child() {
    let errno = Errno::last_raw();
    let program = PROGRAM.get().filter(|_| number() != 0 && may_become_another());
    if let Some(program) = program {
        let join = || program.barrier().map(Barrier::join);
        let _ = busy(|| catch_unwind(AssertUnwindSafe(join)));
    }
    Errno::set_raw(errno);
}

extern "C" fn loaded() {
    crate::cancel::uncancelled(begin);
}

#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

impl Program {
    fn read() -> Option<Program> {
        let settings = Settings::read()?;
        barrier::prepare();
        Some(Program {
            devices: Devices::of(settings.protected),
            ignored: settings.ignored,
            fails_without: settings.fails_without,
            path: settings.barrier,
            barrier: AtomicPtr::new(std::ptr::null_mut()),
            looked: AtomicU64::new(0),
            began: Instant::now(),
        })
    }

    /// Its barrier, if there is one.
    pub fn barrier(&self) -> Option<&'static Barrier> {
        // SAFETY: null, or one that is never freed.
        let open = unsafe { self.barrier.load(Ordering::Acquire).as_ref() };
        open.or_else(|| self.open())
    }

    #[cold]
    fn open(&self) -> Option<&'static Barrier> {
        let now = self.began.elapsed().as_millis() as u64 + 1;
        let looked = self.looked.load(Ordering::Relaxed);
        if looked != 0 && now.saturating_sub(looked) < AGAIN.as_millis() as u64 {
            return None;
        }
        self.looked.store(now, Ordering::Relaxed);
        // Opening may ask libc for memory, which a hook should not: once, and not in vain.
        if looked != 0 && std::fs::metadata(&self.path).is_err() {
            return None;
        }
        // A hook may be called by any thread, and a lock costs a system call anyway.
        barrier::keep_fences();
        let opened = Barrier::options().create(false).watched(false).open(&self.path);
        let barrier = match opened {
            Ok(barrier) if self.is_in_its_own_way(&barrier) => {
                let path = self.path.display();
                self.complain(&format!(
                    "{path}: the barrier lies on a file system that it protects"
                ));
                return None;
            }
            Ok(barrier) => barrier,
            Err(error) => {
                self.complain(&error.to_string());
                return None;
            }
        };
        let (number, made) = (barrier.number(), Box::into_raw(Box::new(barrier)));
        let none = std::ptr::null_mut();
        match self.barrier.compare_exchange(none, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                bus::survive();
                NUMBER.store(number, Ordering::Release);
            }
            // SAFETY: another thread was first; nobody else has seen this one.
            Err(_) => drop(unsafe { Box::from_raw(made) }),
        }
        // SAFETY: never freed.
        unsafe { self.barrier.load(Ordering::Acquire).as_ref() }
    }

    /// Locks on the barrier would wait for the barrier.
    fn is_in_its_own_way(&self, barrier: &Barrier) -> bool {
        use std::os::fd::AsRawFd;
        std::fs::File::open(barrier.path()).is_ok_and(|file| self.devices.protect(file.as_raw_fd()))
    }

    fn complain(&self, error: &str) {
        let then =
            if self.fails_without { "no write lock is given" } else { "write locks do not wait" };
        say(About::Barrier, &format!("{error}: {then}"));
    }

    /// What a call is answered that has no barrier to wait for, if not libc.
    pub fn without(&self) -> Option<i32> {
        self.fails_without.then_some(libc::ENOLCK)
    }

    /// A barrier that is there, and cannot be used.
    pub fn cannot_use(&self, error: &barrier::Error) -> Option<i32> {
        let then =
            if self.fails_without { "no write lock is given" } else { "write locks do not wait" };
        say(About::Call, &format!("{error}: {then}"));
        self.without()
    }
}
