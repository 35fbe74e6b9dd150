//! The bytes of the barrier file.
//!
//! ```text
//!       0  header   magic, version, feature bits, geometry, uuid, boot id          one page
//!    4096  gate     generation | drain | wanted | waiters | limit                 128 bytes
//!    4224  holder   who closed the gate (diagnostic)                              128 bytes
//!    4352  dirty    epoch | acknowledged | ring of the last 32 lost writers,
//!                   and where they had taken their shares                       3392 bytes
//!    8192  stats    counters, the last pause
//!   12288  freeze   what a keeper and `thaw` say to each other
//!   16384  slots    4096 x 128 bytes
//!  540672  end of the file
//!
//!  lock bytes, beyond the data, so that no lock covers a byte that anybody reads:
//!  0x40000000 X exclusive    0x40000001 M members    0x40001000 + i  life byte of slot i
//!  0x50000000 + k            the place that a member takes the file to be in
//! ```
//!
//! Every field is a `u32` behind an atomic: 32- and 64-bit processes share the file, nothing in it is
//! ever part of Rust's idea of plain memory, and no byte in it is followed as an offset, a length or
//! a process id. Whatever stands in the diagnostic fields decides nothing.

use crate::file::taken_at::TakenAt;
use crate::gate::protocol::Gate;
use crate::gate::sync::{AtomicU32, Futex, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first eight bytes of every barrier.
pub(crate) const MAGIC: [u8; 8] = *b"STILLPT1";
/// The same of memory that has taken the place of a map whose file was cut. Never in a file.
pub(crate) const CUT_OFF: [u8; 8] = *b"STILLCUT";
/// A reader of another major layout must not touch the file.
pub(crate) const MAJOR: u32 = 1;
/// Minor layouts only add what older readers may ignore.
pub(crate) const MINOR: u32 = 3;
/// The first minor layout that has [`COMPAT_FENCES`].
pub(crate) const MINOR_WITH_FENCES: u32 = 3;
/// A feature that one must know: writers may enter without a fence, and who closes the gate has them pass one.
pub(crate) const INCOMPAT_UNFENCED: u32 = 1;
/// A feature that one may ignore: whoever made the barrier wanted it without the one above, in every boot.
pub(crate) const COMPAT_FENCES: u32 = 1;
/// Slots of a barrier.
pub(crate) const SLOTS: u32 = 4096;
/// Slots that a thread may claim. The rest is kept for the one slot that each process needs, so that
/// threads, which can share their process's slot, never keep a process out.
pub(crate) const THREAD_SLOTS: u32 = 3072;
/// Bytes of a slot: two cache lines, so that the adjacent-line prefetcher couples no two writers.
pub(crate) const SLOT_SIZE: u32 = 128;
/// Where the slots begin.
pub(crate) const SLOTS_OFFSET: u32 = 16384;
/// Bytes of the file, exactly.
pub(crate) const FILE_SIZE: u32 = SLOTS_OFFSET + SLOTS * SLOT_SIZE;

pub(crate) const GATE_OFFSET: u32 = 4096;
/// Whether the word of a slot has the gate's place in a page of 4 KiB. A processor that tells addresses apart by these
/// bits at first takes a look at the gate for one at the word, which was stored just before, and waits for that (Intel's
/// optimization manual, on aliasing of memory at 4 KiB): so it is no good one for a thread.
pub(crate) const fn is_beside_the_gate(slot: u32) -> bool {
    (SLOTS_OFFSET + slot * SLOT_SIZE) % 4096 == GATE_OFFSET % 4096
}

const HOLDER_OFFSET: u32 = 4224;
pub(crate) const DIRTY_OFFSET: u32 = 4352;
const STATS_OFFSET: u32 = 8192;
const FREEZE_OFFSET: u32 = 12288;

/// A byte of the file that is only ever locked. Beyond the data and below 2^31, for 32-bit processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockByte {
    /// Held by whoever has or wants the exclusive side.
    Exclusive,
    /// Held shared by every lifeline; who holds it exclusively is alone with the file.
    Members,
    /// Held by the owner of a slot for as long as he lives.
    Life(u32),
    /// Held shared by everybody who takes part: which place he takes this file to be in. See `stragglers`.
    Place(u32),
}

impl LockByte {
    /// Its offset in the file.
    pub(crate) fn offset(self) -> i64 {
        match self {
            LockByte::Exclusive => 0x4000_0000,
            LockByte::Members => 0x4000_0001,
            LockByte::Life(slot) => 0x4000_1000 + i64::from(slot),
            LockByte::Place(key) => 0x5000_0000 + i64::from(key & 0x0fff_ffff),
        }
    }
}

/// Text of at most `4 * N` bytes in words, filled up with zeros. Diagnostic.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Text<const N: usize>([AtomicU32; N]);

impl<const N: usize> Text<N> {
    pub(crate) fn set(&self, text: &str) {
        self.set_bytes(text.as_bytes());
    }

    pub(crate) fn set_bytes(&self, bytes: &[u8]) {
        let fours = bytes.chunks_exact(4);
        let mut last = [0; 4];
        last[..fours.remainder().len()].copy_from_slice(fours.remainder());
        let fours = fours.map(|four| [four[0], four[1], four[2], four[3]]);
        let fours = fours.chain([last]).chain(std::iter::repeat([0; 4]));
        for (word, four) in self.0.iter().zip(fours) {
            word.store(u32::from_ne_bytes(four), Ordering::Relaxed);
        }
    }

    /// The text up to the first zero byte.
    pub(crate) fn get(&self) -> String {
        let bytes: Vec<u8> =
            self.0.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        printable(&bytes[..end])
    }
}

/// Text of somebody else's, with everything that could disturb a terminal replaced.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A 64-bit number in two words. Not read at once: diagnostic and pacing only.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Wide([AtomicU32; 2]);

impl Wide {
    pub(crate) fn set(&self, value: u64) {
        self.0[0].store(value as u32, Ordering::Relaxed);
        self.0[1].store((value >> 32) as u32, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        u64::from(self.0[0].load(Ordering::Relaxed))
            | u64::from(self.0[1].load(Ordering::Relaxed)) << 32
    }

    /// Sets it to the wall clock, in milliseconds.
    pub(crate) fn set_wall_clock(&self) {
        self.set_time(Some(SystemTime::now()));
    }

    /// Sets it to a time of the wall clock, 0 for none.
    pub(crate) fn set_time(&self, time: Option<SystemTime>) {
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        self.set(u64::try_from(since.as_millis()).unwrap_or(0));
    }

    /// The wall clock that was set. `None`: never, or to a far future, which only garbage names.
    pub(crate) fn wall_clock(&self) -> Option<SystemTime> {
        // Read once: somebody may be changing it.
        let since = Some(self.get()).filter(|since| (1..1 << 45).contains(since))?;
        UNIX_EPOCH.checked_add(Duration::from_millis(since))
    }
}

/// The first page.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: [AtomicU32; 2],
    pub(crate) major: AtomicU32,
    pub(crate) minor: AtomicU32,
    /// Features that a reader must know to take part: an unknown bit refuses.
    pub(crate) incompat: AtomicU32,
    /// Features that a reader may ignore.
    pub(crate) compat: AtomicU32,
    pub(crate) slots: AtomicU32,
    pub(crate) slot_size: AtomicU32,
    pub(crate) slots_offset: AtomicU32,
    pub(crate) file_size: AtomicU32,
    pub(crate) uuid: [AtomicU32; 4],
    pub(crate) boot_id: [AtomicU32; 4],
    /// How many waiters a release wakes at once; 0: all.
    pub(crate) readmit: AtomicU32,
    /// The kernel's own boot id, where one was seen; the one above may be a container's. See `boot`.
    pub(crate) kernels_boot: [AtomicU32; 4],
    /// Not 0: somebody has joined since who could not tell which boot it is.
    pub(crate) unsure: AtomicU32,
    /// How many ids have been noted in the ring that follows.
    pub(crate) seen_next: AtomicU32,
    /// Containers' boot ids, of no other boot than the file.
    pub(crate) seen_boots: [[AtomicU32; 4]; SEEN_BOOTS],
    /// The file, by device and inode, and the time of its folder's last change in seconds and nanoseconds,
    /// for which it was found that nobody is left in another file that was in its place. A copy of
    /// this one is another file.
    pub(crate) alone: [Wide; 4],
    /// Where the next entry of `left` goes, and the last files that were in its place, by device and inode,
    /// that were closed for good and left.
    pub(crate) left_next: AtomicU32,
    pub(crate) left: [[Wide; 2]; LEFT],
}

/// Files before it that a file remembers.
pub(crate) const LEFT: usize = 16;

/// Boot ids that a file remembers.
pub(crate) const SEEN_BOOTS: usize = 16;

/// Who closed the gate. Diagnostic.
#[repr(C)]
pub(crate) struct HolderRecord {
    pub(crate) pid: AtomicU32,
    pub(crate) comm: Text<4>,
    pub(crate) label: Text<8>,
    pub(crate) since: Wide,
    pub(crate) token: Wide,
}

/// A writer that was lost inside a share. Diagnostic.
#[repr(C)]
pub(crate) struct LostRecord {
    pub(crate) pid: AtomicU32,
    pub(crate) comm: Text<4>,
    pub(crate) label: Text<8>,
    pub(crate) when: Wide,
    reserved: AtomicU32,
}

/// Lost writers that the ring remembers.
pub(crate) const LOST: u32 = 32;

/// The dirty epoch.
#[repr(C)]
pub(crate) struct DirtyRecord {
    /// Grows by at least one for every writer that was lost inside a share. Never shrinks.
    pub(crate) epoch: AtomicU32,
    /// The epoch that somebody has looked at and taken the store for repaired.
    pub(crate) acknowledged: AtomicU32,
    reserved: [AtomicU32; 14],
    pub(crate) ring: [LostRecord; LOST as usize],
    /// Where each of them had taken its share.
    pub(crate) taken_at: [TakenAt; LOST as usize],
}

/// Counters, and what pacing needs to know of the last pause.
#[repr(C)]
pub(crate) struct StatsRecord {
    pub(crate) pauses: AtomicU32,
    pub(crate) revocations: AtomicU32,
    pub(crate) drain_timeouts: AtomicU32,
    /// 1: the last closing ended without a grant.
    pub(crate) last_failed: AtomicU32,
    /// Microseconds from the last closing to its opening.
    pub(crate) last_length: AtomicU32,
    /// Microseconds of the last pause that was granted.
    pub(crate) last_pause: AtomicU32,
    /// Milliseconds of the monotonic clock when the gate was last opened.
    pub(crate) last_opened: Wide,
    /// How many pauses were of each class of lengths: see `stats`.
    pub(crate) lengths: [AtomicU32; 16],
    /// Microseconds of all pauses.
    pub(crate) total: Wide,
}

/// A pause that one process keeps and another ends: see `freeze`.
#[repr(C)]
pub(crate) struct FreezeRecord {
    /// The generation that the last keeper closed; 0: there was none.
    pub(crate) frozen: AtomicU32,
    /// A number drawn for that pause, which tells it from every other one, of any boot.
    pub(crate) token: [AtomicU32; 4],
    /// The generation that somebody asks the keeper to open. The keeper sleeps on it.
    pub(crate) asked: Futex,
    /// The last generation that a keeper opened because it was asked to, with its certificate; the one after it for as
    /// long as it asks others whether they held, too.
    pub(crate) thawed: AtomicU32,
}

/// A slot that nobody owns.
pub(crate) const KIND_FREE: u32 = 0;
/// A slot of one thread: its word grows by one at each enter and each leave.
pub(crate) const KIND_THREAD: u32 = 1;
/// A slot that a process's threads count in: its word is `2n - 1` for n shares, 0 for none.
pub(crate) const KIND_COUNTED: u32 = 2;
/// A slot of `stillpoint run`, kept alive by a descriptor that its command inherits.
pub(crate) const KIND_COMMAND: u32 = 3;

/// The owner may end inside its share without leaving a dirty mark.
pub(crate) const FLAG_UNWATCHED: u32 = 1;
/// The owner was started under somebody's share or pause and may be inside while the gate is closed.
/// Nobody else can be, so that at the release only such a slot's odd word needs an explanation.
pub(crate) const FLAG_MAY_BE_COVERED: u32 = 2;
/// The owner enters without a fence. Diagnostic: a flag may be seen later than what it speaks of.
pub(crate) const FLAG_UNFENCED: u32 = 4;

/// The record of one writer.
#[repr(C)]
pub(crate) struct Slot {
    /// Odd while the owner is inside a share. Only the owner changes it, or whoever holds the
    /// life byte after him.
    pub(crate) word: AtomicU32,
    pub(crate) kind: AtomicU32,
    pub(crate) flags: AtomicU32,
    pub(crate) pid: AtomicU32,
    pub(crate) tid: AtomicU32,
    pub(crate) comm: Text<4>,
    pub(crate) label: Text<8>,
    /// Milliseconds of the monotonic clock since when the owner waits at the gate; 0: it does not.
    pub(crate) waiting_since: Wide,
    /// The odd word that a draining tool last saw here, and when it saw it first.
    pub(crate) seen_word: AtomicU32,
    pub(crate) seen_since: Wide,
    /// Where the owner has taken its outermost share.
    pub(crate) taken_at: TakenAt,
}

/// The parts of a mapped barrier. The pointer leads to [`FILE_SIZE`] mapped bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts(*const u8);

// SAFETY: the bytes behind the pointer are only ever accessed through atomics.
unsafe impl Send for Parts {}
// SAFETY: as above.
unsafe impl Sync for Parts {}

impl Parts {
    /// # Safety
    /// `start` leads to [`FILE_SIZE`] bytes, aligned to a page, that stay mapped for as long as any
    /// reference got from here is used.
    pub(crate) unsafe fn new(start: *const u8) -> Self {
        Parts(start)
    }

    /// # Safety
    /// A `T` made of atomics lies at `offset`, inside the file.
    unsafe fn at<'map, T>(self, offset: u32) -> &'map T {
        // SAFETY: `new` promised the bytes and their alignment, the caller the rest; every bit
        // pattern is a valid atomic.
        unsafe { &*self.0.add(offset as usize).cast::<T>() }
    }

    pub(crate) fn header<'map>(self) -> &'map Header {
        // SAFETY: the header lies at the start; it consists of atomics only.
        unsafe { self.at(0) }
    }

    pub(crate) fn gate<'map>(self) -> &'map Gate {
        // SAFETY: the offsets are checked below; the gate consists of atomics only.
        unsafe { self.at(GATE_OFFSET) }
    }

    pub(crate) fn holder<'map>(self) -> &'map HolderRecord {
        // SAFETY: as for the gate.
        unsafe { self.at(HOLDER_OFFSET) }
    }

    pub(crate) fn dirty<'map>(self) -> &'map DirtyRecord {
        // SAFETY: as for the gate.
        unsafe { self.at(DIRTY_OFFSET) }
    }

    pub(crate) fn stats<'map>(self) -> &'map StatsRecord {
        // SAFETY: as for the gate.
        unsafe { self.at(STATS_OFFSET) }
    }

    pub(crate) fn freeze<'map>(self) -> &'map FreezeRecord {
        // SAFETY: as for the gate.
        unsafe { self.at(FREEZE_OFFSET) }
    }

    /// Whether this is not the file any more: see [`CUT_OFF`].
    pub(crate) fn is_cut_off(self) -> bool {
        let magic = self.header().magic.each_ref().map(|half| half.load(Ordering::Relaxed));
        magic == Parts::halves(CUT_OFF)
    }

    /// Says so, of memory that is to take the place of a map.
    pub(crate) fn mark_cut_off(self) {
        for (half, of_mark) in self.header().magic.iter().zip(Parts::halves(CUT_OFF)) {
            half.store(of_mark, Ordering::Relaxed);
        }
        self.gate().supersede();
    }

    fn halves(magic: [u8; 8]) -> [u32; 2] {
        let [a, b, c, d, e, f, g, h] = magic;
        [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
    }

    /// All slots.
    pub(crate) fn slots<'map>(self) -> &'map [Slot; SLOTS as usize] {
        // SAFETY: the slots fill the file from their offset to its end; atomics only.
        unsafe { self.at(SLOTS_OFFSET) }
    }

    /// The words of all slots.
    pub(crate) fn words<'map>(self) -> impl Iterator<Item = &'map AtomicU32> {
        self.slots().iter().map(|slot| &slot.word)
    }
}

/// The file is made of `u32`, so that processes of every width share it: the places are fixed.
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Header>() <= 4096);
    assert!(offset_of!(Header, uuid) == 40 && offset_of!(Header, boot_id) == 56);
    assert!(offset_of!(Header, kernels_boot) == 76 && offset_of!(Header, seen_boots) == 100);
    assert!(offset_of!(Header, alone) == 356 && offset_of!(Header, left) == 392);
    assert!(size_of::<Gate>() == 128 && GATE_OFFSET + 128 == HOLDER_OFFSET);
    assert!(offset_of!(Gate, limit) == 16);
    assert!(size_of::<HolderRecord>() == 68 && HOLDER_OFFSET + 128 == DIRTY_OFFSET);
    assert!(size_of::<LostRecord>() == 64 && offset_of!(DirtyRecord, ring) == 64);
    assert!(size_of::<TakenAt>() == 40 && offset_of!(DirtyRecord, taken_at) == 2112);
    assert!(offset_of!(Slot, taken_at) == 88);
    assert!(DIRTY_OFFSET as usize + size_of::<DirtyRecord>() <= STATS_OFFSET as usize);
    assert!(offset_of!(StatsRecord, last_opened) == 24 && offset_of!(StatsRecord, lengths) == 32);
    assert!(offset_of!(StatsRecord, total) == 96 && size_of::<StatsRecord>() == 104);
    assert!(STATS_OFFSET as usize + size_of::<StatsRecord>() <= FREEZE_OFFSET as usize);
    assert!(FREEZE_OFFSET as usize + size_of::<FreezeRecord>() <= SLOTS_OFFSET as usize);
    assert!(size_of::<Slot>() == SLOT_SIZE as usize);
    assert!(FILE_SIZE % 4096 == 0);
};
