//! Coming over: what a process does when another file stands where its barrier was.
//!
//! A barrier is never removed or renamed while it is in use; but cleaning programs do that, and
//! administrators. Those who have the old file mapped would go on there among themselves, and whoever makes
//! a new one, and takes the exclusive side of it, would not know of them. So the old gate is *superseded*:
//! closed for good, by the first who knows, be it one of them or root (see `stragglers`). Every writer
//! that comes to it leaves the fast path, finds that out, and joins what is at the path.
//!
//! What was begun in the old file ends there: shares keep their words and their seats, and a thread that
//! is inside nests there. A pause that stood there is over without a certificate. Once nobody is inside,
//! nobody ever will be: the gate that is asked before every share never opens again, and a share that is
//! covered by another one ends with it. So whoever has closed it for good and seen it quiet need not look
//! again.
//!
//! A process that has come over says no longer that it uses the old file, as soon as none of its shares stands
//! there: who may not look inside that file would take it for one that writes there.
//!
//! A process that cannot follow (it is confined, or may not open the new file) gets the error: it shall
//! not write beside a barrier.

use crate::error::Error;
use crate::file::open::identity_at;
use crate::gate::fence::Fence;
use crate::gate::protocol::is_superseded;
use crate::gate::sync::{full_fence, step};
use crate::member::attachment::Attachment;
use crate::member::cut;
use crate::member::inner::Inner;
use crate::member::open::open_at;
use crate::member::process;
use crate::system::membarrier;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for a barrier where the one that has taken our place was removed as well.
const PATIENCE: Duration = Duration::from_secs(10);
/// For how long a share that has ended may look as if it had not: many times what a store takes.
const LEAVING: Duration = Duration::from_millis(1);

/// Joins what is at the path now, and closes the old file for good. For who knows that another one was
/// there.
///
/// # Errors
/// As [`crate::Options::open`]; [`Error::Missing`] if nothing is there.
pub(crate) fn come_over(from: &Arc<Inner>) -> Result<(), Error> {
    if from.successor.get().is_some() {
        return Ok(());
    }
    let replaced = || Error::Replaced { path: from.place.path.clone() };
    if !from.place.vantage.sees_the_same() {
        return Err(match from.attachment_of_this_process() {
            Some(here) if !is_superseded(here.gate().now()) => from.unreachable(replaced()),
            _ => replaced(),
        });
    }
    let was_cut = from.attachment_of_this_process().is_some_and(Attachment::is_cut);
    // It stands where it should: only garbage, or one who was mistaken, has closed it for good.
    if identity_at(&from.place.path)? == Some(from.place.identity) {
        if was_cut {
            return Err(cut::error(&from.place.path));
        }
        from.attached()?.gate().reinstate();
        return Ok(());
    }
    let started = Instant::now();
    let to = loop {
        match open_at(&from.place.path, || from.label.clone(), || from.id, from.watched) {
            // Somebody had made one, or else nobody would have come here; he may do so again.
            Err(Error::Missing { .. }) if !was_cut && started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            to => break to?,
        }
    };
    if to.place.identity == from.place.identity {
        // It has come back meanwhile.
        return Ok(());
    }
    if let Some(attachment) = from.attachment_of_this_process() {
        attachment.gate().supersede();
        step("come over: closed for good");
    }
    // No handler may strike in the middle of this, and no child be made; two threads that see the file
    // flip to and fro must not make each the successor of the other.
    let process = process::lock();
    // A file that comes back after it was replaced is not come back to: its gate is closed.
    let returned = to.succession().any(|inner| std::ptr::eq(inner, &**from));
    let refused = if returned { Err(to) } else { from.successor.set(to) };
    drop(process);
    step("come over: follows");
    // If another thread was first, the last handle of ours goes here.
    drop(refused);
    if returned {
        return Err(replaced());
    }
    if let Some(attachment) = from.attachment_of_this_process() {
        if !sign_off_if_left(attachment) {
            // Who was about to leave when the gate closed may not have seen it, and will not sign off.
            std::thread::sleep(LEAVING);
            sign_off_if_left(attachment);
        }
    }
    Ok(())
}

/// After a share of this process has ended: if it was the last one in a file that is closed for good, there
/// will be no other. False: it is not the last one there.
pub(crate) fn sign_off_if_left(attachment: &Attachment) -> bool {
    if !is_superseded(attachment.gate().now()) {
        return true;
    }
    // As for who closes the gate: a thread that enters now sees that it is closed, or is seen.
    full_fence(Fence::Close);
    if attachment.fences.are_left_out() && membarrier::fence_all().is_err() {
        // It may be inside, and goes on saying so.
        return false;
    }
    let process = process::lock();
    let is_left = attachment.inside(&process).is_none();
    if is_left {
        attachment.sign_off(&process);
    }
    is_left
}
