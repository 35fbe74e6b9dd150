//! Making a barrier anew, and retiring it: what only somebody alone with the file may do.
//!
//! Every lifeline holds the members byte shared; whoever gets it exclusively is alone. He may clear
//! what another boot left (its locks are gone, so nothing in the slots means anything, and whoever
//! was inside was lost: the dirty epoch grows), rebuild a file whose bytes are garbage, or remove it.
//! Those who come meanwhile wait a bounded time and then look again from the start.

use crate::barrier::founding::Birth;
use crate::barrier::handle::Barrier;
use crate::barrier::status::Lost;
use crate::error::Error;
use crate::exclusive::guard::Dirty;
use crate::file::boot::{self, BootId};
use crate::file::layout::{
    FILE_SIZE, LOST, LockByte, MAGIC, MAJOR, MINOR, Parts, SLOT_SIZE, SLOTS, SLOTS_OFFSET,
};
use crate::file::open::{HeaderCopy, Identity, check_header, open_fresh};
use crate::gate::protocol::is_inside;
use crate::gate::sync::{AtomicU32, Ordering, step};
use crate::member::mapping::BarrierMap;
use crate::member::process::{self, Locked};
use crate::member::reclaim::Loss;
use crate::report::foreign;
use crate::report::writer::Writer;
use crate::succession::gathering::{Gathered, Gathering};
use crate::system::calls::{Mode, is_byte_free, lock_on, try_lock_byte};
use std::fs::File;
use std::path::Path;

/// Whether the file could be a barrier whose bytes were overwritten.
pub(crate) fn has_right_size(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.len() == u64::from(FILE_SIZE))
}

/// Whether somebody else is alone with the file, and so may be making it.
pub(crate) fn is_somebody_alone(file: &File) -> bool {
    lock_on(file, LockByte::Members) == Some(Mode::Exclusive)
}

/// Clears what an earlier boot left in the file, unless somebody has done so since its header was read,
/// or is there and so proves that it is of this boot. Whoever was alone is here to prove it as long as
/// he keeps the file open that is returned, and shall do so until he has joined.
pub(crate) fn after_restart(
    process: &Locked,
    path: &Path,
    identity: Identity,
    seen: &HeaderCopy,
    boot: Option<&BootId>,
) -> Result<Option<File>, Error> {
    let cleared = with_file_alone(process, path, identity, |file, parts| {
        if check_header(file, path)?.boot_id != seen.boot_id {
            return Ok(());
        }
        let Some(boot) = boot else {
            parts.note_unsure();
            return Ok(());
        };
        parts.dirty().raise(&Loss::of_nobody("restart"));
        step("restart: loss recorded");
        clear(parts);
        step("restart: cleared");
        parts.set_boot(boot);
        step("restart: of this boot");
        Ok(())
    });
    match cleared {
        Ok((file, ())) => {
            try_lock_byte(&file, LockByte::Members, Mode::Shared)
                .map_err(|source| Error::system("lock", path, source))?;
            step("restart: one of many");
            Ok(Some(file))
        }
        Err(Error::InUse { .. }) if is_joined(path, identity)? => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether somebody is there who joined in this boot: a member, or a tool that kept X through exec. One
/// who is alone with the file has joined nothing yet.
fn is_joined(path: &Path, identity: Identity) -> Result<bool, Error> {
    let (file, _) = open_fresh(path, true, Some(identity))?;
    Ok(match lock_on(&file, LockByte::Members) {
        Some(mode) => mode == Mode::Shared,
        None => lock_on(&file, LockByte::Exclusive).is_some(),
    })
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
        let numbers = [MAJOR, MINOR, 0, 0, SLOTS, SLOT_SIZE, SLOTS_OFFSET, FILE_SIZE];
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

/// Empties gate, holder, pacing, freeze and slots. The words stay even and the generation goes on.
fn clear(parts: Parts) {
    for slot in parts.slots() {
        let word = slot.word.load(Ordering::Relaxed);
        slot.word.store(word.wrapping_add(word & 1), Ordering::Relaxed);
        for field in [&slot.kind, &slot.flags, &slot.pid, &slot.tid, &slot.seen_word] {
            field.store(0, Ordering::Relaxed);
        }
        slot.waiting_since.set(0);
    }
    let gate = parts.gate();
    let generation = gate.now();
    gate.generation.word().store(generation.wrapping_add(generation & 1), Ordering::Release);
    for field in [&gate.wanted, &gate.waiters, &gate.limit, &parts.holder().pid] {
        field.store(0, Ordering::Relaxed);
    }
    let freeze = parts.freeze();
    let words = [&freeze.frozen, freeze.asked.word(), &freeze.thawed];
    for field in words.into_iter().chain(&freeze.token) {
        field.store(0, Ordering::Relaxed);
    }
    parts.stats().clear();
}

/// Runs `work` on the mapped file while nobody else has it open, and gives the file as well, with the
/// lock that says so. [`Error::InUse`] if somebody has.
fn with_file_alone<T>(
    _process: &Locked,
    path: &Path,
    identity: Identity,
    work: impl FnOnce(&File, Parts) -> Result<T, Error>,
) -> Result<(File, T), Error> {
    let (file, _) = open_fresh(path, true, Some(identity))?;
    let alone = try_lock_byte(&file, LockByte::Members, Mode::Exclusive)
        .map_err(|source| Error::system("lock", path, source))?;
    // A tool that left its pause to a command is no member any more.
    if !alone || !is_byte_free(&file, LockByte::Exclusive) {
        let writers = if alone { foreign::holders(identity) } else { Vec::new() };
        return Err(Error::InUse { path: path.into(), writers });
    }
    step("alone: locked");
    let map = BarrierMap::new(&file, path)?;
    let made = work(&file, map.parts())?;
    Ok((file, made))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two that are shown different ids meet at what another boot left.
    #[test]
    fn what_somebody_has_made_ready_meanwhile_is_ready() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.barrier");
        let barrier = Barrier::create(&path).unwrap();
        let identity = barrier.inner.place.identity;
        drop(barrier);
        let (file, _) = open_fresh(&path, true, Some(identity)).unwrap();
        let seen = check_header(&file, &path).unwrap();
        for id in 1..3 {
            let boot = BootId { words: [id; 4], is_kernels: false };
            let process = process::lock();
            after_restart(&process, &path, identity, &seen, Some(&boot)).unwrap();
        }
        assert_eq!(Barrier::open(&path).unwrap().dirty().epoch, 1);
    }
}
