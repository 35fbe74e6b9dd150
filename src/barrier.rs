//! Opening a barrier: the handle, and what a process shares behind it.
//!
//! Opening the same file twice in one process gives the same barrier, so that a thread nests
//! whichever handle it uses. The first handle joins the process; the last one leaves.

use crate::counted::OwnedShared;
use crate::cover::Covered;
use crate::file::{self, hex};
use crate::join::{self, Attachment};
use crate::lifeline::Place;
use crate::sync::{AtomicPtr, Ordering};
use crate::wait::Wait;
use crate::{Cover, Dirty, Error, Lost, Options, fresh_start, process};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A consistency barrier that this process takes part in. Cheap to clone; share it between threads.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("spool.barrier");
/// use stillpoint::{Barrier, ExclusiveOptions};
///
/// let barrier = Barrier::create(&path)?;
/// {
///     let _share = barrier.shared()?;
///     // Writes that belong together.
/// }
/// let pause = barrier.exclusive(&mut ExclusiveOptions::default())?;
/// // Nobody is in the middle of anything: take the snapshot here.
/// let report = pause.release()?; // an error says: throw the snapshot away
/// assert!(report.waited_for.is_empty());
/// # Ok::<(), stillpoint::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    /// The number of the inner barrier, for the fast path.
    pub(crate) id: u64,
    pub(crate) inner: Arc<Inner>,
}

/// What all handles of one barrier in this process share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) id: u64,
    pub(crate) place: Place,
    pub(crate) uuid: [u32; 4],
    pub(crate) boot_id: [u32; 4],
    pub(crate) label: String,
    pub(crate) cover: Covered,
    /// This process's attachment, or that of the process it was forked from.
    pub(crate) attachment: AtomicPtr<Attachment>,
}

impl Barrier {
    /// Opens a barrier by name or path. It is made only if `$STILLPOINT_CREATE` is set (and not 0).
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Barrier, Error> {
        Options::default().open(name)
    }

    /// Makes a barrier and opens it.
    ///
    /// # Errors
    /// As [`Options::found`].
    pub fn create(name: impl AsRef<OsStr>) -> Result<Barrier, Error> {
        Options::default().found(name)
    }

    /// How to open or make one otherwise.
    pub fn options() -> Options {
        Options::default()
    }

    /// The path of the barrier file, absolute.
    pub fn path(&self) -> &Path {
        &self.inner.place.path
    }

    /// The barrier's identity, 32 hexadecimal digits.
    pub fn uuid(&self) -> String {
        hex(self.inner.uuid)
    }

    /// The boot in which the barrier was last made ready, 32 hexadecimal digits.
    pub fn boot_id(&self) -> String {
        hex(self.inner.boot_id)
    }

    /// How many pent-up writers a release wakes at once, 0 for all: see [`Options::readmit`]. 0 too in a
    /// child that cannot reach the barrier.
    pub fn readmit(&self) -> u32 {
        self.inner.attached().map_or(0, |attachment| attachment.readmit)
    }

    /// The device that the barrier file lies on, as stat(2) numbers it.
    pub fn device(&self) -> u64 {
        self.inner.place.identity.device
    }

    /// Whether the file lies in memory (tmpfs, ramfs). Any other file system can be frozen, fsfreeze(8), and
    /// until it is thawed nobody can take part in a barrier on it: neither enter nor open the gate.
    pub fn is_in_memory(&self) -> bool {
        file::is_in_memory(self.path())
    }

    /// Joins this process, if it has not. A forked child that is going to chroot(2) or to change its
    /// user calls this first; others join by themselves.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if the barrier cannot be reached by its path.
    pub fn join(&self) -> Result<(), Error> {
        self.inner.attached().map(drop)
    }

    /// Enters the shared side with a share that may move between threads.
    ///
    /// # Errors
    /// As [`Barrier::shared`].
    pub fn shared_owned(&self) -> Result<OwnedShared, Error> {
        OwnedShared::enter(self, Wait::Forever)
    }

    /// The same, waiting at most `limit`.
    ///
    /// # Errors
    /// As [`Barrier::shared_timeout`].
    pub fn shared_owned_timeout(&self, limit: Duration) -> Result<OwnedShared, Error> {
        OwnedShared::enter(self, Wait::at_most(limit))
    }

    /// What an ancestor of this process holds for it now, if `$STILLPOINT_HELD` says so and it is
    /// true.
    pub fn is_covered(&self) -> Option<Cover> {
        let attachment = self.inner.attached().ok()?;
        self.inner.cover.holds(&self.inner, attachment)
    }

    /// Ends the life of a barrier: sees that nobody else has it open, and removes the file. Writers
    /// that come later find it missing. Returns the dirty epoch, which nobody can raise any more, and
    /// who was lost.
    ///
    /// # Errors
    /// [`Error::InUse`] naming who has it open; the barrier then goes on as it was. Another handle in
    /// this process counts as well.
    pub fn retire(self) -> Result<(Dirty, Vec<Lost>), Error> {
        fresh_start::retire(self)
    }
}

impl Inner {
    /// The attachment of this process; joins a forked child anew.
    pub(crate) fn attached(&self) -> Result<&Attachment, Error> {
        match self.attachment_of_this_process() {
            Some(attachment) => Ok(attachment),
            None => self.attach_again(),
        }
    }

    /// The attachment, if this process has one.
    pub(crate) fn attachment_of_this_process(&self) -> Option<&Attachment> {
        let incarnation = process::incarnation();
        // SAFETY: null or a box that is never freed before this barrier is: a child leaves its
        // parent's where it is.
        let attachment = unsafe { self.attachment.load(Ordering::Acquire).as_ref() };
        attachment.filter(|attachment| attachment.incarnation == incarnation)
    }

    #[cold]
    fn attach_again(&self) -> Result<&Attachment, Error> {
        let attach = || {
            let mut process = process::lock();
            if let Some(attachment) = self.attachment_of_this_process() {
                return Ok(attachment);
            }
            let file = self.place.open_fresh()?;
            let header = file::check(&file, &self.place.path)?;
            if header.uuid != self.uuid {
                let reason = "it was made anew while it was in use";
                return Err(Error::not_a_barrier(&self.place.path, reason));
            }
            let attachment = Box::new(Attachment::new(&process, self, &file, header)?);
            let attachment = Box::into_raw(attachment);
            let inherited = self.attachment.swap(attachment, Ordering::AcqRel);
            // SAFETY: null or a box that this process never frees.
            process.inherited.extend(unsafe { inherited.as_ref() });
            // SAFETY: it was just made from a box, and is kept as said above.
            Ok(unsafe { &*attachment })
        };
        join::while_made_anew(attach).map_err(|source| Error::Unreachable {
            path: self.place.path.clone(),
            source: Box::new(source),
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let attachment = *self.attachment.get_mut();
        if self.attachment_of_this_process().is_some() {
            // SAFETY: it came from a box, and this was the last way to it. One of another process
            // is left alone: what it holds is not this process's to give back.
            drop(unsafe { Box::from_raw(attachment) });
        // SAFETY: null, in a barrier that could not be joined, or a box that this process never frees.
        } else if let Some(inherited) = unsafe { attachment.as_ref() } {
            process::lock().inherited.push(inherited);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a forked child finds it that joins when nobody else has the file open any more.
    #[test]
    fn a_file_that_was_made_anew_is_not_joined_again() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attachment.swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: it came from the barrier just made, which gets it back.
        let uuid = unsafe { &(*attachment).parts.header().uuid };
        let before = uuid[0].fetch_add(1, Ordering::Relaxed);
        let joined = barrier.join();
        uuid[0].store(before, Ordering::Relaxed);
        barrier.inner.attachment.store(attachment, Ordering::Release);
        assert!(joined.unwrap_err().to_string().contains("made anew"));
    }
}
