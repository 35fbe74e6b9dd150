//! Bytes that nobody should have written, and where they hurt.
//!
//! A fuzzer's input is decoded into *edits* of a barrier file. Random offsets would nearly all land in
//! slots that nobody owns, so an edit names a region first and a place in it second, and its bytes are
//! often small words or small steps away from what stands there: a generation that moves on by one is
//! worse than one that is random. The numbers here repeat the layout of the file on purpose: they are
//! the second opinion that the layout is judged by.

use arbitrary::Arbitrary;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Bytes of a barrier file.
pub const FILE_SIZE: u32 = 540_672;
/// Slots of a barrier.
pub const SLOTS: u32 = 4096;
/// The first slot of a process; those before it are for threads.
pub const COUNTED: u32 = 3072;
/// Where the gate lies.
pub const GATE: u32 = 4096;
/// Where the record of the holder lies.
pub const HOLDER: u32 = 4224;
/// Where the dirty record lies: epoch and acknowledged epoch first.
pub const DIRTY: u32 = 4352;
/// Where the statistics lie, the record that pacing believes among them.
pub const STATS: u32 = 8192;
/// `last_failed` and `last_length` in the statistics.
pub const PACING: u32 = STATS + 12;
/// Where the slots lie.
pub const SLOTS_AT: u32 = 16384;
/// Bytes of a slot.
pub const SLOT_SIZE: u32 = 128;

/// Where a slot lies.
pub fn slot_at(slot: u32) -> u32 {
    SLOTS_AT + slot % SLOTS * SLOT_SIZE
}

/// A part of the file.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Region {
    /// Magic, version, geometry, ids.
    Header,
    /// The words that decide.
    Gate,
    /// Who closed the gate.
    Holder,
    /// The epochs and the ring of the lost.
    Dirty,
    /// Counters, and what pacing believes.
    Stats,
    /// One of the slots that are most likely owned: the first ones of threads and of processes.
    Owned(u8),
    /// Any slot.
    Slot(u16),
    /// The word of any slot.
    Word(u16),
    /// Anywhere at all.
    Anywhere(u32),
}

/// What is written.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Value {
    /// One byte.
    Byte(u8),
    /// A word.
    Word(u32),
    /// A word that may have a meaning: a kind, a flag, a count.
    Small(u8),
    /// What stands there, and a little more or less.
    Step(i8),
    /// The word with every bit set, or none.
    Extreme(bool),
    /// The same byte many times.
    Fill(u8, u16),
}

/// One stretch of bytes that is overwritten.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Edit {
    region: Region,
    at: u8,
    value: Value,
}

impl Edit {
    /// Where it begins, at most `FILE_SIZE - 4`.
    fn offset(self) -> u32 {
        let at = u32::from(self.at);
        let offset = match self.region {
            Region::Header => at % 80,
            // The words themselves are five.
            Region::Gate => GATE + at % 20,
            Region::Holder => HOLDER + at % 128,
            Region::Dirty => DIRTY + at * 9,
            Region::Stats => STATS + at % 36,
            Region::Owned(slot) => {
                let first = if slot & 1 == 0 { 0 } else { COUNTED };
                // Mostly what is at the beginning: the word, the kind, the flags.
                let at = if slot & 0xc0 == 0 { at % SLOT_SIZE } else { at % 12 };
                slot_at(first + u32::from(slot >> 1) % 4) + at
            }
            Region::Slot(slot) => slot_at(slot.into()) + at % SLOT_SIZE,
            Region::Word(slot) => slot_at(slot.into()),
            Region::Anywhere(at) => at,
        };
        // A word of its own, unless the value is a byte: what is read is words.
        let offset = if matches!(self.value, Value::Byte(_)) { offset } else { offset & !3 };
        offset.min(FILE_SIZE - 4)
    }

    /// The bytes that it overwrites, as offsets in the file.
    pub fn range(self) -> std::ops::Range<u32> {
        let length = match self.value {
            Value::Byte(_) => 1,
            Value::Fill(_, length) => u32::from(length).clamp(1, 2048),
            _ => 4,
        };
        let offset = self.offset();
        offset..(offset + length).min(FILE_SIZE)
    }

    /// Writes the bytes into the file, which it never makes longer than a barrier.
    pub fn apply(self, file: &File) -> std::io::Result<()> {
        let range = self.range();
        let at = u64::from(range.start);
        match self.value {
            Value::Byte(byte) => file.write_all_at(&[byte], at),
            Value::Word(word) => file.write_all_at(&word.to_ne_bytes(), at),
            Value::Small(word) => file.write_all_at(&u32::from(word % 5).to_ne_bytes(), at),
            Value::Extreme(set) => file.write_all_at(&[if set { 0xff } else { 0 }; 4], at),
            Value::Step(step) => {
                let word = read_word(file, range.start).wrapping_add_signed(step.into());
                file.write_all_at(&word.to_ne_bytes(), at)
            }
            Value::Fill(byte, _) => file.write_all_at(&vec![byte; range.len()], at),
        }
    }
}

/// The word at a place of the file; 0 beyond its end.
pub fn read_word(file: &File, at: u32) -> u32 {
    let mut bytes = [0; 4];
    let read = file.read_exact_at(&mut bytes, at.into());
    read.map_or(0, |()| u32::from_ne_bytes(bytes))
}

/// A folder for this process, where temporary files are kept.
pub fn folder(target: &str) -> PathBuf {
    let name = format!("stillpoint-fuzz-{target}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    folder
}
