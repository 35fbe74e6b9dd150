//! A share for a command: what `stillpoint run -s` holds.
//!
//! It stands in a slot of its own, whose lifeline keeps a descriptor. The command inherits a copy, so
//! that killing the wrapper does not end the share under a command that goes on writing; it is
//! unlocked explicitly at the end, so that a grandchild that stays behind does not keep it.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::file::layout::{FLAG_UNWATCHED, KIND_COMMAND};
use crate::gate::sync::step;
use crate::member::attachment::Attachment;
use crate::member::cover;
use crate::member::inner::Inner;
use crate::member::join;
use crate::member::lifeline::Lifeline;
use crate::member::process;
use crate::report::watch::{Waiting, Watch};
use crate::shared::wait::{self, Wait};
use crate::succession::coming_over::come_over;
use crate::system::calls::random;
use std::cell::Cell;
use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Marks the words of a command's share, below which there are numbers drawn by chance. The next owner
/// of its slot may count there, from 0 again, and the one after that may be a command: a claim on this
/// share must fit none of their words, which are odd also while somebody only knocks at a closed gate.
const OF_A_COMMAND: u32 = 1 << 31;
/// The numbers that are drawn; as many again are left for coming and going at a closed gate.
const DRAWN: u32 = (1 << 30) - 1;

/// How a command's share is asked for.
pub struct CommandShareOptions<'a> {
    wait: Option<Duration>,
    watched: bool,
    progress: Option<&'a mut dyn FnMut(&Waiting<'_>)>,
    cancel: Option<&'a AtomicBool>,
}

impl Default for CommandShareOptions<'_> {
    fn default() -> Self {
        CommandShareOptions { wait: None, watched: true, progress: None, cancel: None }
    }
}

impl<'a> CommandShareOptions<'a> {
    /// How long to wait at most; `None`: as long as it takes; zero: not at all. `None` by default.
    pub fn wait(self, wait: impl Into<Option<Duration>>) -> Self {
        CommandShareOptions { wait: wait.into(), ..self }
    }

    /// Whether the share leaves a dirty mark if its holder ends inside. True by default; false for a
    /// command that takes this process's place and cannot leave properly.
    pub fn watched(self, watched: bool) -> Self {
        CommandShareOptions { watched, ..self }
    }

    /// Called every 100 ms or so while waiting.
    pub fn progress(self, told: &'a mut dyn FnMut(&Waiting<'_>)) -> Self {
        CommandShareOptions { progress: Some(told), ..self }
    }

    /// Checked while waiting: true ends it with [`Error::Cancelled`].
    pub fn cancel(self, cancel: &'a AtomicBool) -> Self {
        CommandShareOptions { cancel: Some(cancel), ..self }
    }
}

/// A share whose lock a command inherits.
#[derive(Debug)]
#[must_use = "the share ends when this is dropped"]
pub struct CommandShare {
    barrier: Barrier,
    slot: u32,
    word: u32,
    life: Option<Lifeline>,
    readmitted: bool,
    incarnation: u64,
}

impl Barrier {
    /// Enters the shared side on behalf of a command.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::TimedOut`], [`Error::Cancelled`], [`Error::Full`]; else as
    /// [`Barrier::shared`].
    pub fn shared_for_command(
        &self,
        options: &mut CommandShareOptions<'_>,
    ) -> Result<CommandShare, Error> {
        let wait = options.wait.map_or(Wait::Forever, Wait::at_most);
        let watch = &mut Watch::new(options.progress.take(), options.cancel);
        loop {
            let (inner, attachment) = self.here()?;
            match CommandShare::taken(inner, attachment, options.watched, wait, watch) {
                Err(Error::Replaced { .. }) => come_over(inner)?,
                taken => return taken,
            }
        }
    }
}

impl CommandShare {
    fn taken(
        inner: &Arc<Inner>,
        attachment: &Attachment,
        watched: bool,
        wait: Wait,
        watch: &mut Watch<'_>,
    ) -> Result<CommandShare, Error> {
        let (slot, life) = join::while_made_anew(|| {
            let process = process::lock();
            join::claim(&process, &inner.place, attachment.parts, KIND_COMMAND)
        })?;
        let flags = if watched { 0 } else { FLAG_UNWATCHED };
        join::introduce(attachment.slot(slot), KIND_COMMAND, flags, inner);
        step("command share: introduced");
        let mut share = CommandShare {
            barrier: Barrier::at(inner),
            slot,
            word: 0,
            life: Some(life),
            readmitted: false,
            incarnation: attachment.incarnation,
        };
        share.enter(attachment, wait, watch)?;
        Ok(share)
    }

    fn enter(
        &mut self,
        attachment: &Attachment,
        wait: Wait,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        let barrier = &self.barrier;
        let inner = &*barrier.inner;
        let gate = attachment.gate();
        let slot = attachment.slot(self.slot);
        let drawn =
            random().map_err(|source| Error::system("getrandom", barrier.path(), source))?;
        let odd = Cell::new((drawn[0] & DRAWN) | OF_A_COMMAND | 1);
        let readmitted = &mut self.readmitted;
        gate.enter(
            || gate.publish(&slot.word, odd.get()),
            || {
                gate.retract(&slot.word, odd.get().wrapping_add(1));
                odd.set(odd.get().wrapping_add(2));
            },
            || inner.cover.holds(&inner.place, attachment).is_some(),
            |generation| {
                *readmitted = true;
                wait::for_opening(
                    &inner.place,
                    attachment,
                    Some(slot),
                    generation,
                    wait,
                    Some(watch),
                )
            },
        )?;
        self.word = odd.get();
        // Starting a command takes much longer than reading a clock.
        slot.see(self.word);
        Ok(())
    }

    /// The descriptor that keeps the slot alive, close-on-exec here: the command inherits a copy
    /// that is not.
    ///
    /// # Panics
    /// Never: the descriptor was asked for when the slot was claimed.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        let life = self.life.as_ref().and_then(Lifeline::descriptor);
        life.expect("the lifeline of a command keeps its descriptor")
    }

    /// The value of `STILLPOINT_HELD` for the command.
    pub fn cover(&self) -> OsString {
        cover::with_share(self.barrier.inner.uuid, self.slot, self.word)
    }

    /// Ends the share.
    pub fn end(self) {}

    /// Leaves the share to the descriptor, for a process that is about to exec: it then lasts until
    /// the last copy of it is closed.
    ///
    /// # Panics
    /// Never, as [`CommandShare::descriptor`].
    pub fn into_process(mut self) -> OwnedFd {
        let life = self.life.take().and_then(Lifeline::into_descriptor);
        life.expect("the lifeline of a command keeps its descriptor")
    }
}

impl Drop for CommandShare {
    fn drop(&mut self) {
        let Some(life) = self.life.take() else { return };
        if !process::is_current(self.incarnation) {
            return;
        }
        let Some(attachment) = self.barrier.inner.attachment_of_this_process() else {
            return;
        };
        let slot = attachment.slot(self.slot);
        if self.word != 0 {
            attachment.gate().leave(&slot.word, self.word.wrapping_add(1));
        }
        // Even now, so that nothing is lost; the life byte falls last.
        slot.settle(attachment.parts.dirty());
        step("command share: settled");
        life.unlock();
        step("command share: unlocked");
        attachment.gate().tell(self.readmitted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::sync::Ordering;

    #[test]
    fn one_that_has_waited_owes_a_wake_up() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let share = || barrier.shared_for_command(&mut CommandShareOptions::default()).unwrap();
        assert!(!share().readmitted);
        // Nobody holds the exclusive side: the waiter opens the gate by itself.
        barrier.inner.attached().unwrap().gate().close().unwrap();
        assert!(share().readmitted);
    }

    #[test]
    fn what_follows_in_the_slot_fits_no_claim_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let share = || barrier.shared_for_command(&mut CommandShareOptions::default()).unwrap();
        let first = share();
        let (slot, claimed) = (first.slot, first.word);
        drop(first);
        // Somebody counted there meanwhile.
        barrier.inner.attached().unwrap().slot(slot).word.store(0, Ordering::Relaxed);
        let second = share();
        assert_eq!(second.slot, slot);
        assert_ne!(second.word, claimed);
        assert!(second.word > 1 << 31, "a count may come to it");
    }

    #[test]
    fn one_of_another_incarnation_is_void() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let mut share = barrier.shared_for_command(&mut CommandShareOptions::default()).unwrap();
        share.incarnation += 1;
        let (slot, odd) = (share.slot, share.word);
        drop(share);
        let slot = barrier.inner.attached().unwrap().slot(slot);
        assert_eq!(slot.word.load(Ordering::Relaxed), odd);
    }
}
