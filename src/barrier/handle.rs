//! The handle of a barrier.
//!
//! Opening the same file twice in one process gives the same barrier, so that a thread nests
//! whichever handle it uses. The first handle joins the process; the last one leaves.
//!
//! A handle means the barrier at its path. Where the file is replaced under its users, what was opened has
//! a *successor*, and whatever is begun by the handle is begun there; what was begun before ends where it
//! was begun. See `succession`.

use crate::barrier::fresh_start;
use crate::barrier::options::Options;
use crate::error::Error;
use crate::error::who::Straggler;
use crate::file::losses::{Dirty, Lost};
use crate::file::open::{hex, identity_at, is_in_memory};
use crate::gate::protocol::is_superseded;
use crate::member::attachment::Attachment;
use crate::member::cover::Cover;
use crate::member::inner::Inner;
use crate::succession::coming_over::come_over;
use crate::succession::gathering::Gathering;
use crate::succession::stragglers;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

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

    /// Whether writers may enter without a fence: see [`Options::fences`]. False too in a child that cannot reach
    /// the barrier.
    pub fn is_unfenced(&self) -> bool {
        self.here().is_ok_and(|(_, attachment)| attachment.fences.may_be_left_out())
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

    /// What an ancestor of this process holds for it now, if `$STILLPOINT_HELD` says so and it is
    /// true.
    pub fn is_covered(&self) -> Option<Cover> {
        let (inner, attachment) = self.whole().ok()?;
        inner.cover.holds(&inner.place, attachment)
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
