//! Which boot a barrier file is of.
//!
//! What another boot left in the file means nothing, and whoever was inside was lost: it has to be made
//! ready, and the dirty epoch grows. The kernel tells its boots apart by an id, but a container may be
//! shown one of its own, by a file mounted over the kernel's, and a process without /proc is shown none.
//! So an id alone decides little:
//!
//! | what is known | the file is of |
//! |---|---|
//! | the id was seen in this file before | this boot: no id ever comes again |
//! | now and then it was the kernel's own, and they differ | another boot |
//! | the file lies in memory: tmpfs, ramfs | this boot, which it would not have outlived |
//! | somebody else holds the members byte or X | this boot: it was made ready before he joined |
//! | none of that | another boot, for all that can be told: a needless mark is repaired, a missing one is not |
//!
//! The last row is a disk on which nobody has the file open, and an id that is new there: a container's
//! that was started since. Every id is noted once it is known to be of this boot, so each container
//! costs one mark at most, and none if anybody else is there when it first comes. flock(2) proves
//! nothing: a script may take it before the first process has looked at what another boot left.
//!
//! A process that sees no id, alone with a file on a disk, changes nothing but leaves a note: that
//! somebody has joined who could not tell. The next one that can tell does not take its presence for a
//! proof then.

use crate::error::Error;
use crate::file::layout::{Header, Parts, SEEN_BOOTS};
use crate::file::losses::Loss;
use crate::file::open::is_memory;
use crate::gate::sync::{AtomicU32, Ordering, step};
use crate::system::standard;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Where the kernel says which boot this is: random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// More than an id takes.
const LONGEST: usize = 64;

/// What this process is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BootId {
    pub(crate) words: [u32; 4],
    /// Whether it is the kernel's own.
    pub(crate) is_kernels: bool,
}

/// The id of this boot; `None` where that cannot be known: a chroot without /proc, say.
///
/// A file that is there and cannot be read is an error. Who took that for not knowing would overlook
/// what another boot left.
pub(crate) fn this(path: &Path) -> Result<Option<BootId>, Error> {
    let _standard = standard::keep();
    let file = match File::open(BOOT_ID) {
        Ok(file) => file,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(None),
                _ => Err(Error::system("open of boot_id", path, error)),
            };
        }
    };
    let mut text = Vec::with_capacity(LONGEST);
    let read = (&file).take(LONGEST as u64).read_to_end(&mut text);
    read.map_err(|error| Error::system("read of boot_id", path, error))?;
    let found = fstatfs(&file).map_err(|error| Error::system("fstatfs of boot_id", path, error))?;
    let digits = text.into_iter().map(char::from);
    let hex: String = digits.filter(char::is_ascii_hexdigit).collect();
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok();
    let words = (|| Some([word(0)?, word(8)?, word(16)?, word(24)?]))();
    let is_kernels = found.filesystem_type() == PROC_SUPER_MAGIC;
    Ok(words.filter(|words| *words != [0; 4]).map(|words| BootId { words, is_kernels }))
}

/// The same, for who makes a barrier: one of an unknown boot would look left over to everybody else.
pub(crate) fn known(path: &Path) -> Result<BootId, Error> {
    this(path)?.ok_or_else(|| {
        let reason = format!("{BOOT_ID} cannot be read");
        Error::Create { path: path.into(), source: io::Error::other(reason) }
    })
}

/// Whether the file ends with the boot.
pub(crate) fn is_in_memory(file: &File, path: &Path) -> Result<bool, Error> {
    let found = fstatfs(file).map_err(|errno| Error::system("fstatfs", path, errno))?;
    Ok(is_memory(&found))
}

fn load(words: &[AtomicU32; 4]) -> [u32; 4] {
    std::array::from_fn(|index| words[index].load(Ordering::Relaxed))
}

fn store(words: &[AtomicU32; 4], values: [u32; 4]) {
    for (word, value) in words.iter().zip(values) {
        word.store(value, Ordering::Release);
    }
}

impl Header {
    /// Whether the id stands anywhere in the header.
    fn knows(&self, words: [u32; 4]) -> bool {
        let mut seen = self.seen_boots.iter();
        load(&self.boot_id) == words
            || load(&self.kernels_boot) == words
            || seen.any(|seen| load(seen) == words)
    }

    /// Notes an id that is of the file's boot. Two at once may spoil one another's note, which costs a
    /// needless mark.
    fn note(&self, boot: &BootId) {
        if boot.is_kernels {
            return store(&self.kernels_boot, boot.words);
        }
        let next = self.seen_next.fetch_add(1, Ordering::Relaxed) as usize % SEEN_BOOTS;
        store(&self.seen_boots[next], boot.words);
    }
}

impl Parts {
    /// Whether the file is of this boot, for all that can be told without asking who is there.
    pub(crate) fn is_of(self, boot: Option<&BootId>, in_memory: bool) -> bool {
        let (header, Some(boot)) = (self.header(), boot) else { return in_memory };
        let differs = boot.is_kernels && load(&header.kernels_boot) != [0; 4];
        header.knows(boot.words) || in_memory && !differs
    }

    /// Whoever has joined notes the id that he is shown, if it is new here: he knows by now that the
    /// file is of this boot. He may know it from others alone, of whom one could not tell.
    pub(crate) fn note_boot(self, boot: Option<&BootId>) {
        let header = self.header();
        let Some(boot) = boot else { return };
        let knows = header.knows(boot.words);
        if header.unsure.load(Ordering::Acquire) != 0 {
            if !knows {
                self.dirty().raise(&Loss::of_nobody("restart"));
            }
            header.unsure.store(0, Ordering::Release);
            step("boot: made sure");
        }
        if !knows {
            header.note(boot);
        }
    }

    /// Leaves a note that somebody has joined who could not tell which boot this is.
    pub(crate) fn note_unsure(self) {
        self.header().unsure.store(1, Ordering::Release);
    }

    /// Forgets every id: what stood there was garbage.
    pub(crate) fn forget_boots(self) {
        let header = self.header();
        header.seen_boots.iter().for_each(|seen| store(seen, [0; 4]));
        [&header.boot_id, &header.kernels_boot].into_iter().for_each(|id| store(id, [0; 4]));
        header.seen_next.store(0, Ordering::Relaxed);
    }

    /// Makes the file one of this boot. Ids that were seen stay: one that comes again shows that the
    /// boot never ended.
    pub(crate) fn set_boot(self, boot: &BootId) {
        let header = self.header();
        let before = load(&header.boot_id);
        if before != [0; 4] && load(&header.kernels_boot) != before {
            header.note(&BootId { words: before, is_kernels: false });
        }
        if boot.is_kernels {
            header.note(boot);
        }
        header.unsure.store(0, Ordering::Release);
        store(&header.boot_id, boot.words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Barrier;

    #[test]
    fn what_an_id_says_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let parts = barrier.inner.attached().unwrap().parts;
        let boot = |number, is_kernels| BootId { words: [number; 4], is_kernels };
        let (host, container) = (boot(1, true), boot(2, false));
        let is_of = |boot: &BootId| [true, false].map(|memory| parts.is_of(Some(boot), memory));
        parts.forget_boots();
        parts.set_boot(&host);
        assert_eq!(is_of(&host), [true, true]);
        assert_eq!(is_of(&container), [true, false]);
        assert_eq!(is_of(&boot(3, true)), [false, false], "the kernel's own then and now");
        assert_eq!([true, false].map(|memory| parts.is_of(None, memory)), [true, false]);
        // A container makes it ready, wrongly; the host comes again, and others.
        parts.set_boot(&container);
        assert_eq!((is_of(&host), is_of(&container)), ([true, true], [true, true]));
        parts.note_boot(Some(&boot(4, false)));
        assert_eq!(is_of(&boot(4, false)), [true, true]);
        // Made by a container, of which the host can say nothing.
        parts.forget_boots();
        parts.set_boot(&container);
        assert_eq!(is_of(&host), [true, false]);
        parts.note_boot(Some(&host));
        assert_eq!(is_of(&host), [true, true]);
        // The oldest are forgotten, the kernel's never.
        (10..10 + SEEN_BOOTS as u32).for_each(|id| parts.note_boot(Some(&boot(id, false))));
        parts.set_boot(&boot(5, false));
        assert_eq!((is_of(&boot(10, false)), is_of(&host)), ([true, false], [true, true]));
        assert_eq!(barrier.dirty().epoch, 0);
    }

    #[test]
    fn who_could_not_tell_proves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let parts = barrier.inner.attached().unwrap().parts;
        let known = BootId { words: load(&parts.header().boot_id), is_kernels: false };
        parts.note_unsure();
        parts.note_boot(None);
        parts.note_boot(Some(&known));
        assert_eq!(barrier.dirty().epoch, 0, "the boot has not ended");
        parts.note_unsure();
        for id in 1..3 {
            parts.note_boot(Some(&BootId { words: [id; 4], is_kernels: false }));
            assert_eq!(barrier.dirty().epoch, 1, "once");
        }
    }
}
