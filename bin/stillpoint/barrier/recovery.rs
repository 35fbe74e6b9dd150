//! Acknowledging that writers were lost: the store is in order again.
//!
//! The durable state is written before the barrier. What fails or crashes in between leaves a dirty
//! barrier, which costs another check and never forgives a loss.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use stillpoint::{Barrier, Dirty};

use super::state::{State, place};
use crate::words::advice::Named;
use crate::words::exit::Failure;
use crate::words::waiting;

/// Lost writers named on the line.
const NAMED: usize = 3;

/// A barrier that may be dirty.
pub struct Recovery<'a> {
    pub barrier: &'a Barrier,
    /// The file of its durable state, if it has one.
    state: Option<PathBuf>,
}

impl<'a> Recovery<'a> {
    /// Finds its durable state by what the user called the barrier. One that was named must be there; another may
    /// never have been made.
    pub fn of(
        barrier: &'a Barrier,
        name: &OsStr,
        user: bool,
        given: Option<&Path>,
    ) -> anyhow::Result<Recovery<'a>> {
        let Some(path) = place::path(name, user, given)? else {
            return Ok(Recovery { barrier, state: None });
        };
        let named = Named::new(name, user, given);
        let state = State::load_of(barrier, &named, &path)?.map(|_| path);
        Ok(Recovery { barrier, state })
    }

    /// The writers that are not acknowledged yet, the newest first.
    pub fn lost(&self, dirty: Dirty) -> String {
        let count = dirty.epoch.wrapping_sub(dirty.acknowledged) as usize;
        let lost = self.barrier.lost();
        let named = lost.iter().take(count.min(NAMED));
        let mut names: Vec<String> = named.map(waiting::lost).collect();
        if let more @ 1.. = count - names.len() {
            names.push(format!("{more} more"));
        }
        names.join(", ")
    }

    pub fn acknowledge(&self, epoch: u32) -> Result<(), Failure> {
        self.store(Dirty { epoch: self.barrier.dirty().epoch, acknowledged: epoch })?;
        self.barrier.acknowledge(epoch);
        Ok(())
    }

    /// Writes both epochs to the durable state.
    pub fn store(&self, dirty: Dirty) -> Result<(), Failure> {
        match &self.state {
            Some(path) => State::of(self.barrier, dirty).store(path),
            None => Ok(()),
        }
    }
}

/// What a dirty barrier means, and the way out.
pub fn dirty_text(name: &Named, barrier: &Barrier, dirty: Dirty) -> String {
    format!(
        "{}: dirty (epoch {}, acknowledged {}): a writer was lost inside; {}",
        barrier.path().display(),
        dirty.epoch,
        dirty.acknowledged,
        name.recovery()
    )
}
