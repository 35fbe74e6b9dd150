//! Shares of who holds what the exclusive side waits for.
//!
//! A tool may wait for more than shares: its predicate says when locks are given back that no share stands
//! for. Who holds one may need another lock before it can give that back, and takes a share for it; kept
//! out, it would never finish. So while the gate is closing for such a tool it admits holders, until the
//! predicate is true and the gate is *shut*: from then on it is as closed as any (see
//! `gate::protocol`). Who is let in wrongly keeps the tool waiting, and does no other harm.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::gate::protocol::is_closed;
use crate::member::join;
use crate::seat::COUNTED;
use crate::system::source_line::SourceLine;
use std::ffi::c_char;

impl Barrier {
    /// Whether the gate is closing and admits holders, so that it is worth while to find out if one is one: the number
    /// of the closing then, which each makes greater by one.
    pub fn admits_holders(&self) -> Option<u32> {
        let here = self.latest().attachment_of_this_process()?;
        let generation = here.gate().now();
        (is_closed(generation) && here.gate().admits()).then_some(generation / 2)
    }

    /// Enters the shared side without a guard and without waiting, also at a gate that is closing for a tool
    /// with a predicate ([`ExclusiveOptions::predicate`](crate::ExclusiveOptions::predicate)). For who holds
    /// what the predicate asks for, and was not let in otherwise. The share ends with
    /// [`Barrier::leave_shared`].
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if the gate is closed for everybody; else as [`Barrier::shared`].
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    pub unsafe fn enter_shared_as_holder(
        &self,
        file: *const c_char,
        line: u32,
    ) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let place = unsafe { SourceLine::new(file, line) };
        let (inner, attachment) = self.here()?;
        let seat = join::seat_of_this_thread(inner, attachment)?;
        let refused = || Error::WouldBlock { path: self.path().into() };
        let (gate, depth) = (attachment.gate(), seat.depth());
        if depth > 0 {
            seat.set_depth(depth + 1);
            return Ok(());
        }
        if seat.slot() == COUNTED {
            let word = &attachment.slot(attachment.counted).word;
            let publish = || {
                gate.publish_counted(word);
            };
            if !gate.try_enter_admitted(publish, || gate.retract_counted(word)) {
                return Err(refused());
            }
            seat.set_place(place);
            seat.set_depth(1);
            return Ok(());
        }
        if seat.interrupt() {
            // Under the share that this signal handler interrupted, which ends when it returns.
            seat.count_interrupting(1);
            return Ok(());
        }
        let odd = seat.next_odd();
        let publish = || {
            seat.publish(odd, place);
        };
        if gate.try_enter_admitted(publish, || seat.retract(odd)) && seat.settle(odd, place) {
            return Ok(());
        }
        Err(refused())
    }
}
