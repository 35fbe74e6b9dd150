//! What the write locks of one thread have brought it, by the numbers of their descriptors.
//!
//! Each seat has its own record, which only its thread reads and writes. A record for all threads, by
//! number alone, would lead a thread to what another one did with the same number before: close(2) gives
//! it to whoever opens a file next, before anybody can be told. Here such a number leads to nothing.
//!
//! Most threads hold a lock or two at a time: those stand in the seat. More stand in a set beside it, so
//! that what a lock costs depends neither on its number nor on how many there are.
//!
//! # Safety
//!
//! The set is made by the thread that the seat belongs to, which alone follows the pointer to it, and
//! freed when it gives the seat back. A forked child forgets its parent's: zeros are an empty record.

use crate::gate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::system::file_lock::{FileLock, LockKind};
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::os::fd::RawFd;
use std::ptr;

/// Nobody chooses numbers to make them collide, and no chance is needed, which the kernel might not have.
type Set = HashSet<u64, BuildHasherDefault<DefaultHasher>>;

/// A lock as it stands in a record: never 0.
#[inline(always)]
fn entry(lock: FileLock) -> u64 {
    u64::from(lock.descriptor as u32) << 2 | lock.kind.number()
}

/// The descriptor of a classic lock's entry; `None`: it is of another kind, or none.
fn classic(entry: u64) -> Option<RawFd> {
    (entry & 3 == LockKind::Classic.number()).then_some((entry >> 2) as RawFd)
}

impl LockKind {
    #[inline(always)]
    fn number(self) -> u64 {
        match self {
            LockKind::Flock => 1,
            LockKind::Classic => 2,
            LockKind::Description => 3,
        }
    }
}

/// The record of a seat: each lock in it has brought one share.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Brought {
    few: [AtomicU64; 4],
    more: AtomicPtr<Set>,
    /// How many are classic locks, which end by any descriptor of their file.
    classic: AtomicU32,
    /// Shares that are to be given back as soon as their descriptor is closed.
    owed: AtomicU32,
    /// 1: a share was taken for a lock that is being waited for, or was when the thread jumped away.
    attempt: AtomicU32,
}

impl Brought {
    pub(crate) const fn new() -> Brought {
        Brought {
            few: [const { AtomicU64::new(0) }; 4],
            more: AtomicPtr::new(ptr::null_mut()),
            classic: AtomicU32::new(0),
            owed: AtomicU32::new(0),
            attempt: AtomicU32::new(0),
        }
    }

    #[inline(always)]
    fn place(&self, entry: u64) -> Option<&AtomicU64> {
        self.few.iter().find(|place| place.load(Ordering::Relaxed) == entry)
    }

    #[allow(clippy::mut_from_ref, reason = "of one thread, and gone before the call returns")]
    fn set(&self) -> Option<&mut Set> {
        // SAFETY: see the head of the module.
        unsafe { self.more.load(Ordering::Relaxed).as_mut() }
    }

    /// Whether this lock is known not to be here while there is room for it. No system call.
    #[inline(always)]
    pub(crate) fn has_room(&self, lock: FileLock) -> bool {
        self.attempt.load(Ordering::Relaxed) == 0
            && self.place(0).is_some()
            && self.place(entry(lock)).is_none()
            && self.more.load(Ordering::Relaxed).is_null()
    }

    /// Whether this lock has brought a share.
    #[inline(always)]
    pub(crate) fn has(&self, lock: FileLock) -> bool {
        self.place(entry(lock)).is_some()
            || self.set().is_some_and(|set| set.contains(&entry(lock)))
    }

    /// Makes room for one more, so that `add` cannot fail. False: there is no memory.
    pub(crate) fn reserve(&self) -> bool {
        if self.place(0).is_some() {
            return true;
        }
        if self.set().is_none() {
            let mut made = Vec::new();
            if made.try_reserve_exact(1).is_err() {
                return false;
            }
            made.push(Set::default());
            self.more.store(Box::into_raw(made.into_boxed_slice()).cast(), Ordering::Relaxed);
        }
        self.set().is_some_and(|set| set.try_reserve(1).is_ok())
    }

    /// This lock, which is not here, has brought a share. There is room.
    #[inline(always)]
    pub(crate) fn add(&self, lock: FileLock) {
        self.count(lock.kind, 1);
        match self.place(0) {
            Some(place) => place.store(entry(lock), Ordering::Relaxed),
            None => drop(self.set().map(|set| set.insert(entry(lock)))),
        }
    }

    /// The share that this lock brought is going to be given back. False: it brought none.
    #[inline(always)]
    pub(crate) fn remove(&self, lock: FileLock) -> bool {
        let removed = match self.place(entry(lock)) {
            Some(place) => {
                place.store(0, Ordering::Relaxed);
                true
            }
            None => self.set().is_some_and(|set| set.remove(&entry(lock))),
        };
        if removed {
            self.count(lock.kind, -1);
        }
        removed
    }

    /// Whether a classic lock is among them.
    pub(crate) fn has_classic(&self) -> bool {
        self.classic.load(Ordering::Relaxed) != 0
    }

    /// The same for the classic locks by all descriptors of a file; how many shares those brought.
    pub(crate) fn remove_classic(&self, of_file: impl Fn(RawFd) -> bool) -> u32 {
        let before = self.classic.load(Ordering::Relaxed);
        let ended = |entry: u64| classic(entry).is_some_and(&of_file);
        let mut left = before;
        for place in self.few.iter().filter(|place| ended(place.load(Ordering::Relaxed))) {
            place.store(0, Ordering::Relaxed);
            left -= 1;
        }
        if let Some(set) = self.set() {
            let stood = set.len();
            set.retain(|entry| !ended(*entry));
            left -= u32::try_from(stood - set.len()).unwrap_or(left);
        }
        self.classic.store(left, Ordering::Relaxed);
        before - left
    }

    #[inline(always)]
    fn count(&self, kind: LockKind, change: i32) {
        if kind == LockKind::Classic {
            let count = self.classic.load(Ordering::Relaxed).wrapping_add_signed(change);
            self.classic.store(count, Ordering::Relaxed);
        }
    }

    /// A share has been taken, and the lock that it is for is going to be waited for.
    #[inline(always)]
    pub(crate) fn begin_attempt(&self) {
        self.attempt.store(1, Ordering::Relaxed);
    }

    /// The wait is over. True if it was begun and not ended: asked by the next call of the thread, it says
    /// that a signal handler has jumped out of the wait.
    #[inline(always)]
    pub(crate) fn end_attempt(&self) -> bool {
        let begun = self.attempt.load(Ordering::Relaxed) == 1;
        self.attempt.store(0, Ordering::Relaxed);
        begun
    }

    /// Notes that so many shares are owed. True if any are.
    pub(crate) fn owe(&self, shares: u32) -> bool {
        let owed = self.owed.load(Ordering::Relaxed) + shares;
        self.owed.store(owed, Ordering::Relaxed);
        owed > 0
    }

    /// How many are; asking settles it.
    pub(crate) fn take_owed(&self) -> u32 {
        let owed = self.owed.load(Ordering::Relaxed);
        self.owed.store(0, Ordering::Relaxed);
        owed
    }

    /// Forgets all, and frees what it took: the seat is given back.
    pub(crate) fn clear(&self) {
        let set = self.more.load(Ordering::Relaxed);
        if !set.is_null() {
            // SAFETY: it came from a box, and its thread, the only one that knows it, is done with it.
            drop(unsafe { Box::from_raw(set) });
        }
        self.forget();
    }

    /// Forgets all that was a parent's.
    pub(crate) fn forget(&self) {
        self.few.iter().for_each(|place| place.store(0, Ordering::Relaxed));
        self.more.store(ptr::null_mut(), Ordering::Relaxed);
        self.classic.store(0, Ordering::Relaxed);
        self.owed.store(0, Ordering::Relaxed);
        self.attempt.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::file_lock::LockKind::{Classic, Description, Flock};

    fn lock(descriptor: RawFd, kind: LockKind) -> FileLock {
        FileLock { descriptor, kind }
    }

    #[test]
    fn each_lock_is_found_once_however_many_there_are() {
        let brought = Brought::new();
        let all =
            || (0..100).flat_map(|fd| [Flock, Classic, Description].map(|kind| lock(fd, kind)));
        for lock in all() {
            assert!(!brought.has(lock) && brought.reserve());
            brought.add(lock);
            assert!(brought.has(lock) && !brought.has_room(lock));
        }
        assert!(all().all(|lock| brought.has(lock)));
        for lock in all().filter(|lock| lock.kind != Classic) {
            assert!(brought.remove(lock) && !brought.remove(lock) && !brought.has(lock));
        }
        assert_eq!(brought.remove_classic(|descriptor| descriptor % 2 == 0), 50);
        assert!(brought.has_classic());
        assert_eq!(brought.remove_classic(|_| true), 50);
        assert!(!brought.has_classic() && !all().any(|lock| brought.has(lock)));
        brought.clear();
        assert!(brought.has_room(lock(7, Flock)));
    }
}
