//! Wrapped write locks: a share around every write lock of a program, for the C interface.
//!
//! [`WriteLock`](crate::WriteLock) follows the same rules with a guard of its own.
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
//!   closing any descriptor of the file ends them all, and so ends what they brought this thread.
//! * A number is anybody's again as soon as it is closed, by whatever call. So what a lock has brought is
//!   the taker's own (see `brought`): no other thread is ever refused a number for it, and it is the
//!   taker who gives it back. Before close(2) the record is gone.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::gate::sync::step;
use crate::member::process;
use crate::member::threads;
use crate::seat::Seat;
use crate::seat::current;
use crate::shared::bare::leave_one;
use crate::shared::wait::Wait;
use crate::system::file_lock::{self, FileLock, LockKind};
use crate::system::source_line::SourceLine;
use nix::errno::Errno;
use std::ffi::c_char;
use std::io;
use std::os::fd::RawFd;

/// What a file is to be locked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockRequest {
    /// To write: with a share.
    Write,
    /// To read: without one.
    Read,
    /// Not at all.
    Unlock,
}

impl LockRequest {
    /// Asks the kernel alone, for who has no barrier.
    ///
    /// # Errors
    /// The system call's; that somebody else has the lock is always EAGAIN.
    pub fn make(self, lock: FileLock, wait: bool) -> io::Result<()> {
        let made = match self {
            LockRequest::Write => lock.write(wait),
            LockRequest::Read => lock.read(wait),
            LockRequest::Unlock => lock.unlock(),
        };
        Ok(made?)
    }
}

impl Barrier {
    /// [`Barrier::lock_file`] in the common case: a write lock where there was none, at an open gate,
    /// and unlocking it in the same thread, by the handle that it used last. `None`: nothing has happened, and
    /// [`Barrier::lock_file`] is to be asked.
    ///
    /// A signal handler may use another barrier meanwhile: the share is given back by the seat that it was taken in.
    ///
    /// # Errors
    /// The system call's errno: a cancelled thread leaves nothing to drop.
    ///
    /// # Safety
    /// As [`Barrier::lock_file`].
    #[inline(always)]
    pub unsafe fn lock_file_at_once(
        handle: *const (),
        lock: FileLock,
        request: LockRequest,
        wait: bool,
        file: *const c_char,
        line: u32,
    ) -> Option<Result<(), i32>> {
        let seat = current::get();
        if !seat.serves_handle(handle) {
            return None;
        }
        match request {
            LockRequest::Write if seat.brought().has_room(lock) => {
                // SAFETY: the caller's promise.
                let place = unsafe { SourceLine::new(file, line) };
                if !seat.enter_at_once(seat.barrier(), place) {
                    return None;
                }
                seat.brought().begin_attempt();
                let locked = lock.write(wait);
                seat.brought().end_attempt();
                if locked.is_ok() {
                    seat.brought().add(lock);
                } else {
                    leave_one(seat);
                }
                Some(locked.map_err(|errno| errno as i32))
            }
            // A classic lock may end what others brought (see `end_classic`).
            LockRequest::Unlock if lock.kind != LockKind::Classic && seat.brought().has(lock) => {
                // What a failure means for the share is asked of `unlock`.
                lock.unlock().ok()?;
                seat.brought().remove(lock);
                leave_one(seat);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    /// Locks or unlocks a whole file by a descriptor, waiting if `wait`, with a share for as long as
    /// the lock is a write lock. What a lock has brought is this thread's, and this barrier's.
    ///
    /// # Errors
    /// As [`Barrier::enter_shared`] and as the system call: [`Error::WouldBlock`] if it would have had
    /// to wait, else [`Error::System`], that of an interrupted wait included.
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
        self.end_abandoned_attempt();
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

    fn lock_to_write(&self, lock: FileLock, wait: bool, place: SourceLine) -> Result<(), Refused> {
        if self.seat().is_some_and(|seat| seat.brought().has(lock)) {
            return Ok(lock.write(wait)?);
        }
        self.enter_for(lock, wait, place)?;
        step("write lock: inside");
        let seat = self.seat().filter(|seat| seat.brought().reserve());
        let locked = seat.ok_or(Errno::ENOMEM).and_then(|seat| {
            seat.brought().begin_attempt();
            let locked = lock.write(wait);
            seat.brought().end_attempt();
            locked?;
            step("write lock: locked");
            seat.brought().add(lock);
            Ok(())
        });
        if locked.is_err() {
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
        let locked = lock.read(wait);
        // flock(2) has lost the lock that it could not convert; fcntl(2) keeps it.
        let kept = match locked {
            Ok(()) => false,
            // Closed, and the lock gone; or open, but not to read.
            Err(Errno::EBADF) => file_lock::identity(lock.descriptor).is_some(),
            Err(Errno::EINVAL) => true,
            Err(_) => lock.kind != LockKind::Flock,
        };
        if !kept {
            self.give_back(lock)?;
        }
        Ok(locked?)
    }

    fn unlock(&self, lock: FileLock) -> Result<(), Refused> {
        let unlocked = lock.unlock();
        step("write lock: unlocked");
        if matches!(unlocked, Ok(()) | Err(Errno::EBADF)) {
            self.give_back(lock)?;
            let classic = lock.kind == LockKind::Classic;
            if let Some(seat) = self.seat().filter(|_| classic) {
                (0..end_classic(seat, lock.descriptor)).try_for_each(|_| self.leave_shared())?;
            }
        }
        Ok(unlocked?)
    }

    /// Gives the share back that this lock has brought this thread, if it has.
    fn give_back(&self, lock: FileLock) -> Result<(), Refused> {
        match self.seat() {
            Some(seat) if seat.brought().remove(lock) => Ok(self.leave_shared()?),
            _ => Ok(()),
        }
    }

    /// close(2), and gives back what this thread's write locks by the descriptor have brought: the
    /// shares of every barrier, since the descriptor leads to no lock any more.
    ///
    /// # Errors
    /// [`Error::System`] from close(2), when the descriptor is closed nevertheless.
    ///
    /// # Safety
    /// The descriptor is the caller's to close.
    pub unsafe fn close_descriptor(&self, descriptor: RawFd) -> Result<(), Error> {
        self.end_abandoned_attempt();
        // Taken out of the record before: once it is closed, anybody may have the number.
        let mut owes = false;
        threads::for_each_seat(|seat| owes |= owe(seat, descriptor));
        // SAFETY: the caller's promise.
        let closed = unsafe { file_lock::close(descriptor) };
        step("write lock: closed");
        if owes {
            threads::for_each_seat(|seat| self.pay(seat));
        }
        closed.map_err(|error| Error::system("close", self.path(), error))
    }

    /// Gives the shares back that a seat owes, of this barrier or of another one.
    fn pay(&self, seat: &Seat) {
        let owed = seat.brought().take_owed();
        // One that is not held any more was given back by other means.
        let leave = |barrier: &Barrier| {
            let _ = (0..owed).try_for_each(|_| barrier.leave_shared());
        };
        match seat.barrier() {
            id if id == self.id => leave(self),
            id if owed > 0 => {
                if let Some(other) = process::open_barrier(id) {
                    leave(&Barrier::at(&other));
                }
            }
            _ => {}
        }
    }

    fn error(&self, call: &'static str, refused: Refused) -> Error {
        match refused {
            Refused::System(error) => Error::system(call, self.path(), error),
            Refused::Barrier(error) => error,
        }
    }
}

/// The classic locks of this descriptor's file are gone, by whichever descriptor this thread took them;
/// so are those by numbers that are closed. How many shares they had brought.
fn end_classic(seat: &Seat, descriptor: RawFd) -> u32 {
    if !seat.brought().has_classic() {
        return 0;
    }
    let file = file_lock::identity(descriptor);
    seat.brought().remove_classic(|other| {
        let found = file_lock::identity(other);
        found.is_none() || found == file
    })
}

/// Takes what ends with this descriptor out of the record. True if the seat owes shares for it.
fn owe(seat: &Seat, descriptor: RawFd) -> bool {
    let brought = seat.brought();
    let classic = end_classic(seat, descriptor);
    let others = [LockKind::Flock, LockKind::Description]
        .map(|kind| u32::from(brought.remove(FileLock { descriptor, kind })));
    brought.owe(classic + others.iter().sum::<u32>())
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
