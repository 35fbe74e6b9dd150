//! Making a barrier file.
//!
//! It is made aside, complete, and then linked into place, so that nobody ever sees half of one.
//!
//! An *empty* file that is there already is most likely the work of flock(1), which makes what it is to
//! lock: a script that came before the barrier. It becomes the barrier where it is, as the same file, so
//! that those who come to lock it meanwhile lock the barrier. Whoever does that is alone with it, for
//! flock(2), for fcntl(2) and for those who open barriers; these wait until it is complete.

use crate::error::Error;
use crate::file::boot;
use crate::file::byte_lock::{Mode, is_unlocked, try_lock_byte};
use crate::file::features::Features;
use crate::file::layout::{
    DIRTY_OFFSET, FILE_SIZE, GATE_OFFSET, LockByte, MAGIC, MAJOR, MINOR, SLOT_SIZE, SLOTS,
    SLOTS_OFFSET,
};
use crate::file::open::{
    check_file_system, check_folder, folder_of, is_empty_file, making_failed, not_made, open_fresh,
    writes_elsewhere,
};
use crate::gate::sync::step;
use crate::member::join;
use crate::member::process::{self, Locked};
use crate::report::foreign;
use crate::system::calls::{random, write_in_place};
use crate::system::standard;
use nix::fcntl::posix_fallocate;
use nix::libc;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// What a new barrier is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    pub(crate) mode: u32,
    pub(crate) group: Option<u32>,
    pub(crate) readmit: u32,
    pub(crate) fences: bool,
    pub(crate) uuid: Option<[u32; 4]>,
    pub(crate) epoch: u32,
    pub(crate) acknowledged: u32,
    pub(crate) generation: u32,
}

impl Birth {
    /// The barrier's identity, new if none was given.
    pub(crate) fn uuid(&self, path: &Path) -> Result<[u32; 4], Error> {
        match self.uuid {
            Some(uuid) => Ok(uuid),
            None => random().map_err(|source| Error::system("getrandom", path, source)),
        }
    }
}

/// Makes a barrier aside and links it into place, or makes one of an empty file that is there.
/// [`Error::Exists`] if something else is there.
pub(crate) fn found(path: &Path, birth: &Birth) -> Result<(), Error> {
    check_folder(path, || Ok(None))?;
    let _standard = standard::keep();
    let failed = |source| making_failed(path, source);
    let folder = folder_of(path);
    // Nothing else is opened, least of all a pipe, which would be waited for.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(folder);
    check_file_system(&opened.map_err(failed)?, path)?;
    // Opened here, so that an error is that of the call and does not name the file.
    let open = |path: &Path| {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
    };
    let aside =
        tempfile::Builder::new().prefix(".stillpoint-").make_in(folder, open).map_err(failed)?;
    step("create: made aside");
    fill(aside.as_file(), path, birth)?;
    fchown(aside.as_file(), None, birth.group).map_err(|source| {
        let needs = "only root, or one of its members, can give it to that group";
        not_made(Error::refused("fchown", path, source, needs))
    })?;
    aside.as_file().set_permissions(Permissions::from_mode(birth.mode)).map_err(failed)?;
    step("create: complete");
    match aside.persist_noclobber(path) {
        Ok(_) => {
            step("create: linked");
            Ok(())
        }
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            let taken = join::while_made_anew(|| take_over(path, birth, error.file.as_file()));
            taken.map_err(|error| match (error, open_fresh(path, false, None)) {
                (Error::InUse { path, .. }, Ok((file, _))) => {
                    Error::InUse { path, writers: foreign::lock_holders(&file) }
                }
                (error, _) => error,
            })
        }
        Err(error) => Err(failed(error.error)),
    }
}

/// Writes a new barrier into an empty file; its first bytes come last.
fn fill(empty: &File, path: &Path, birth: &Birth) -> Result<(), Error> {
    let failed = |source| making_failed(path, source);
    // A page that cannot be had when it is written to is a SIGBUS: all of them are had from now on.
    if writes_elsewhere(empty) {
        write_in_place(empty);
    }
    // Not fs2's, which takes errno for the error that this call returns.
    posix_fallocate(empty, 0, FILE_SIZE.into()).map_err(|error| failed(error.into()))?;
    step("create: allocated");
    let Features { incompat, compat } = Features::of_new(birth.fences);
    let mut words = vec![MAJOR, MINOR, incompat, compat, SLOTS, SLOT_SIZE, SLOTS_OFFSET, FILE_SIZE];
    words.extend(birth.uuid(path)?);
    let boot = boot::known(path)?;
    words.extend(boot.words);
    words.push(birth.readmit);
    words.extend(if boot.is_kernels { boot.words } else { [0; 4] });
    let write = |words: &[u32], at: u32| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        empty.write_all_at(&bytes, at.into()).map_err(failed)
    };
    write(&words, MAGIC.len() as u32)?;
    write(&[birth.epoch, birth.acknowledged], DIRTY_OFFSET)?;
    write(&[birth.generation], GATE_OFFSET)?;
    empty.write_all_at(&MAGIC, 0).map_err(failed)
}

/// Makes a barrier of the empty file that is there, with the owner and the permissions of a new one.
fn take_over(path: &Path, birth: &Birth, aside: &File) -> Result<(), Error> {
    if !is_empty_file(path) {
        return Err(Error::Exists { path: path.into() });
    }
    let _ = process::incarnation();
    let process = process::lock();
    let (file, _) = open_fresh(path, true, None)?;
    let state = |of: &File| of.metadata().map_err(|source| Error::system("fstat", path, source));
    let (before, wanted) = (state(&file)?, state(aside)?);
    check_folder(path, || Ok(Some(before.uid())))?;
    if before.nlink() > 1 {
        return Err(Error::not_a_barrier(path, "it is empty and has other names"));
    }
    if !lock_alone(&process, &file, path)? {
        return Err(Error::InUse { path: path.into(), writers: Vec::new() });
    }
    // Somebody may have been here before, and another one have removed it.
    let now = state(&file)?;
    if now.len() > 0 || now.nlink() == 0 {
        return Err(Error::Exists { path: path.into() });
    }
    step("create: alone with an empty file");
    let permissions = Permissions::from_mode(birth.mode);
    let owned = || {
        if (before.uid(), before.gid()) != (wanted.uid(), wanted.gid()) {
            fchown(&file, Some(wanted.uid()), Some(wanted.gid()))?;
        }
        file.set_permissions(permissions)
    };
    owned().map_err(|source| {
        let needs = "only root, or the owner of the empty file, can make a barrier of it";
        not_made(Error::refused("fchown", path, source, needs))
    })?;
    step("create: owned");
    fill(&file, path, birth).inspect_err(|_| {
        // Empty again, as it was.
        let _ = file.set_len(0);
    })?;
    step("create: taken over");
    Ok(())
}

/// Locks the file in every way there is; false if somebody else has. Whoever finds it locked for flock(2)
/// already waits for the barrier, so the members byte comes first.
fn lock_alone(_process: &Locked, file: &File, path: &Path) -> Result<bool, Error> {
    let failed = |source| Error::system("lock", path, source);
    if !try_lock_byte(file, LockByte::Members, Mode::Exclusive).map_err(failed)?
        || !is_unlocked(file)
    {
        return Ok(false);
    }
    match fs2::FileExt::try_lock_exclusive(file) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(failed(error)),
        taken => Ok(taken.is_ok()),
    }
}
