//! Who stands still beside the writers of one barrier, from before its gate closes until it is open again: those that
//! [`Stilling`] knows, the programs whose locks are held, and nobody else, if the job requires that.
//!
//! As in a snapshot: the locks are taken with the gate open, and go back whenever it reopens. All writers are looked at
//! before it closes and after it is open.

use std::time::Duration;

use crate::barrier::exclusive::Others;
use crate::catalogue::cover::Sight;
use crate::process::signals::Signals;
use crate::snapshot::foreign::{ForeignLocks, HeldLocks, Patience};
use crate::stilling::cover::{self, Means, Places};
use crate::stilling::{Limits, Stilling};
use crate::words::exit::{Exit, Failure};
use crate::words::seconds::FOREVER;

/// All of them.
pub struct Standing<'a> {
    pub stilling: Stilling,
    pub foreign: &'a ForeignLocks,
    pub limits: Limits,
    held: HeldLocks,
    sight: Sight,
}

impl<'a> Standing<'a> {
    pub fn new(stilling: Stilling, foreign: &'a ForeignLocks, limits: Limits) -> Standing<'a> {
        let (held, sight) = (HeldLocks::default(), Sight::default());
        Standing { stilling, foreign, limits, held, sight }
    }

    /// Looks at all who write there, once more; an error if one is not covered, or that cannot be told.
    pub fn look(&mut self, places: &Places, means: &Means) -> Result<(), Failure> {
        if !places.folders.is_empty() {
            self.sight.add(cover::look(places, means));
            if self.sight.covered() == Some(true) {
                return Ok(());
            }
        }
        let why = cover::complaint(&self.sight);
        let why = why.unwrap_or_else(|| "it cannot be told which files are read".to_owned());
        let message = format!("require-covered: {why}; see stillpoint-adopt(8)");
        Err(Failure::new(Exit::DATA, message))
    }

    /// The gate is open: whether all have stood still until now. They go on.
    pub fn end(&mut self) -> Result<(), Failure> {
        let kept_out = self.held.check().and(self.stilling.check());
        self.held = HeldLocks::default();
        kept_out.and(self.stilling.thaw())
    }
}

impl Others for Standing<'_> {
    fn get_ready(&mut self, left: Option<Duration>, signals: &Signals) -> anyhow::Result<()> {
        let Limits { drain, hold } = self.limits;
        let first = left.unwrap_or(FOREVER);
        let patience = Patience { first, others: drain, option: "--timeout" };
        // As long as a writer of ours may be kept waiting.
        let holding = hold.map(|hold| hold.saturating_add(drain));
        let mut records = self.foreign.records();
        self.held = self.foreign.take(patience, holding, signals, &mut records)?;
        Ok(())
    }

    fn are_asked(&self) -> bool {
        self.stilling.are_asked()
    }

    fn are_still(&mut self) -> bool {
        self.stilling.are_still()
    }

    fn have_stayed_still(&mut self) -> Result<(), Failure> {
        self.stilling.have_stayed_still()
    }

    fn let_go(&mut self) {
        self.stilling.let_go();
        self.held = HeldLocks::default();
    }

    fn in_the_way(&self) -> Vec<String> {
        self.stilling.in_the_way()
    }
}
