//! Wrapped write locks: a share around every write lock of a program.
//!
//! The rules are here, once, for [`WriteLock`](crate::WriteLock) and for the C interface:
//!
//! * The share is taken before the file's lock and given back after it, so it is the outermost of the
//!   two. An attempt that fails leaves nothing held that was not held before.
//! * Only a write lock brings a share, and a descriptor's write lock of one kind brings one, however
//!   often it is asked for. Turning it into a read lock gives the share back.
//! * A read lock that is to become a write lock comes before the share, which is the wrong order: a
//!   writer inside may be waiting for it. flock(2) lets go of the old lock before it takes the new one
//!   anyway, so it is let go of before waiting at a closed gate. fcntl(2) keeps it meanwhile; the wait
//!   is bounded by the pause's limit.
//! * Classic fcntl(2) locks belong to the process and the file, not to a descriptor: unlocking or
//!   closing any descriptor of the file ends them all, and so ends what they brought.
//!
//! What each descriptor's lock brought stands in a table indexed by the descriptor: the serial number
//! of the thread's seat, with a bit for each kind of lock. A seat's serial number is never used twice,
//! so what was written by a thread that has ended, or by the parent of a forked child, means nothing.

use crate::barrier::Barrier;
use crate::file_lock::{self, FileLock, Identity, LockKind};
use crate::source_line::SourceLine;
use crate::sync::{AtomicI32, AtomicPtr, AtomicU64, Ordering, step};
use crate::wait::Wait;
use crate::{Error, current, process};
use nix::errno::Errno;
use std::ffi::c_char;
use std::os::fd::RawFd;
use std::ptr;

/// What a file is to be locked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockRequest {
    /// To write: with a share.
    Write,
    /// To read: without one.
    Read,
    /// Not at all.
    Unlock,
}

impl LockKind {
    /// Its bit in an entry of the table.
    fn bit(self) -> u64 {
        match self {
            LockKind::Flock => 1,
            LockKind::Classic => 2,
            LockKind::Description => 4,
        }
    }
}

/// The bits of an entry that name kinds of locks; the others are a seat's serial number, doubled.
const KINDS: u64 = 7;

const CHUNK: usize = 1 << 15;
type Chunk = [AtomicU64; CHUNK];

/// An entry for each descriptor that there can be, in chunks that are made when they are needed.
static TABLE: [AtomicPtr<Chunk>; 1 << 16] = [const { AtomicPtr::new(ptr::null_mut()) }; 1 << 16];
/// The highest descriptor whose entry was ever used.
static HIGHEST: AtomicI32 = AtomicI32::new(-1);

/// The entry of a descriptor, if one was ever made.
fn entry(descriptor: RawFd) -> Option<&'static AtomicU64> {
    let index = usize::try_from(descriptor).ok()?;
    // SAFETY: null or a chunk that is never freed.
    let chunk = unsafe { TABLE[index / CHUNK].load(Ordering::Acquire).as_ref() };
    chunk.map(|chunk| &chunk[index % CHUNK])
}

/// The entry of a descriptor; `None` for a number that cannot be one.
fn entry_or_new(descriptor: RawFd) -> Option<&'static AtomicU64> {
    if let Some(entry) = entry(descriptor) {
        return Some(entry);
    }
    let place = &TABLE[usize::try_from(descriptor).ok()? / CHUNK];
    let chunk: Box<Chunk> =
        (0..CHUNK).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().try_into().ok()?;
    let chunk = Box::into_raw(chunk);
    let made =
        place.compare_exchange(ptr::null_mut(), chunk, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if !made {
        // SAFETY: it came from a box, and nobody else has seen it.
        drop(unsafe { Box::from_raw(chunk) });
    }
    entry(descriptor)
}

impl Barrier {
    /// [`Barrier::lock_file`] in the common case: a write lock where there was none, at an open gate,
    /// and unlocking it in the same thread. `None`: nothing has happened, and [`Barrier::lock_file`]
    /// is to be asked.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Safety
    /// As [`Barrier::lock_file`].
    #[inline(always)]
    pub unsafe fn lock_file_at_once(
        number: u64,
        lock: FileLock,
        request: LockRequest,
        wait: bool,
        file: *const c_char,
        line: u32,
    ) -> Option<Result<(), Errno>> {
        let (seat, entry) = (current::get(), entry(lock.descriptor)?);
        let (before, bit) = (entry.load(Ordering::Relaxed), lock.kind.bit());
        // SAFETY: the caller's promise.
        let place = unsafe { SourceLine::new(file, line) };
        match request {
            LockRequest::Write
                if before & KINDS == 0 && lock.descriptor <= HIGHEST.load(Ordering::Relaxed) =>
            {
                if !seat.serves(number) || !seat.try_enter(|seat| seat.set_place(place)) {
                    return None;
                }
                let locked = lock.write(wait);
                if locked.is_ok() {
                    entry.store((seat.serial() * 2) | bit, Ordering::Relaxed);
                } else {
                    Barrier::leave_shared_at_once(number);
                }
                Some(locked)
            }
            // A classic lock may end what others brought (see `end_classic`).
            LockRequest::Unlock
                if lock.kind != LockKind::Classic
                    && before == (seat.serial() * 2) | bit
                    && seat.serves(number) =>
            {
                // What a failure means for the share is asked of `unlock`.
                lock.unlock().ok()?;
                entry.store(0, Ordering::Relaxed);
                Barrier::leave_shared_at_once(number);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    /// Locks or unlocks a whole file by a descriptor, waiting if `wait`, with a share for as long as
    /// the lock is a write lock.
    ///
    /// # Errors
    /// As [`Barrier::enter_shared`] and as the system call: [`Error::WouldBlock`] if it would have had
    /// to wait, else [`Error::System`], that of an interrupted wait included. [`Error::NotHeld`] if
    /// another thread holds a wrapped lock by this descriptor, or another barrier's.
    ///
    /// # Safety
    /// As [`Barrier::enter_shared`] for `file` and `line`.
    pub unsafe fn lock_file(
        &self,
        lock: FileLock,
        request: LockRequest,
        wait: bool,
        file: *const c_char,
        line: u32,
    ) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let place = unsafe { SourceLine::new(file, line) };
        self.lock_file_at(lock, request, wait, place)
    }

    pub(crate) fn lock_file_at(
        &self,
        lock: FileLock,
        request: LockRequest,
        wait: bool,
        place: SourceLine,
    ) -> Result<(), Error> {
        let result = match request {
            LockRequest::Write => self.lock_to_write(lock, wait, place),
            LockRequest::Read => self.lock_to_read(lock, wait),
            LockRequest::Unlock => self.unlock(lock),
        };
        result.map_err(|refused| match refused {
            Refused::System(Errno::EAGAIN) if !wait => {
                Error::WouldBlock { path: self.path().into() }
            }
            refused => self.error(lock.kind.call(), refused),
        })
    }

    /// Unlocks for a guard that will not be there to try again: whatever the system call says, the
    /// share ends.
    pub(crate) fn end_lock(&self, lock: FileLock) {
        let brought = self.brought(lock.descriptor).unwrap_or(0) & lock.kind.bit();
        if lock.unlock() == Err(Errno::EINTR) {
            let _ = lock.unlock();
        }
        step("write lock: unlocked");
        if brought != 0 {
            let _ = self.give_back(lock.descriptor, brought);
        }
    }

    fn lock_to_write(&self, lock: FileLock, wait: bool, place: SourceLine) -> Result<(), Refused> {
        if self.brought(lock.descriptor)? & lock.kind.bit() != 0 {
            return Ok(lock.write(wait)?);
        }
        self.enter_for(lock, wait, place)?;
        step("write lock: inside");
        let locked = lock.write(wait);
        if locked.is_ok() {
            step("write lock: locked");
            self.note(lock);
        } else {
            self.leave_shared()?;
        }
        Ok(locked?)
    }

    /// Enters for a lock that is to be taken.
    fn enter_for(&self, lock: FileLock, wait: bool, place: SourceLine) -> Result<(), Refused> {
        match self.enter_bare(Wait::No, place) {
            Err(Error::WouldBlock { .. }) if wait => {}
            result => return Ok(result?),
        }
        if lock.kind == LockKind::Flock {
            lock.unlock()?;
        }
        Ok(self.enter_bare(Wait::Forever, place)?)
    }

    fn lock_to_read(&self, lock: FileLock, wait: bool) -> Result<(), Refused> {
        let brought = self.brought(lock.descriptor)? & lock.kind.bit();
        let locked = lock.read(wait);
        // flock(2) has lost the lock that it could not convert; fcntl(2) keeps it.
        let kept = match locked {
            Ok(()) => false,
            // Closed, and the lock gone; or open, but not to read.
            Err(Errno::EBADF) => file_lock::identity(lock.descriptor).is_some(),
            Err(Errno::EINVAL) => true,
            Err(_) => lock.kind != LockKind::Flock,
        };
        if brought != 0 && !kept {
            self.give_back(lock.descriptor, brought)?;
        }
        Ok(locked?)
    }

    fn unlock(&self, lock: FileLock) -> Result<(), Refused> {
        let brought = self.brought(lock.descriptor)? & lock.kind.bit();
        let unlocked = lock.unlock();
        step("write lock: unlocked");
        if matches!(unlocked, Ok(()) | Err(Errno::EBADF)) {
            if brought != 0 {
                self.give_back(lock.descriptor, brought)?;
            }
            if lock.kind == LockKind::Classic {
                self.end_classic(file_lock::identity(lock.descriptor))?;
            }
        }
        Ok(unlocked?)
    }

    /// close(2), and gives back what write locks by the descriptor brought.
    ///
    /// # Errors
    /// [`Error::System`] from close(2), when the descriptor is closed nevertheless;
    /// [`Error::NotHeld`] as [`Barrier::lock_file`], when it is not.
    ///
    /// # Safety
    /// The descriptor is the caller's to close.
    pub unsafe fn close_descriptor(&self, descriptor: RawFd) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let closed = unsafe { self.close_and_give_back(descriptor) };
        closed.map_err(|refused| self.error("close", refused))
    }

    /// # Safety
    /// As [`Barrier::close_descriptor`].
    unsafe fn close_and_give_back(&self, descriptor: RawFd) -> Result<(), Refused> {
        let brought = self.brought(descriptor)?;
        let identity = file_lock::identity(descriptor);
        // SAFETY: the caller's promise.
        let closed = unsafe { file_lock::close(descriptor) };
        if brought != 0 {
            self.give_back(descriptor, brought)?;
        }
        self.end_classic(identity)?;
        Ok(closed?)
    }

    /// Which kinds of write locks by this descriptor have brought this thread a share.
    fn brought(&self, descriptor: RawFd) -> Result<u64, Refused> {
        let found = entry(descriptor).map_or(0, |entry| entry.load(Ordering::Relaxed));
        if found & KINDS == 0 {
            return Ok(0);
        }
        if self.seat().is_some_and(|seat| seat.serial() == (found & !KINDS) / 2) {
            return Ok(found & KINDS);
        }
        if is_anybodys((found & !KINDS) / 2) {
            return Err(Error::NotHeld { path: self.path().into() }.into());
        }
        Ok(0)
    }

    /// A write lock has brought this thread a share.
    fn note(&self, lock: FileLock) {
        let (Some(seat), Some(entry)) = (self.seat(), entry_or_new(lock.descriptor)) else {
            return;
        };
        let before = entry.load(Ordering::Relaxed);
        let kinds = if before & !KINDS == seat.serial() * 2 { before & KINDS } else { 0 };
        entry.store((seat.serial() * 2) | kinds | lock.kind.bit(), Ordering::Relaxed);
        if lock.descriptor > HIGHEST.load(Ordering::Relaxed) {
            HIGHEST.fetch_max(lock.descriptor, Ordering::Relaxed);
        }
    }

    /// Gives the shares of these kinds back.
    fn give_back(&self, descriptor: RawFd, kinds: u64) -> Result<(), Refused> {
        if let Some(entry) = entry(descriptor) {
            entry.store(entry.load(Ordering::Relaxed) & !kinds, Ordering::Relaxed);
        }
        (0..kinds.count_ones()).try_for_each(|_| Ok(self.leave_shared()?))
    }

    /// The classic locks of this file are gone, by whichever descriptor they were taken.
    fn end_classic(&self, identity: Option<Identity>) -> Result<(), Refused> {
        let classic = LockKind::Classic.bit();
        for descriptor in 0..=HIGHEST.load(Ordering::Relaxed) {
            let Some(entry) = entry(descriptor) else { continue };
            if entry.load(Ordering::Relaxed) & classic != 0
                && file_lock::identity(descriptor) == identity
                && self.brought(descriptor).is_ok_and(|brought| brought & classic != 0)
            {
                self.give_back(descriptor, classic)?;
            }
        }
        Ok(())
    }

    fn error(&self, call: &'static str, refused: Refused) -> Error {
        match refused {
            Refused::System(error) => Error::system(call, self.path(), error),
            Refused::Barrier(error) => error,
        }
    }
}

/// Why not: by the system call, or by the barrier.
enum Refused {
    System(Errno),
    Barrier(Error),
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Refused {
        Refused::System(error)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Barrier(error)
    }
}

/// Whether a seat of this serial number is registered in this process.
fn is_anybodys(serial: u64) -> bool {
    let _ = process::incarnation();
    let open = process::lock().open_barriers();
    open.iter()
        .filter_map(|inner| inner.attachment_of_this_process())
        .any(|attachment| attachment.seats().iter().any(|seat| seat.serial() == serial))
}
