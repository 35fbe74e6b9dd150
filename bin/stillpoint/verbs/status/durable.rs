//! What the durable state of a barrier knows and its file does not: what the next tool will find, and say.

use std::path::Path;

use stillpoint::Status;

use crate::barrier::state::{self, State, place};
use crate::words::advice::Named;
use crate::words::exit::Exit;

/// Adds what only the state knows. Some, if it does not speak for this barrier: why, and what to do.
pub fn add(status: &mut Status, user: bool) -> anyhow::Result<Option<String>> {
    let Some(path) = place::path(status.barrier.as_os_str(), user, None)? else {
        return Ok(None);
    };
    let known = match State::load(&path) {
        Ok(Some(known)) => known,
        Ok(None) => return Ok(None),
        // A report needs no more than to read the barrier.
        Err(failure) if failure.exit == Exit::DENIED => return Ok(None),
        Err(failure) => return Err(failure.into()),
    };
    known.tell_report(status);
    let whose = known.stranger(&status.uuid, &status.boot_id);
    Ok(whose.map(|whose| state::advice(&name_of(&status.barrier), &status.barrier, &path, whose)))
}

/// A barrier that has a state of its own accord has a name.
fn name_of(barrier: &Path) -> Named {
    Named::new(barrier.file_stem().unwrap_or(barrier.as_os_str()), false, None)
}
