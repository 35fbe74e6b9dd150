//! Opening a barrier: the handle, and what a process shares behind it.
//!
//! Opening the same file twice in one process gives the same barrier, so that a thread nests
//! whichever handle it uses. The first handle joins the process; the last one leaves.
//!
//! A handle means the barrier at its path. Where the file is replaced under its users, what was opened has
//! a *successor*, and whatever is begun by the handle is begun there; what was begun before ends where it
//! was begun. See `succession`.

use crate::barrier::fresh_start;
use crate::barrier::options::Options;
use crate::barrier::status::Lost;
use crate::error::Error;
use crate::exclusive::guard::Dirty;
use crate::file::open::{check_header, hex, identity_at, is_in_memory};
use crate::gate::protocol::is_superseded;
use crate::gate::sync::{AtomicPtr, Ordering};
use crate::member::cover::{Cover, Covered};
use crate::member::cut;
use crate::member::join::{self, Attachment};
use crate::member::lifeline::Place;
use crate::member::process;
use crate::member::vantage::Vantage;
use crate::report::writer::Straggler;
use crate::seat::Seat;
use crate::shared::counted::OwnedShared;
use crate::shared::wait::Wait;
use crate::succession::coming_over::come_over;
use crate::succession::gathering::Gathering;
use crate::succession::stragglers;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
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
    /// The number of the inner barrier, for the fast path. Its successors have the same, unless they were
    /// opened by themselves.
    pub(crate) id: u64,
    pub(crate) inner: Arc<Inner>,
}

/// What all handles of one barrier in this process share: one file.
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
    /// What is at the path now, if that is another file.
    pub(crate) successor: OnceLock<Arc<Inner>>,
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
        hex(self.latest().uuid)
    }

    /// The boot in which the barrier was last made ready, 32 hexadecimal digits.
    pub fn boot_id(&self) -> String {
        hex(self.latest().boot_id)
    }

    /// How many pent-up writers a release wakes at once, 0 for all: see [`Options::readmit`]. 0 too in a
    /// child that cannot reach the barrier.
    pub fn readmit(&self) -> u32 {
        self.here().map_or(0, |(_, attachment)| attachment.readmit)
    }

    /// The device that the barrier file lies on, as stat(2) numbers it.
    pub fn device(&self) -> u64 {
        self.latest().place.identity.device
    }

    /// Whether the file lies in memory (tmpfs, ramfs). Any other file system can be frozen, fsfreeze(8), and
    /// until it is thawed nobody can take part in a barrier on it: neither enter nor open the gate.
    pub fn is_in_memory(&self) -> bool {
        is_in_memory(self.path())
    }

    /// Joins this process, if it has not. A forked child that is going to chroot(2) or to change its
    /// user calls this first; others join by themselves.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if the barrier cannot be reached by its path.
    pub fn join(&self) -> Result<(), Error> {
        self.whole().map(drop)
    }

    /// Looks whether the barrier that this handle means is the one at its path, and comes over if another has
    /// taken its place. A file that was removed and not replaced is used on by all who have it open, and
    /// no tool that opens the barrier finds them: a daemon asks now and then. Costs a look at the path.
    ///
    /// # Errors
    /// [`Error::Missing`] if nothing is there; [`Error::Replaced`] if what is there cannot be followed to;
    /// [`Error::Unreachable`] after chroot(2), from where that cannot be seen. As [`Options::open`].
    pub fn check(&self) -> Result<(), Error> {
        self.at_its_path().map(drop)
    }

    /// The last of the successors that are known here.
    pub(crate) fn latest(&self) -> &Arc<Inner> {
        let mut inner = &self.inner;
        while let Some(successor) = inner.successor.get() {
            inner = successor;
        }
        inner
    }

    /// The same as a handle that keeps to this very file.
    pub(crate) fn at(inner: &Arc<Inner>) -> Barrier {
        Barrier { id: inner.id, inner: inner.clone() }
    }

    /// The barrier as it is known to be at its path, and this process's attachment; joins a forked child
    /// anew.
    pub(crate) fn here(&self) -> Result<(&Arc<Inner>, &Attachment), Error> {
        loop {
            let inner = self.latest();
            match inner.attached() {
                Err(Error::Replaced { .. }) => come_over(inner)?,
                attached => return Ok((inner, attached?)),
            }
        }
    }

    /// The same, unless the file was cut: for everybody but who enters, and has no time to ask.
    pub(crate) fn whole(&self) -> Result<(&Arc<Inner>, &Attachment), Error> {
        let (inner, _) = self.here()?;
        Ok((inner, inner.whole()?))
    }

    /// The same, once the path was looked at: for who begins there.
    pub(crate) fn at_its_path(&self) -> Result<(&Arc<Inner>, &Attachment), Error> {
        let (inner, attachment) = self.here()?;
        let missing = || Error::Missing { path: inner.place.path.clone(), folder: None };
        match identity_at(&inner.place.path) {
            _ if attachment.is_cut() || is_superseded(attachment.gate().now()) => {}
            Ok(Some(found)) if found == inner.place.identity => return Ok((inner, attachment)),
            Ok(Some(_)) => {}
            Ok(None) if !inner.place.vantage.sees_the_same() => {
                return Err(inner.unreachable(missing()));
            }
            Ok(None) => return Err(missing()),
            // What cannot be seen fails where it is opened, and is said there.
            _ => return Ok((inner, attachment)),
        }
        come_over(inner)?;
        self.here()
    }

    /// Brings over who still uses a file that stood here before and was removed or renamed: root can. Who is
    /// inside there is not waited for; every tool does that.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn gather(&self) -> Result<(), Error> {
        let (inner, attachment) = self.at_its_path()?;
        let _ = Gathering::default().attempt(inner, attachment.parts);
        Ok(())
    }

    /// Who still uses a file that stood here before and was removed or renamed: no tool is granted the
    /// exclusive side while anybody is seen to. `None`: that cannot be seen.
    pub fn stragglers(&self) -> Option<Vec<Straggler>> {
        let (inner, attachment) = self.whole().ok()?;
        stragglers::of_status(attachment.parts, &inner.place.path, inner.place.identity)
    }

    /// Enters the shared side with a share that may move between threads. It keeps this thread waiting while
    /// the gate is closed: a task waits by [`Barrier::shared_owned_async`], or the runtime stands still until
    /// the pause ends, with the tasks whose shares the pause waits for.
    ///
    /// # Errors
    /// As [`Barrier::shared`].
    pub fn shared_owned(&self) -> Result<OwnedShared, Error> {
        OwnedShared::enter(self, Wait::Forever)
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// As [`Barrier::try_shared`].
    pub fn try_shared_owned(&self) -> Result<OwnedShared, Error> {
        OwnedShared::enter(self, Wait::No)
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
        let (inner, attachment) = self.whole().ok()?;
        inner.cover.holds(inner, attachment)
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
    /// This file, and those that have taken its place.
    pub(crate) fn succession(&self) -> impl Iterator<Item = &Inner> {
        std::iter::successors(Some(self), |inner| inner.successor.get().map(Arc::as_ref))
    }

    /// The attachment that a seat belongs to, here or in one of the files that have taken its place.
    pub(crate) fn attachment_of(&self, seat: &Seat) -> Option<&Attachment> {
        let attachments = self.succession().filter_map(Inner::attachment_of_this_process);
        let mut attachments = attachments.filter(|attachment| seat.is_at(attachment.gate()));
        attachments.next()
    }

    /// The attachment of this process; joins a forked child anew.
    ///
    /// # Errors
    /// [`Error::Replaced`] if another barrier is at its path; [`Error::Unreachable`] if it sees the path from
    /// elsewhere than when it was opened; else what stood in the way.
    pub(crate) fn attached(&self) -> Result<&Attachment, Error> {
        match self.attachment_of_this_process() {
            Some(attachment) => Ok(attachment),
            None => self.attach_again(),
        }
    }

    /// The same, unless the file was cut.
    pub(crate) fn whole(&self) -> Result<&Attachment, Error> {
        match self.attached()? {
            attachment if attachment.is_cut() => Err(cut::error(&self.place.path)),
            attachment => Ok(attachment),
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
            let header = check_header(&file, &self.place.path)?;
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
        join::while_made_anew(attach).map_err(|error| match Vantage::now() == self.place.vantage {
            true => error,
            false => self.unreachable(error),
        })
    }

    pub(crate) fn unreachable(&self, source: Error) -> Error {
        Error::Unreachable { path: self.place.path.clone(), source: Box::new(source) }
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
