//! Memory maps that know which process made them.
//!
//! A map of the barrier file is never inherited: `MADV_DONTFORK` keeps it out of a forked child, so
//! that no child can touch the parent's slots and no map of a child keeps the parent's locks alive.
//! The child's address space may hold something else at that place, so dropping an inherited
//! [`Mapping`] does nothing.
//!
//! # Safety
//!
//! `mmap(2)` with no wished address gives memory that nothing else uses; it is unmapped once, by the
//! process that mapped it. References into it never outlive the `Mapping` (its users keep both
//! together).

use crate::error::Error;
use crate::file::layout::{FILE_SIZE, Parts};
use crate::member::cut::{self, LENGTH};
use crate::member::process;
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether maps are left to the end of the process.
static LEFT: AtomicBool = AtomicBool::new(false);

/// Has what this process closes from now on stay mapped until it ends, for programs that end next: the kernel takes
/// maps away all at once sooner than one by one. Shares end, and slots are settled, when they would; the locks of a
/// closed barrier fall with the process.
pub fn leave_maps() {
    LEFT.store(true, Ordering::Relaxed);
}

/// A shared map of the start of a file, not inherited by children.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    length: NonZeroUsize,
    incarnation: u64,
}

// SAFETY: a map belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; what is in it is only accessed through atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of the file, to write too if `writable`. The caller holds the process's
    /// lock: no fork may come between mmap(2) and madvise(2).
    pub(crate) fn of_file(
        file: &impl AsFd,
        length: NonZeroUsize,
        writable: bool,
    ) -> io::Result<Mapping> {
        let protection = if writable {
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
        } else {
            ProtFlags::PROT_READ
        };
        // SAFETY: a new map at a place of the kernel's choice.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) }?;
        let mapping = Mapping { start, length, incarnation: process::incarnation() };
        // SAFETY: the range is the map just made.
        unsafe { madvise(start, length.get(), MmapAdvise::MADV_DONTFORK) }?;
        Ok(mapping)
    }

    /// Memory of this process alone, filled with zeros.
    pub(crate) fn private(length: NonZeroUsize) -> io::Result<Mapping> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new map at a place of the kernel's choice.
        let start = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }?;
        let mapping = Mapping { start, length, incarnation: process::incarnation() };
        // SAFETY: the range is the map just made.
        unsafe { madvise(start, length.get(), MmapAdvise::MADV_DONTFORK) }?;
        Ok(mapping)
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> *const u8 {
        self.start.as_ptr().cast_const().cast()
    }

    /// The same, for who sees to it from now on.
    pub(crate) fn into_start(self) -> NonNull<c_void> {
        std::mem::ManuallyDrop::new(self).start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if !LEFT.load(Ordering::Relaxed) && process::is_current(self.incarnation) {
            // SAFETY: this process made the map and nobody else unmaps it.
            let _ = unsafe { munmap(self.start, self.length.get()) };
        }
    }
}

/// A whole barrier file, mapped.
#[derive(Debug)]
pub(crate) struct BarrierMap {
    parts: Parts,
    /// None for a copy.
    entry: Option<&'static cut::Entry>,
    mapping: Mapping,
}

impl BarrierMap {
    /// Maps the file to read and write, if it has the size of a barrier. The caller holds the process's lock,
    /// as for [`Mapping::of_file`].
    pub(crate) fn new(file: &File, path: &Path) -> Result<BarrierMap, Error> {
        let size = file.metadata().map_err(|source| Error::system("fstat", path, source))?.len();
        if size != u64::from(FILE_SIZE) {
            return Err(cut::error(path));
        }
        let failed = |source| Error::system("mmap", path, source);
        let mapping = Mapping::of_file(file, LENGTH, true).map_err(failed)?;
        // SAFETY: the file was just found to have this size, and the map lives as long as this.
        let parts = unsafe { Parts::new(mapping.start()) };
        let entry = Some(cut::Entry::note(mapping.start).map_err(failed)?);
        Ok(BarrierMap { parts, entry, mapping })
    }

    /// What the file holds now, for who only looks: a copy, which nobody can cut.
    pub(crate) fn copied(file: &File, path: &Path) -> Result<BarrierMap, Error> {
        let mapping =
            Mapping::private(LENGTH).map_err(|source| Error::system("mmap", path, source))?;
        let (start, length) = (mapping.start.as_ptr().cast(), LENGTH.get());
        // SAFETY: the memory was just made, and nobody else knows of it yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start, length) };
        file.read_exact_at(bytes, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => cut::error(path),
            _ => Error::system("pread", path, error),
        })?;
        // SAFETY: it is of this length, and lives as long as this.
        let parts = unsafe { Parts::new(mapping.start()) };
        Ok(BarrierMap { parts, entry: None, mapping })
    }

    /// Whether the file was cut: see [`cut::is_cut`].
    pub(crate) fn is_cut(&self) -> bool {
        cut::is_cut(self.mapping.start, self.parts)
    }

    /// What lies in it. Not to be used after the map is dropped.
    pub(crate) fn parts(&self) -> Parts {
        self.parts
    }
}

impl Drop for BarrierMap {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            entry.forget();
        }
    }
}

/// A private page of zeros, never unmapped.
pub(crate) fn private_page() -> io::Result<NonNull<u8>> {
    let page = NonZeroUsize::new(4096).expect("4096 is not 0");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new map at a place of the kernel's choice.
    let start = unsafe { mmap_anonymous(None, page, protection, MapFlags::MAP_PRIVATE) }?;
    Ok(start.cast())
}

/// The same, found wiped by a forked child. An error if the kernel does not promise that.
pub(crate) fn wiped_on_fork() -> io::Result<NonNull<u8>> {
    let page = private_page()?;
    // SAFETY: the range is the page just mapped.
    let promised = unsafe { madvise(page.cast(), 4096, MmapAdvise::MADV_WIPEONFORK) };
    if let Err(error) = promised {
        // SAFETY: as above, and nobody else knows of it.
        let _ = unsafe { munmap(page.cast(), 4096) };
        return Err(error.into());
    }
    Ok(page)
}

/// Whether madvise(2) refuses advice that does not exist. Some emulators accept anything, and then
/// their word on `MADV_WIPEONFORK` is worth nothing either.
pub(crate) fn rejects_unknown_advice() -> bool {
    // SAFETY: no memory is touched: the range is empty and the advice does not exist.
    unsafe { nix::libc::madvise(std::ptr::null_mut(), 0, -1) == -1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a child, since it counts for all of a process.
    #[test]
    fn maps_are_left_to_the_end_if_that_is_asked_for() {
        use nix::sys::wait::{WaitStatus, waitpid};
        use nix::unistd::{ForkResult, fork};
        let file = tempfile::tempfile().unwrap();
        let page = NonZeroUsize::new(4096).unwrap();
        // SAFETY: the child takes little memory, which glibc allows, and ends.
        let ForkResult::Parent { child } = unsafe { fork() }.unwrap() else {
            let mapping = Mapping::of_file(&file, page, false).unwrap();
            let (start, length) = (mapping.start, mapping.length.get());
            leave_maps();
            drop(mapping);
            // SAFETY: advice of no consequence; it fails where nothing is mapped.
            let is_mapped = unsafe { madvise(start, length, MmapAdvise::MADV_NORMAL) }.is_ok();
            // SAFETY: ends it.
            unsafe { nix::libc::_exit(i32::from(!is_mapped)) }
        };
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
    }

    /// What lies where its parent had a map is the child's own.
    #[test]
    fn a_child_unmaps_nothing_of_its_parents() {
        let file = tempfile::tempfile().unwrap();
        let page = NonZeroUsize::new(4096).unwrap();
        let _process = process::lock();
        let mut mapping = Mapping::of_file(&file, page, false).unwrap();
        let (start, length) = (mapping.start, mapping.length.get());
        // SAFETY: advice of no consequence; it fails where nothing is mapped.
        let is_mapped = || unsafe { madvise(start, length, MmapAdvise::MADV_NORMAL) }.is_ok();
        mapping.incarnation += 1;
        drop(mapping);
        assert!(is_mapped());
        let incarnation = process::incarnation();
        drop(Mapping { start, length: page, incarnation });
        assert!(!is_mapped());
    }
}
