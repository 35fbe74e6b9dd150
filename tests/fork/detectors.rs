//! The ways of noticing that one is a forked child.

use crate::common::Participant;
use std::path::Path;

/// The kernel wipes a page in the child; or, where it cannot, process ids are compared.
pub const DETECTORS: [&str; 2] = ["wipe", "pid"];

/// A participant that notices a fork in this way, and has opened the barrier.
pub fn noticing_by(detector: &str, path: &Path) -> Participant {
    let mut participant = Participant::start_as(|command| {
        command.env("STILLPOINT_FORK_CHECK", detector);
    });
    participant.open(path);
    participant
}
