//! Joining what is at a path: the checks on the way, and what another boot left.
//!
//! Opening the same file twice in one process gives the same, so that a thread nests whichever handle it uses.

use crate::error::Error;
use crate::file::boot::{self, BootId};
use crate::file::open::{
    HeaderCopy, Identity, check_file_system, check_folder, check_header, open_fresh,
};
use crate::gate::sync::{AtomicPtr, AtomicU64, Ordering};
use crate::member::alone::{after_restart, is_somebody_alone};
use crate::member::attachment::Attachment;
use crate::member::cover::Covered;
use crate::member::inner::Inner;
use crate::member::join;
use crate::member::lifeline::Place;
use crate::member::mapping::BarrierMap;
use crate::member::process::{self, Locked};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::OnceLock;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The number of the next barrier that is opened here.
pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Joins this process at an absolute path, unless it has. `label` and `id` are for one that has not.
pub(crate) fn open_at(
    path: &Path,
    label: impl Fn() -> String,
    id: impl Fn() -> u64,
    watched: bool,
) -> Result<Arc<Inner>, Error> {
    let _ = process::incarnation();
    let boot = boot::this(path)?;
    let inner = join::while_made_anew(|| {
        let mut process = process::lock();
        let (file, header, identity, _alone) = open_checked(&process, path, boot.as_ref())?;
        let known =
            process.find(|opened| opened.identity == identity && opened.uuid == header.uuid);
        if let Some(inner) = known {
            drop(process);
            inner.attached()?;
            return Ok(inner);
        }
        let inner = Arc::new(Inner {
            id: id(),
            place: Place::new(path.into(), identity),
            uuid: header.uuid,
            boot_id: header.boot_id,
            label: label(),
            watched,
            cover: Covered::from_environment(header.uuid),
            attachment: AtomicPtr::new(ptr::null_mut()),
            successor: OnceLock::new(),
        });
        let attachment = Box::new(Attachment::new(&process, &inner, &file, header)?);
        attachment.parts.note_boot(boot.as_ref());
        inner.attachment.store(Box::into_raw(attachment), Ordering::Release);
        process.add(&inner);
        Ok(inner)
    })?;
    inner.attached()?.fences.leave_out();
    Ok(inner)
}

/// Opens the file, refuses what cannot be a barrier, and makes one of another boot ready for this. The
/// second file is to be kept open until this process has joined.
fn open_checked(
    process: &Locked,
    path: &Path,
    boot: Option<&BootId>,
) -> Result<(File, HeaderCopy, Identity, Option<File>), Error> {
    let (file, identity) = open_fresh(path, true, None)?;
    check_folder(path, || match file.metadata() {
        Ok(meta) => Ok(Some(meta.uid())),
        Err(source) => Err(Error::system("fstat", path, source)),
    })?;
    check_file_system(&file, path)?;
    let header = match check_header(&file, path) {
        // Somebody is making it, where an empty file was, or garbage.
        Err(Error::NotABarrier { .. }) if is_somebody_alone(&file) => {
            return Err(Error::InUse { path: path.into(), writers: Vec::new() });
        }
        // Or has just made it.
        Err(Error::NotABarrier { .. }) => check_header(&file, path)?,
        header => header?,
    };
    if is_of_this_boot(&file, path, &header, boot)? {
        return Ok((file, header, identity, None));
    }
    drop(file);
    let alone = after_restart(process, path, identity, &header, boot)?;
    let (file, _) = open_fresh(path, true, Some(identity))?;
    let header = check_header(&file, path)?;
    Ok((file, header, identity, alone))
}

fn is_of_this_boot(
    file: &File,
    path: &Path,
    header: &HeaderCopy,
    boot: Option<&BootId>,
) -> Result<bool, Error> {
    if boot.is_some_and(|boot| boot.words == header.boot_id) {
        return Ok(true);
    }
    let in_memory = boot::is_in_memory(file, path)?;
    Ok(BarrierMap::copied(file, path)?.parts().is_of(boot, in_memory))
}
