//! Memory of our own.
//!
//! A hook may be called from inside the program's malloc(3), or from a signal handler that interrupted it; so
//! nothing here takes memory from there. What this library needs it takes from a piece of itself: sizes are
//! rounded up to powers of two, what is given back is kept in a list for each size, and the lists are
//! changed by compare-and-swap alone, so that a handler, another thread or a forked child finds them in order.
//! What does not fit comes from mmap(2).
//!
//! # Safety
//!
//! Each block is handed out once until it is given back: it leaves its list, or the part that was never used, by one
//! swap. A list's head carries a number that changes with every swap, so that a block which left and came back
//! is not taken for one that never left.

use nix::libc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Pages that nobody touches cost nothing.
const SIZE: usize = 1 << 20;
const SMALLEST: usize = 5;
const LARGEST: usize = 16;

#[repr(C, align(4096))]
struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: see the head of the module.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; SIZE]));
/// How much of it was ever handed out. The first block is nobody's: 0 ends a list.
static USED: AtomicUsize = AtomicUsize::new(1 << LARGEST);
/// Per size: where the first free block is, and how often that has changed.
static FREE: [AtomicU64; LARGEST + 1] = [const { AtomicU64::new(0) }; LARGEST + 1];

struct Arena;

#[global_allocator]
static ARENA: Arena = Arena;

/// The power of two that the block is rounded up to; `None`: it is mapped by itself.
fn power(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST);
    let power = size.next_power_of_two().trailing_zeros() as usize;
    (power <= LARGEST).then_some(power)
}

/// The word at the start of a free block: where the next one is.
fn next(place: usize) -> &'static AtomicU32 {
    // SAFETY: within the memory and aligned, as every place of a block is; this word is only used so.
    unsafe { &*MEMORY.0.get().cast::<u8>().add(place).cast() }
}

fn take(power: usize) -> *mut u8 {
    let list = &FREE[power];
    let mut head = list.load(Ordering::Acquire);
    while head as u32 != 0 {
        let after = next(head as u32 as usize).load(Ordering::Relaxed);
        let changed = (head >> 32).wrapping_add(1) << 32 | u64::from(after);
        match list.compare_exchange(head, changed, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: within the memory.
            Ok(_) => return unsafe { MEMORY.0.get().cast::<u8>().add(head as u32 as usize) },
            Err(now) => head = now,
        }
    }
    let size = 1 << power;
    let place = |used: usize| used.next_multiple_of(size);
    let claimed = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        (place(used) + size <= SIZE).then(|| place(used) + size)
    });
    // SAFETY: within the memory.
    claimed.map_or(ptr::null_mut(), |used| unsafe { MEMORY.0.get().cast::<u8>().add(place(used)) })
}

fn give(power: usize, place: usize) {
    let list = &FREE[power];
    let mut head = list.load(Ordering::Relaxed);
    loop {
        next(place).store(head as u32, Ordering::Relaxed);
        let changed = (head >> 32).wrapping_add(1) << 32 | place as u64;
        match list.compare_exchange(head, changed, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

fn map(size: usize) -> *mut u8 {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, nobody else's.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), size, access, kind, -1, 0) };
    if mapped == libc::MAP_FAILED { ptr::null_mut() } else { mapped.cast() }
}

// SAFETY: see the head of the module.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = power(layout).map_or(ptr::null_mut(), take);
        // No type here is aligned to more than a page.
        if block.is_null() { map(layout.size()) } else { block }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let place = (block as usize).wrapping_sub(MEMORY.0.get() as usize);
        match power(layout) {
            Some(power) if place < SIZE => give(power, place),
            // SAFETY: mapped above, by itself and this long.
            _ => drop(unsafe { libc::munmap(block.cast(), layout.size()) }),
        }
    }
}
