//! Who writes to the sources, and how each is stilled: looked at before the gate closes, and again once it is open.
//!
//! Both looks count, and none is in the pause: it takes milliseconds for each thousand processes. Who came after the
//! first and was gone before the second was not seen.

use super::Making;
use crate::stilling::Stilling;
use crate::stilling::cover::{self, Means};
use crate::words::exit::{Exit, Failure};

impl Making<'_> {
    /// Looks, adds what is seen to the manifest, and refuses what is not to be had.
    pub fn look_around(&mut self, means: &Means) -> Result<(), Failure> {
        let places = self.plan.places(&means.adopted);
        if !places.folders.is_empty() {
            let sight = cover::look(&places, means);
            self.manifest.record_sight(sight);
        }
        match (self.arguments.require_covered, self.manifest.covered) {
            (true, Some(false) | None) => Err(self.refused()),
            _ => Ok(()),
        }
    }

    /// By what writers are stilled in this pause.
    pub fn means(&self, stilling: &Stilling) -> Means {
        let foreign = &self.manifest.foreign;
        Means {
            barriers: self.members.iter().map(|member| member.barrier.path().to_owned()).collect(),
            foreign: foreign.iter().map(|record| record.path.clone()).collect(),
            cyrus: self.arguments.cyrus.is_some(),
            ..stilling.means()
        }
    }

    fn refused(&self) -> Failure {
        let why = cover::complaint(&self.manifest.sight());
        let why = why.unwrap_or_else(|| {
            "it cannot be told which files are read: name them with --sync".to_owned()
        });
        let message =
            format!("--require-covered: {why}; there is no snapshot; see stillpoint-adopt(8)");
        Failure::new(Exit::DATA, message)
    }
}
