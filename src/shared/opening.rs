//! Hearing that a gate has opened, for those who must not sleep until it does: tasks and event loops.
//!
//! A thread of the library sleeps for them: see `listeners`. To hear of an opening is no promise to get in: whoever
//! hears tries again.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::gate::protocol::is_closed;
use crate::member::attachment::Attachment;
use crate::member::inner::Inner;
use crate::member::listeners::{Bell, Ear};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Waker;

/// One who listens, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    inner: Arc<Inner>,
    number: u64,
    incarnation: u64,
}

impl Listening {
    /// Wakes the task when the gate has opened; at once, or nearly, if it is open.
    pub(crate) fn begin(barrier: &Barrier, waker: Waker) -> Result<Listening, Error> {
        let (inner, attachment) = barrier.whole()?;
        let number = attachment.listeners.add(inner, Ear::Task(waker))?;
        Ok(Listening { inner: inner.clone(), number, incarnation: attachment.incarnation })
    }
}

impl Drop for Listening {
    /// In a forked child the parent's goes on.
    fn drop(&mut self) {
        let here = |attachment: &&Attachment| attachment.incarnation == self.incarnation;
        if let Some(attachment) = self.inner.attachment_of_this_process().filter(here) {
            attachment.listeners.remove(self.number);
        }
    }
}

impl Barrier {
    /// A descriptor that becomes readable when the gate has opened, or at once if it is open: for event
    /// loops, which must not wait in [`Barrier::shared_owned`]. It says so once, and is then to be closed;
    /// whoever reads that tries again. It becomes readable too when the last handle of the barrier goes.
    ///
    /// # Errors
    /// [`Error::System`] if there is no descriptor, no memory or no thread to be had; else as
    /// [`Barrier::shared`].
    pub fn gate_descriptor(&self) -> Result<OwnedFd, Error> {
        let (inner, attachment) = self.whole()?;
        let made = Bell::new();
        let (descriptor, bell) =
            made.map_err(|source| Error::system("socketpair", self.path(), source))?;
        if is_closed(attachment.gate().now()) {
            attachment.listeners.add(inner, Ear::Descriptor { _bell: bell })?;
        }
        Ok(descriptor)
    }
}
