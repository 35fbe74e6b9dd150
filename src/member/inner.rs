//! What a process shares behind all of its handles of one barrier.
//!
//! It stands for one file. Where that was replaced under its users it has a *successor*, which stands for the file
//! that has taken its place; what was begun here before ends here. See `succession`.

use crate::error::Error;
use crate::file::open::check_header;
use crate::gate::sync::{AtomicPtr, Ordering};
use crate::member::attachment::Attachment;
use crate::member::cover::Covered;
use crate::member::cut;
use crate::member::join;
use crate::member::lifeline::Place;
use crate::member::process;
use crate::member::vantage::Vantage;
use crate::seat::Seat;
use std::sync::Arc;
use std::sync::OnceLock;

/// What all handles of one barrier in this process share: one file.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) id: u64,
    pub(crate) place: Place,
    pub(crate) uuid: [u32; 4],
    pub(crate) boot_id: [u32; 4],
    pub(crate) label: String,
    /// Whether a share that the process dies in is a loss.
    pub(crate) watched: bool,
    pub(crate) cover: Covered,
    /// This process's attachment, or that of the process it was forked from.
    pub(crate) attachment: AtomicPtr<Attachment>,
    /// What is at the path now, if that is another file.
    pub(crate) successor: OnceLock<Arc<Inner>>,
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
        let attachment = join::while_made_anew(attach).map_err(|error| {
            match Vantage::now() == self.place.vantage {
                true => error,
                false => self.unreachable(error),
            }
        })?;
        attachment.fences.leave_out();
        Ok(attachment)
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
    use crate::barrier::handle::Barrier;

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
