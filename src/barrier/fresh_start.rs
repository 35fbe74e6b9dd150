//! Making a barrier anew, and retiring it.
//!
//! Only somebody who is alone with the file (see `alone`) may rebuild one whose bytes are garbage, or remove it.

use crate::barrier::founding::Birth;
use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::error::who::Writer;
use crate::file::boot;
use crate::file::features::Features;
use crate::file::layout::{FILE_SIZE, LOST, MAGIC, MAJOR, MINOR, SLOT_SIZE, SLOTS, SLOTS_OFFSET};
use crate::file::losses::{Dirty, Loss, Lost};
use crate::file::open::{Identity, check_header};
use crate::gate::protocol::is_inside;
use crate::gate::sync::{AtomicU32, Ordering, step};
use crate::member::alone::{clear, with_file_alone};
use crate::member::process;
use crate::report::foreign;
use crate::succession::gathering::{Gathered, Gathering};
use std::fs::File;
use std::path::Path;

/// Whether the file could be a barrier whose bytes were overwritten.
pub(crate) fn has_right_size(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.len() == u64::from(FILE_SIZE))
}

/// Makes a barrier of a file of the right size whose bytes are garbage. [`Error::Exists`] if somebody
/// has done so.
pub(crate) fn from_garbage(path: &Path, identity: Identity, birth: &Birth) -> Result<(), Error> {
    let (uuid, boot) = (birth.uuid(path)?, boot::known(path)?);
    let _ = process::incarnation();
    let process = process::lock();
    let made = with_file_alone(&process, path, identity, |file, parts| {
        if check_header(file, path).is_ok() {
            return Err(Error::Exists { path: path.into() });
        }
        clear(parts);
        step("anew: cleared");
        let (header, dirty) = (parts.header(), parts.dirty());
        for epoch in 0..LOST {
            dirty.write(epoch, &Loss::of_nobody(""), None);
        }
        dirty.epoch.store(birth.epoch, Ordering::Relaxed);
        dirty.acknowledged.store(birth.acknowledged, Ordering::Relaxed);
        dirty.raise(&Loss::of_nobody("overwritten"));
        step("anew: loss recorded");
        let Features { incompat, compat } = Features::of_new(birth.fences);
        let numbers = [MAJOR, MINOR, incompat, compat, SLOTS, SLOT_SIZE, SLOTS_OFFSET, FILE_SIZE];
        let fields = [
            &header.major,
            &header.minor,
            &header.incompat,
            &header.compat,
            &header.slots,
            &header.slot_size,
            &header.slots_offset,
            &header.file_size,
        ];
        for (field, number) in fields.into_iter().zip(numbers) {
            field.store(number, Ordering::Relaxed);
        }
        set(&header.uuid, uuid);
        parts.forget_boots();
        parts.set_boot(&boot);
        header.readmit.store(birth.readmit, Ordering::Relaxed);
        step("anew: complete but for its first bytes");
        let half = |at: usize| {
            u32::from_ne_bytes([MAGIC[at], MAGIC[at + 1], MAGIC[at + 2], MAGIC[at + 3]])
        };
        set(&header.magic, [half(0), half(4)]);
        step("anew: complete");
        Ok(())
    });
    made.map(drop)
}

fn set<const N: usize>(fields: &[AtomicU32; N], values: [u32; N]) {
    for (field, value) in fields.iter().zip(values) {
        field.store(value, Ordering::Release);
    }
}

/// Counts the losses that nobody has met, and removes the file, if nobody else has it open. Whoever is
/// about to join waits for the members byte, finds the file gone, and says that there is no barrier.
pub(crate) fn retire(barrier: Barrier) -> Result<(Dirty, Vec<Lost>), Error> {
    let (inner, attachment) = barrier.at_its_path()?;
    let (path, identity) = (inner.place.path.clone(), inner.place.identity);
    if let Gathered::Not(users) = Gathering::default().attempt(inner, attachment.parts) {
        return Err(Error::Stragglers { path, users });
    }
    let (own, others): (Vec<Writer>, Vec<Writer>) = (barrier.status()?.writers.iter())
        .filter(|writer| writer.alive)
        .map(Writer::from)
        .partition(|writer| writer.pid == std::process::id());
    drop(barrier);
    let process = process::lock();
    let retired = with_file_alone(&process, &path, identity, |file, parts| {
        match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let writers = foreign::holders(identity);
                return Err(Error::InUse { path: path.clone(), writers });
            }
            Err(source) => return Err(Error::system("flock", &path, source)),
        }
        // Nobody lives here, so whoever is still inside has died there, and no tool has met him yet.
        for slot in parts.slots() {
            if is_inside(slot.word.load(Ordering::Acquire)) {
                slot.settle(parts.dirty());
            }
        }
        step("retire: losses recorded");
        std::fs::remove_file(&path).map_err(|source| {
            let needs = "only who may write to its folder can retire it";
            Error::refused("unlink", &path, source, needs)
        })?;
        step("retire: removed");
        let last = parts.dirty().now();
        Ok((last, parts.dirty().lost(last)))
    });
    match retired {
        Err(Error::InUse { path, writers }) if writers.is_empty() => {
            // If nobody else: another handle in this very process.
            Err(Error::InUse { path, writers: if others.is_empty() { own } else { others } })
        }
        result => result.map(|(_, last)| last),
    }
}
