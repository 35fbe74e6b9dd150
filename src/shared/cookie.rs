//! Counted shares by number, for interfaces to other languages.
//!
//! An event loop in C, or a goroutine, begins a share on one thread and ends it on another, and cannot keep
//! a value of Rust meanwhile. It gets a *cookie*: a number that leads to the share, once, in this process.
//! Numbers begin at random in each process that has joined, so that a parent's, another barrier's or a
//! made-up one leads to nothing. Each share asks the gate; they do not nest.
//!
//! The table stands in the process's attachment: a forked child has its own, and whatever is left in it when
//! the process leaves the barrier is lost with the counted slot.

use crate::barrier::handle::{Barrier, Inner};
use crate::error::Error;
use crate::shared::counted;
use crate::shared::wait::Wait;
use crate::succession::coming_over::come_over;
use crate::system::calls::{monotonic_milliseconds, random};
use crate::system::source_line::SourceLine;
use std::collections::HashMap;
use std::collections::TryReserveError;
use std::collections::hash_map::DefaultHasher;
use std::ffi::c_char;
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The shares of a process that have a cookie.
#[derive(Debug, Default)]
pub(crate) struct Cookies(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// The cookie given last; 0: none yet.
    last: u64,
    shares: HashMap<u64, Share, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Debug)]
struct Share {
    place: SourceLine,
    /// Whether it is inside, and if so whether it owes a wake-up. `None`: it waits at the gate.
    readmitted: Option<bool>,
}

impl Cookies {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cookie for a share that is going to be inside.
    fn choose(&self, place: SourceLine) -> Result<u64, TryReserveError> {
        let mut table = self.table();
        table.shares.try_reserve(1)?;
        let before = if table.last == 0 { any_number() } else { table.last };
        table.last = before.wrapping_add(1).max(1);
        let cookie = table.last;
        table.shares.insert(cookie, Share { place, readmitted: None });
        Ok(cookie)
    }

    /// Its share is inside now.
    fn entered(&self, cookie: u64, readmitted: bool) {
        if let Some(share) = self.table().shares.get_mut(&cookie) {
            share.readmitted = Some(readmitted);
        }
    }

    /// It did not get in.
    fn withdraw(&self, cookie: u64) {
        self.table().shares.remove(&cookie);
    }

    /// Whether the share that is going to be left owes a wake-up. `None`: there is none of this cookie.
    fn redeem(&self, cookie: u64) -> Option<bool> {
        let mut table = self.table();
        table.shares.get(&cookie)?.readmitted?;
        table.shares.remove(&cookie)?.readmitted
    }

    /// Where one of them was begun, the first that was.
    pub(crate) fn place(&self) -> Option<SourceLine> {
        let table = self.table();
        let inside = table.shares.iter().filter(|(_, share)| share.readmitted.is_some());
        let first = inside.min_by_key(|(cookie, _)| **cookie);
        first.map(|(_, share)| share.place).filter(|place| place.is_known())
    }
}

/// Where to begin. Only chance keeps a parent's cookies apart from its child's: where the kernel has none to
/// give, the clock must do.
fn any_number() -> u64 {
    random().map_or_else(
        |_| monotonic_milliseconds() << 24,
        |words| u64::from(words[0]) << 32 | u64::from(words[1]),
    )
}

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
                counted::leave(attachment, 1, readmitted);
                return Ok(());
            }
        }
        Err(Error::NotHeld { path: self.path().into() })
    }
}
