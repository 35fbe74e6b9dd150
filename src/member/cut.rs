//! A barrier file that is cut under its users.
//!
//! Whoever may map a file to write may also cut it, and a touch of what is gone ends the process by SIGBUS.
//! Nothing forbids that: seals, fcntl(2), are for files that have no name; leases do not hear of
//! ftruncate(2); a file that is immutable, append-only, or on a read-only file system cannot be mapped to write either.
//! So where there is time for a system call the kernel is asked first, above all by who has slept. That makes the moments
//! in which a cut is deadly fewer and shorter, and leaves some: from the answer to the last touch after it. A
//! program that wants its fast path to survive as well says so in its own handler of SIGBUS.
//!
//! Either way the process *lets go* of the file. The whole map is replaced, from one moment to the next, by
//! memory of this process alone, in which the gate is closed for good: whoever comes to it, by whatever way, finds
//! out, gets the error, and comes over to another file if one is made (see `succession`). Nobody is let
//! in by such a gate, and nobody by the file: no tool opens one that has not the size of a barrier.
//!
//! # Safety
//!
//! What is replaced is a map of [`LENGTH`] bytes of which every bit pattern is valid, and so is what takes its
//! place; pointers into it stay what they are.

use crate::error::Error;
use crate::file::layout::{FILE_SIZE, Header, Parts};
use crate::file::open::make_anew;
use crate::gate::sync::{AtomicPtr, AtomicU64, Ordering};
use crate::member::mapping::Mapping;
use crate::member::process;
use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::mman::{MRemapFlags, MmapAdvise, madvise, mremap};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::ptr::{NonNull, null_mut};

/// The length of a barrier's map.
pub(crate) const LENGTH: NonZeroUsize =
    NonZeroUsize::new(FILE_SIZE as usize).expect("a barrier is not empty");

/// Where the end of the map begins, which goes first: where a page does, of whatever size.
const TAIL: usize = (LENGTH.get() - 1) & !0xffff;

/// The error of a barrier that was.
pub(crate) fn error(path: &Path) -> Error {
    Error::not_a_barrier(path, format!("it was cut or grown; {}", make_anew(path)))
}

/// One of this process's maps, for a signal handler to find. Never freed, used again.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Null: none.
    start: AtomicPtr<c_void>,
    incarnation: AtomicU64,
    next: *const Entry,
}

static FIRST: AtomicPtr<Entry> = AtomicPtr::new(null_mut());

fn entries() -> impl Iterator<Item = &'static Entry> {
    // SAFETY: null or an entry, which is never freed.
    let first = unsafe { FIRST.load(Ordering::Acquire).as_ref() };
    // SAFETY: the same.
    std::iter::successors(first, |entry| unsafe { entry.next.as_ref() })
}

impl Entry {
    /// Notes where a map of this process begins. The caller holds the process's lock.
    pub(crate) fn note(start: NonNull<c_void>) -> io::Result<&'static Entry> {
        let entry = match entries().find(|entry| entry.start.load(Ordering::Relaxed).is_null()) {
            Some(free) => free,
            None => {
                let mut memory = Vec::new();
                memory.try_reserve_exact(1)?;
                memory.push(Entry {
                    start: AtomicPtr::new(null_mut()),
                    incarnation: AtomicU64::new(0),
                    next: FIRST.load(Ordering::Relaxed),
                });
                let entry = &mut memory.leak()[0];
                FIRST.store(entry, Ordering::Release);
                entry
            }
        };
        entry.incarnation.store(process::incarnation(), Ordering::Relaxed);
        entry.start.store(start.as_ptr(), Ordering::Release);
        Ok(entry)
    }

    /// The map is going to be no more.
    pub(crate) fn forget(&self) {
        self.start.store(null_mut(), Ordering::Release);
    }
}

/// Whether memory of a map can be read: false where to touch it would be a SIGBUS. Neither writes, as to a file
/// system that is frozen, nor needs a descriptor. A kernel before 5.14 cannot be asked, and then nothing is known.
fn can_be_read(from: NonNull<c_void>, length: usize) -> bool {
    // SAFETY: the range is part of a map, and read at most.
    let read = unsafe { madvise(from, length, MmapAdvise::MADV_POPULATE_READ) };
    read != Err(Errno::EFAULT)
}

/// Whether the file of a barrier's map was cut; then this process has let go of it. It has not if there is no
/// memory for that: the caller touches nothing either way.
pub(crate) fn is_cut(start: NonNull<c_void>, parts: Parts) -> bool {
    // SAFETY: it lies in the map.
    let tail = unsafe { start.byte_add(TAIL) };
    if can_be_read(tail, LENGTH.get() - TAIL) {
        return parts.is_cut_off();
    }
    let _ = let_go(start);
    true
}

fn let_go(start: NonNull<c_void>) -> io::Result<()> {
    let instead = Mapping::private(LENGTH)?;
    // SAFETY: it is of this length, and used in this function only.
    unsafe { Parts::new(instead.start()) }.mark_cut_off();
    let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
    let from = instead.into_start();
    // SAFETY: both are maps of this length, and see the head of the module.
    unsafe { mremap(from, LENGTH.get(), LENGTH.get(), flags, Some(start)) }?;
    Ok(())
}

/// For a program's own handler of SIGBUS: whether the fault at this address, `si_addr`, was that of a
/// barrier whose file was cut, or of a full disk that it should not lie on. If so, the process has let go of
/// that file, the handler returns, and what was interrupted goes on: every use of the barrier is an error from then on,
/// [`Error::NotABarrier`], until another one is made at its path. A share that was held at the time is
/// none any more. Async-signal-safe. This library never installs such a handler by itself.
pub fn survive_bus_error(address: *const c_void) -> bool {
    let errno = Errno::last_raw();
    let contains = |start: NonNull<c_void>| {
        (address as usize).checked_sub(start.as_ptr() as usize).is_some_and(|at| at < LENGTH.get())
    };
    let survived = entries().any(|entry| {
        let start = NonNull::new(entry.start.load(Ordering::Acquire)).filter(|at| contains(*at));
        start.is_some_and(|start| {
            process::is_current(entry.incarnation.load(Ordering::Relaxed)) && has_let_go(start)
        })
    });
    Errno::set_raw(errno);
    survived
}

fn has_let_go(start: NonNull<c_void>) -> bool {
    // SAFETY: a map of this length, which is not unmapped while somebody touches it.
    let parts = unsafe { Parts::new(start.as_ptr().cast_const().cast()) };
    // Another thread may have been first.
    let already = can_be_read(start, size_of::<Header>()) && parts.is_cut_off();
    already || let_go(start).is_ok()
}
