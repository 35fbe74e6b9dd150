//! Alone with a file: what nobody may do while others have it open.
//!
//! Every lifeline holds the members byte shared; whoever gets it exclusively is alone. He may clear what another boot
//! left: its locks are gone, so nothing in the slots means anything, and whoever was inside was lost: the dirty epoch
//! grows. Those who come meanwhile wait a bounded time and then look again from the start.

use crate::error::Error;
use crate::file::boot::BootId;
use crate::file::byte_lock::{Mode, is_byte_free, lock_on, try_lock_byte};
use crate::file::layout::{LockByte, Parts};
use crate::file::losses::Loss;
use crate::file::open::{HeaderCopy, Identity, check_header, open_fresh};
use crate::gate::sync::{Ordering, step};
use crate::member::mapping::BarrierMap;
use crate::member::process::Locked;
use crate::report::foreign;
use std::fs::File;
use std::path::Path;

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
        parts.header().decide_features();
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

/// Empties gate, holder, pacing, freeze and slots. The words stay even and the generation goes on.
pub(crate) fn clear(parts: Parts) {
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
pub(crate) fn with_file_alone<T>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::handle::Barrier;
    use crate::error::ErrorKind;
    use crate::file::layout::{COMPAT_FENCES, MINOR};
    use crate::member::process;
    use crate::system::membarrier;
    use std::os::unix::fs::FileExt;

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

    /// Whether writers may be unfenced is decided anew in each boot, for another kernel may run; but whoever made the
    /// barrier may have said that they may not, or not have known of it.
    #[test]
    fn fences_are_decided_anew_in_each_boot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.barrier");
        let barrier = Barrier::create(&path).unwrap();
        let identity = barrier.inner.place.identity;
        let header = barrier.inner.attached().unwrap().parts.header();
        let (made, asked) = (barrier.is_unfenced(), COMPAT_FENCES);
        assert_eq!(made, membarrier::is_offered());
        // Incompat bit, compat bit, minor layout; and whether a new kernel is made use of.
        let cases =
            [(0, 0, MINOR, made), (0, asked, MINOR, false), (0, 0, 2, false), (1, asked, 2, false)];
        for (incompat, compat, minor, expected) in cases {
            header.incompat.store(incompat, Ordering::Relaxed);
            header.compat.store(compat, Ordering::Relaxed);
            header.minor.store(minor, Ordering::Relaxed);
            header.decide_features();
            let (file, _) = open_fresh(&path, true, Some(identity)).unwrap();
            assert_eq!(check_header(&file, &path).unwrap().unfenced, expected, "{cases:?}");
        }
        header.incompat.store(2, Ordering::Relaxed);
        assert_eq!(Barrier::open(&path).unwrap_err().kind(), ErrorKind::Version);
        for field in [&header.incompat, &header.compat] {
            field.store(0, Ordering::Relaxed);
        }
        drop(barrier);
        let (file, _) = open_fresh(&path, true, Some(identity)).unwrap();
        let seen = check_header(&file, &path).unwrap();
        drop(file);
        let boot = BootId { words: [7; 4], is_kernels: false };
        let header = |path: &Path| check_header(&open_fresh(path, true, None).unwrap().0, path);
        // As a restart finds it.
        for minor in [2_u32, MINOR] {
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(&minor.to_ne_bytes(), 12).unwrap();
            file.write_all_at(&[0; 4], 16).unwrap();
            let seen = HeaderCopy { boot_id: header(&path).unwrap().boot_id, ..seen };
            let boot = BootId { words: boot.words.map(|word| word + minor), ..boot };
            let process = process::lock();
            after_restart(&process, &path, identity, &seen, Some(&boot)).unwrap();
            drop(process);
            assert_eq!(header(&path).unwrap().unfenced, made && minor == MINOR, "minor {minor}");
        }
    }
}
