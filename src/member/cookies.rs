//! Counted shares by number: which numbers a process has given away. What they are for, `cookie` says.

use crate::system::calls::{monotonic_milliseconds, random};
use crate::system::source_line::SourceLine;
use std::collections::HashMap;
use std::collections::TryReserveError;
use std::hash::BuildHasherDefault;
use std::hash::DefaultHasher;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

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
    pub(crate) fn choose(&self, place: SourceLine) -> Result<u64, TryReserveError> {
        let mut table = self.table();
        table.shares.try_reserve(1)?;
        let before = if table.last == 0 { any_number() } else { table.last };
        table.last = before.wrapping_add(1).max(1);
        let cookie = table.last;
        table.shares.insert(cookie, Share { place, readmitted: None });
        Ok(cookie)
    }

    /// Its share is inside now.
    pub(crate) fn entered(&self, cookie: u64, readmitted: bool) {
        if let Some(share) = self.table().shares.get_mut(&cookie) {
            share.readmitted = Some(readmitted);
        }
    }

    /// How many there are, of those who wait as well.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.table().shares.len()
    }

    /// It did not get in.
    pub(crate) fn withdraw(&self, cookie: u64) {
        self.table().shares.remove(&cookie);
    }

    /// Whether the share that is going to be left owes a wake-up. `None`: there is none of this cookie.
    pub(crate) fn redeem(&self, cookie: u64) -> Option<bool> {
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
