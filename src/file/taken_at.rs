//! Where a share was taken, for everybody to see: a line of source code, in the slot of its thread.
//!
//! A reader is shown the line or nothing, never another one. Before its word is odd, a share says of which
//! word the text is:
//!
//! ```text
//!   of = the word that will be odd | the text, if it is another line | word = odd
//! ```
//!
//! The text is copied only when the thread takes a share at another line than the last time, which the
//! fast path finds out by one comparison with what the seat keeps. A nested share changes nothing: the
//! outermost one is what a tool waits for.
//!
//! Whoever dies inside has said where. Whoever dies before has an even word, whatever the text is, and so has
//! one who is in the middle of changing it. A signal handler that strikes there says its own line, of a word
//! of its own: if the interrupted enter then publishes its word for the moment until it starts over, the text,
//! which may be half of this line and half of that, is of another one. A library that knows nothing of these
//! bytes leaves them as the last owner had them, of a word that is past.
//!
//! The bytes are for people. Nothing is decided by them, no address or length is read from them, and they
//! are made printable as every text of the file is; so they are no part of the protocol that the models
//! check.
//!
//! Shares that are counted in one word have no line: which of them is lost nobody can tell. A command's
//! share says by its label what it runs. Their words may be those of a thread that had the slot.

use crate::file::layout::{KIND_THREAD, Slot, Text};
use crate::gate::sync::{AtomicU32, Ordering, fence};
use crate::system::source_line::SourceLine;
use std::mem::offset_of;

/// Bytes of the text.
const LONGEST: usize = 4 * WORDS;
const WORDS: usize = 9;

/// A line, as `FILE:LINE`, with as much of the end of the file's path as there is room for. Empty:
/// unknown. Diagnostic.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TakenAt {
    /// What it is the line of: in a slot the odd word, in the record of a loss the epoch.
    of: AtomicU32,
    text: Text<WORDS>,
}

impl TakenAt {
    /// Where it says so.
    pub(crate) const OF: usize = offset_of!(TakenAt, of);

    /// What stands here is the line of this one, or will be before anybody may know it.
    #[inline(always)]
    pub(crate) fn is_of(&self, this: u32) {
        self.of.store(this, Ordering::Relaxed);
    }

    /// It is the line of nothing, before it changes.
    pub(crate) fn is_of_none(&self) {
        self.is_of(0);
        fence(Ordering::Release);
    }

    /// The line from now on.
    pub(crate) fn set(&self, place: SourceLine) {
        let mut text = [0; LONGEST];
        let length = place.parts().map_or(0, |(file, line)| format(file, line, &mut text));
        self.text.set_bytes(&text[..length]);
        // Whoever sees the word that comes next sees this.
        fence(Ordering::Release);
    }

    /// Of a loss, whose epoch others see already.
    pub(crate) fn write(&self, of: u32, text: &str) {
        self.is_of(!of);
        fence(Ordering::Release);
        self.text.set_bytes(end(text.as_bytes(), LONGEST));
        self.of.store(of, Ordering::Release);
    }

    /// The line of this one; empty: unknown.
    pub(crate) fn read(&self, of: u32) -> String {
        let is_known = || self.of.load(Ordering::Acquire) == of;
        let text = if is_known() { self.text.get() } else { String::new() };
        fence(Ordering::Acquire);
        if is_known() { text } else { String::new() }
    }
}

impl Slot {
    /// Where the share with this odd word was taken; empty: unknown, or it has ended.
    pub(crate) fn taken_at(&self, word: u32) -> String {
        let text = self.taken_at.read(word);
        let is_its = self.word.load(Ordering::Relaxed) == word
            && self.kind.load(Ordering::Relaxed) == KIND_THREAD;
        if is_its { text } else { String::new() }
    }
}

/// What there is room for of the end of a path: whole names if so much as the last one fits.
fn end(path: &[u8], room: usize) -> &[u8] {
    let mut start = path.len().saturating_sub(room);
    if start > 0 {
        let slash = path[start - 1..].iter().position(|byte| *byte == b'/');
        let character = || path[start..].iter().position(|byte| byte & 0xc0 != 0x80);
        start += slash.or_else(character).unwrap_or(0);
    }
    &path[start..]
}

/// Writes the line, and what there is room for of the end of the file's path. Gives the length. Without
/// memory of its own: it is called where there may be none.
fn format(file: &[u8], line: u32, to: &mut [u8; LONGEST]) -> usize {
    if line == 0 {
        let name = end(file, LONGEST);
        to[..name.len()].copy_from_slice(name);
        return name.len();
    }
    let digits = line.checked_ilog10().unwrap_or(0) as usize + 1;
    let name = end(file, LONGEST - 1 - digits);
    to[..name.len()].copy_from_slice(name);
    to[name.len()] = b':';
    let mut rest = line;
    for digit in to[name.len() + 1..][..digits].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name.len() + 1 + digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A share's, and a loss's that is told the whole path.
    fn text(file: &str, line: u32) -> String {
        let mut bytes = [0; LONGEST];
        let length = format(file.as_bytes(), line, &mut bytes);
        assert!(bytes[length..].iter().all(|byte| *byte == 0));
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        // SAFETY: it consists of atomics only.
        let record: TakenAt = unsafe { std::mem::zeroed() };
        let whole = if line == 0 { file.into() } else { format!("{file}:{line}") };
        record.write(7, &whole);
        assert_eq!((record.read(7), record.read(8)), (text.clone(), String::new()));
        text
    }

    #[test]
    fn the_end_of_a_path_is_kept_in_whole_names() {
        assert_eq!(text("deliver.c:7", 0), "deliver.c:7", "it has its line");
        assert_eq!(text("deliver.c", 120), "deliver.c:120");
        assert_eq!(text("", u32::MAX), ":4294967295");
        let long = "/home/build/mail-4.2/src/delivery/local/maildir.c";
        assert_eq!(text(long, 9), "src/delivery/local/maildir.c:9");
        assert_eq!(text(&format!("{long}:9"), 0), "src/delivery/local/maildir.c:9");
        assert_eq!(text(long, 10_000_000), "delivery/local/maildir.c:10000000");
        // As long as there is room for, and begun in front of a name.
        let fits = "1234567890/2345678901/34567890.c";
        assert_eq!(text(fits, 100), format!("{fits}:100"));
        assert_eq!(text(&format!("x/{fits}"), 100), format!("{fits}:100"));
        assert_eq!(text(&format!("x{fits}"), 100), "2345678901/34567890.c:100");
    }

    #[test]
    fn a_share_that_has_ended_has_none() {
        // SAFETY: it consists of atomics only.
        let slot: Slot = unsafe { std::mem::zeroed() };
        slot.kind.store(KIND_THREAD, Ordering::Relaxed);
        slot.taken_at.write(5, "deliver.c:212");
        slot.word.store(5, Ordering::Relaxed);
        assert_eq!((&*slot.taken_at(5), &*slot.taken_at(3)), ("deliver.c:212", ""));
        slot.word.store(6, Ordering::Relaxed);
        assert_eq!((&*slot.taken_at(5), &*slot.taken_at(6)), ("", ""));
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_between_characters() {
        let long = "ä".repeat(40);
        assert_eq!(text(&long, 10), format!("{}:10", "ä".repeat(16)));
        assert_eq!(text(&long, 1), format!("{}:1", "ä".repeat(17)));
        assert_eq!(text(&"x".repeat(40), 1), format!("{}:1", "x".repeat(34)));
        assert_eq!(text(&format!("{}/", "x".repeat(40)), 1), ":1");
    }
}
