//! `stillpoint retire`: the clean end of a barrier.
//!
//! The state says *retired* only after the barrier is gone: a crash in between leaves *open*,
//! which costs a needless mark and never misses a loss.

use std::ffi::OsString;
use std::path::PathBuf;

use stillpoint::Barrier;

use crate::barrier::state::{self, State, place};
use crate::words::advice::Named;
use crate::words::exit::{Exit, Failure};

#[derive(clap::Args)]
pub struct Arguments {
    /// Name or path of the barrier
    barrier: OsString,

    /// Where its durable state is kept, as given to `create`, or none
    #[arg(long, value_name = "PATH|none")]
    state: Option<PathBuf>,

    /// Look for the name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let Arguments { barrier: name, state, user } = arguments;
    let path = place::path(&name, user, state.as_deref())?;
    let barrier = Barrier::options().user(user).open(&name)?;
    if let Some(path) = &path {
        let name = Named::new(&name, user, state.as_deref());
        let known = State::load_of(&barrier, &name, path)?;
        // Another machine that keeps its state in the same file may be in the middle of its writes.
        if let Some(whose) = known.and_then(|it| it.stranger(&barrier.uuid(), &barrier.boot_id())) {
            let message = state::advice(&name, barrier.path(), path, whose);
            return Err(Failure::new(Exit::DATA, message).into());
        }
    }
    let (uuid, boot_id) = (barrier.uuid(), barrier.boot_id());
    let (last, lost) = barrier.retire()?;
    if let Some(path) = &path {
        State::open(&uuid, &boot_id, last, &lost).retired().store(path)?;
        // Somebody may have made it anew before this was written, and found it *open* still.
        if let Ok(barrier) = Barrier::options().user(user).open(&name) {
            State::note(path, &barrier)?;
        }
    }
    Ok(Exit::SUCCESS)
}
