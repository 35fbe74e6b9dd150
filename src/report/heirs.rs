//! Who holds a lock whose owner has ended.
//!
//! A command inherits the descriptor of the lock that its wrapper took. If the wrapper is killed, or the
//! command leaves one in the background behind, the file names a process that is gone, and the lock is
//! held all the same. Who waits for it wants to know by whom.

use crate::error::who::Writer;
use crate::file::layout::LockByte;
use crate::file::open::Identity;
use crate::report::foreign;
use crate::system::proc::state_of;

/// Who holds this byte in the place of a process that has ended, as far as that may be seen.
pub(crate) fn of(pid: u32, file: Identity, byte: LockByte) -> Option<Writer> {
    let heirs = || foreign::holders_of(file, byte);
    if lives(pid) { None } else { heirs().into_iter().next() }
}

/// What has ended and was not reaped yet holds nothing either.
fn lives(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

impl Writer {
    /// The same writer by the name of who is inside in its place, if it has ended.
    pub(crate) fn or_heir(self, file: Identity) -> Writer {
        let heir = self.slot.and_then(|slot| of(self.pid, file, LockByte::Life(slot)));
        match heir {
            Some(Writer { pid, tid, comm, wait_channel, .. }) => {
                Writer { pid, tid, comm, wait_channel, ..self }
            }
            None => self,
        }
    }
}
