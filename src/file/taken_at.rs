//! Where a share was taken, for everybody to see: a line of source code, in the slot of its thread.
//!
//! The text is copied only when the thread takes a share at another line than the last time, which the
//! fast path finds out by one comparison with what the seat keeps. It is copied while the slot's word
//! is still even, so whoever dies inside has said where, and whoever reads the same odd word before and
//! after the text has read that share's. A nested share changes nothing: the outermost one is what a tool
//! waits for. Only if a signal handler takes a share in the few instructions between the comparison and the
//! mark does the interrupted one go by the handler's line.
//!
//! The bytes are for people. Nothing is decided by them, no address or length is read from them, and they
//! are made printable as every text of the file is; so they are no part of the protocol that the models
//! check. What stands here was written by the present owner or is not shown: a library that knows
//! nothing of these bytes leaves the last owner's, whose number of a thread then is another.
//!
//! Shares that are counted in one word have no line: which of them is lost nobody can tell. A command's
//! share says by its label what it runs.

use crate::file::layout::{Slot, Text};
use crate::gate::sync::{AtomicU32, Ordering, fence};
use crate::system::source_line::SourceLine;

/// Bytes of the text.
const LONGEST: usize = 4 * WORDS;
const WORDS: usize = 9;

/// A line, as `FILE:LINE`, with as much of the end of the file's path as there is room for. Empty:
/// unknown. Diagnostic.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TakenAt {
    /// Whom it is about: in a slot the owner's thread id, in the record of a loss the epoch.
    of: AtomicU32,
    text: Text<WORDS>,
}

impl TakenAt {
    /// Nothing is known yet of this one.
    pub(crate) fn begin(&self, of: u32) {
        self.write(of, "");
    }

    pub(crate) fn write(&self, of: u32, text: &str) {
        self.text.set(text);
        self.of.store(of, Ordering::Relaxed);
    }

    /// The line from now on.
    pub(crate) fn set(&self, place: SourceLine) {
        let mut text = [0; LONGEST];
        let length = place.parts().map_or(0, |(file, line)| format(file, line, &mut text));
        self.text.set_bytes(&text[..length]);
        // Whoever sees the word that comes next sees this.
        fence(Ordering::Release);
    }

    /// What is known of this one; empty: nothing.
    pub(crate) fn read(&self, of: u32) -> String {
        if self.of.load(Ordering::Relaxed) == of { self.text.get() } else { String::new() }
    }
}

impl Slot {
    /// Where the share with this odd word was taken; empty: unknown, or it has ended.
    pub(crate) fn taken_at(&self, word: u32) -> String {
        let text = self.taken_at.read(self.tid.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if self.word.load(Ordering::Relaxed) == word { text } else { String::new() }
    }
}

/// Writes the line, and what there is room for of the end of the file's path: whole names if so much as
/// the last one fits. Gives the length. Without memory of its own: it is called where there may be none.
fn format(file: &[u8], line: u32, to: &mut [u8; LONGEST]) -> usize {
    let digits = line.checked_ilog10().unwrap_or(0) as usize + 1;
    let room = LONGEST - 1 - digits;
    let mut start = file.len().saturating_sub(room);
    if start > 0 {
        let slash = file[start - 1..].iter().position(|byte| *byte == b'/');
        let character = || file[start..].iter().position(|byte| byte & 0xc0 != 0x80);
        start += slash.or_else(character).unwrap_or(0);
    }
    let name = &file[start..];
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

    fn text(file: &str, line: u32) -> String {
        let mut bytes = [0; LONGEST];
        let length = format(file.as_bytes(), line, &mut bytes);
        assert!(bytes[length..].iter().all(|byte| *byte == 0));
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_end_of_a_path_is_kept_in_whole_names() {
        assert_eq!(text("deliver.c", 0), "deliver.c:0");
        assert_eq!(text("deliver.c", 120), "deliver.c:120");
        assert_eq!(text("", u32::MAX), ":4294967295");
        let long = "/home/build/mail-4.2/src/delivery/local/maildir.c";
        assert_eq!(text(long, 9), "src/delivery/local/maildir.c:9");
        assert_eq!(text(long, 10_000_000), "delivery/local/maildir.c:10000000");
        // As long as there is room for, and begun in front of a name.
        let fits = "1234567890/2345678901/34567890.c";
        assert_eq!(text(fits, 100), format!("{fits}:100"));
        assert_eq!(text(&format!("x/{fits}"), 100), format!("{fits}:100"));
        assert_eq!(text(&format!("x{fits}"), 100), "2345678901/34567890.c:100");
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
