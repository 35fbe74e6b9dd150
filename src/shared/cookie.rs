//! Counted shares by number, for interfaces to other languages.
//!
//! An event loop in C, or a goroutine, begins a share on one thread and ends it on another, and cannot keep
//! a value of Rust meanwhile. It gets a *cookie*: a number that leads to the share, once, in this process.
//! Numbers begin at random in each process that has joined, so that a parent's, another barrier's or a
//! made-up one leads to nothing. Each share asks the gate; they do not nest.
//!
//! The table stands in the process's attachment: a forked child has its own, and whatever is left in it when
//! the process leaves the barrier is lost with the counted slot.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::member::inner::Inner;
use crate::shared::counted;
use crate::shared::wait::Wait;
use crate::succession::coming_over::come_over;
use crate::system::source_line::SourceLine;
use std::ffi::c_char;
use std::time::Duration;

impl Barrier {
    /// Begins a counted share, which any thread may end by the cookie that is given: never 0. It waits for
    /// the gate at most `limit` (zero: not at all), or as long as it takes.
    ///
    /// # Errors
    /// As [`Barrier::shared_owned_timeout`].
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    pub unsafe fn begin_shared(
        &self,
        limit: Option<Duration>,
        file: *const c_char,
        line: u32,
    ) -> Result<u64, Error> {
        let wait = limit.map_or(Wait::Forever, Wait::at_most);
        // SAFETY: the caller's promise.
        let place = unsafe { SourceLine::new(file, line) };
        loop {
            let (inner, attachment) = self.here()?;
            let cookies = &attachment.cookies;
            let chosen = cookies.choose(place);
            let cookie = chosen.map_err(|error| Error::system("malloc", self.path(), error))?;
            match counted::enter(inner, attachment, wait) {
                Ok(readmitted) => {
                    cookies.entered(cookie, readmitted);
                    return Ok(cookie);
                }
                Err(error) => {
                    cookies.withdraw(cookie);
                    match error {
                        Error::Replaced { .. } => come_over(inner)?,
                        error => return Err(error),
                    }
                }
            }
        }
    }

    /// Ends the share of a cookie, whichever thread began it.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if the cookie is none of this barrier in this process, or its share has ended.
    pub fn end_shared(&self, cookie: u64) -> Result<(), Error> {
        let attachments = self.inner.succession().filter_map(Inner::attachment_of_this_process);
        for attachment in attachments {
            if let Some(readmitted) = attachment.cookies.redeem(cookie) {
                attachment.leave_counted(1, readmitted);
                return Ok(());
            }
        }
        Err(Error::NotHeld { path: self.path().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that tries at a closed gate, as an event loop may for hours, leaves nothing behind.
    #[test]
    fn who_does_not_get_in_has_no_cookie() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let pause = barrier.exclusive(&mut Default::default()).unwrap();
        let begin = |limit| {
            // SAFETY: nothing is pointed to.
            unsafe { barrier.begin_shared(Some(limit), std::ptr::null(), 0) }
        };
        assert!(matches!(begin(Duration::ZERO), Err(Error::WouldBlock { .. })));
        assert!(attachment.cookies.count() == 0);
        pause.release().unwrap();
        let cookie = begin(Duration::ZERO).unwrap();
        assert_eq!(attachment.cookies.count(), 1);
        barrier.end_shared(cookie).unwrap();
        assert!(attachment.cookies.count() == 0);
    }
}
