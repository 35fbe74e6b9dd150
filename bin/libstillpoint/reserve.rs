//! Memory for when there is none.
//!
//! Rust ends the process when an allocation fails that it does not expect to fail: a path, a message, a list
//! of a few numbers. A library must not end the process that it lives in. So what the system's allocator
//! does not give comes from a reserve, which is part of the library's own data: nothing of it is touched
//! before, and no call keeps more than a few blocks of it, and those until it returns. What grows without a
//! bound is asked for in ways that may fail, and does: maps, and all that is larger than a block.
//!
//! Blocks have three sizes. Each is taken and given back by one atomic operation, so threads that are short
//! at once, and signal handlers, do not wait for each other.
//!
//! # Safety
//!
//! A block belongs to whoever set its bit, until he clears it. Blocks lie in the arena, one behind the other
//! and aligned to the least of them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Blocks of one size.
struct Class {
    size: usize,
    count: usize,
    /// Where they begin in the arena.
    offset: usize,
    taken: [AtomicU64; 8],
}

const fn class(size: usize, count: usize, offset: usize) -> Class {
    Class { size, count, offset, taken: [const { AtomicU64::new(0) }; 8] }
}

/// For names and numbers, for paths, and for the words of all slots.
static CLASSES: [Class; 3] =
    [class(256, 512, 0), class(8 << 10, 16, 128 << 10), class(32 << 10, 6, 256 << 10)];
const ARENA: usize = (256 << 10) + 6 * (32 << 10);
/// What every block is aligned to.
const ALIGNMENT: usize = 256;

#[repr(align(4096))]
struct Arena(UnsafeCell<[u8; ARENA]>);

// SAFETY: see the head of the module.
unsafe impl Sync for Arena {}

static BYTES: Arena = Arena(UnsafeCell::new([0; ARENA]));

/// Where a pointer lies in the arena, if it does.
fn offset_of(place: *mut u8) -> Option<usize> {
    let offset = place.addr().wrapping_sub(BYTES.0.get().addr());
    (offset < ARENA).then_some(offset)
}

/// The blocks that hold this place of the arena.
fn class_of(offset: usize) -> &'static Class {
    CLASSES.iter().rev().find(|class| class.offset <= offset).unwrap_or(&CLASSES[0])
}

fn take(layout: Layout) -> *mut u8 {
    let fits = |class: &&Class| layout.size() <= class.size && layout.align() <= ALIGNMENT;
    for class in CLASSES.iter().filter(fits) {
        for index in 0..class.count {
            let (word, bit) = (&class.taken[index / 64], 1 << (index % 64));
            let free = word.load(Ordering::Relaxed) & bit == 0;
            if free && word.fetch_or(bit, Ordering::Acquire) & bit == 0 {
                let offset = class.offset + index * class.size;
                // SAFETY: within the arena.
                return unsafe { BYTES.0.get().cast::<u8>().add(offset) };
            }
        }
    }
    ptr::null_mut()
}

fn give_back(offset: usize) {
    let class = class_of(offset);
    let index = (offset - class.offset) / class.size;
    class.taken[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Release);
}

/// The system's allocator, and the reserve behind it.
struct WithReserve;

#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

// SAFETY: what is given is the system's, or a block of the reserve that is large enough and belongs to
// nobody else; it goes back to where it came from.
unsafe impl GlobalAlloc for WithReserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let given = unsafe { System.alloc(layout) };
        if given.is_null() { take(layout) } else { given }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let given = unsafe { System.alloc_zeroed(layout) };
        if !given.is_null() {
            return given;
        }
        let taken = take(layout);
        if !taken.is_null() {
            // SAFETY: a block of at least this size.
            unsafe { taken.write_bytes(0, layout.size()) };
        }
        taken
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        match offset_of(place) {
            Some(offset) => give_back(offset),
            // SAFETY: the caller's promise; it is not from the reserve.
            None => unsafe { System.dealloc(place, layout) },
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if offset_of(place).is_none() {
            // SAFETY: the caller's promise; it is not from the reserve.
            let given = unsafe { System.realloc(place, layout, size) };
            if !given.is_null() {
                return given;
            }
        }
        // SAFETY: the caller's promise for `size`; the alignment is as before.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are as large as what is copied, and they are not the same.
            unsafe {
                ptr::copy_nonoverlapping(place, new, layout.size().min(size));
                self.dealloc(place, layout);
            }
        }
        new
    }
}
