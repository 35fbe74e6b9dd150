//! A part of a group's snapshot waits for the word before each step.

use std::time::Duration;

use stillpoint::{Error, ExclusiveGuard};

use super::Making;
use crate::process::ending::from_error;
use crate::snapshot::coordinated::Step;
use crate::stilling::Stilling;
use crate::words::exit::Exit;

/// Nothing is kept from anybody yet.
const UNLIMITED: Duration = Duration::from_secs(3600);

impl Making<'_> {
    /// Waits for the word, if somebody tells the steps: in the pause, no longer than it may last, nor than it does.
    pub fn step(
        &mut self,
        step: Step,
        mut pause: Option<(&ExclusiveGuard, &mut Stilling)>,
    ) -> anyhow::Result<()> {
        let Some(told) = self.told else { return Ok(()) };
        let path = self.members[0].barrier.path().to_owned();
        let waited = told.wait_for(step, &self.manifest.name, self.signals, || {
            let Some((guard, stilling)) = &mut pause else { return Ok(UNLIMITED) };
            if guard.is_revoked() {
                let reason = "somebody opened the gate".into();
                return Err(Error::Revoked { path: path.clone(), reason }.into());
            }
            stilling.check()?;
            Ok(guard.remaining().unwrap_or(UNLIMITED))
        });
        if let Err(error) = &waited {
            self.revoked = pause.is_some() && from_error(error, Exit::CONFLICT) == Exit::LIMIT;
        }
        waited
    }
}
