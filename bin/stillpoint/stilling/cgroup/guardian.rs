//! Who thaws when the tool cannot.
//!
//! It outlives the tool, and stands in the first group of each hierarchy, where nobody can freeze it: whoever freezes
//! the tool, as with the rest of a container or a session, does not freeze it. What it thaws is what the tool has
//! said that it is going to freeze; a group that somebody else has frozen is not the tool's to thaw.
//!
//! If both are killed at once, the record that both have locked tells the next tool.

use std::os::fd::RawFd;
use std::time::Duration;

use super::group::Group;
use super::hierarchy::Hierarchy;
use super::left::Left;
use crate::process::standby::{Duty, StandBy};
use crate::words::exit::Failure;
use crate::words::lines::warn;

/// The tool's end of the line.
#[derive(Debug)]
pub struct Guardian(StandBy);

impl Guardian {
    pub fn start(
        groups: &[Group],
        hierarchies: &[Hierarchy],
        left: &Left,
    ) -> Result<Guardian, Failure> {
        let thawing = Thawing { groups, ours: vec![false; groups.len()], hierarchies, left };
        let standing = StandBy::start("guardian of what is frozen", thawing, None)?;
        if !standing.is_safe {
            warn(
                "the guardian of what is frozen cannot leave the control group of this tool: whoever freezes that one freezes both, and then nobody thaws",
            );
        }
        Ok(Guardian(standing))
    }

    /// These are going to be frozen for as long as this, or none are. False if it does not hear.
    pub fn guard(&self, ours: &[bool], limit: Option<Duration>) -> bool {
        let ours: Vec<u8> = ours.iter().map(|ours| u8::from(*ours)).collect();
        self.0.limit(limit, &ours)
    }

    /// It has thawed what it was told of. Not asked again once this was true.
    pub fn has_thawed(&self) -> bool {
        self.0.has_let_go()
    }

    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }
}

struct Thawing<'a> {
    groups: &'a [Group],
    ours: Vec<bool>,
    hierarchies: &'a [Hierarchy],
    left: &'a Left,
}

impl Duty for Thawing<'_> {
    const OUTLIVES: bool = true;

    fn descriptors(&self) -> Vec<RawFd> {
        let groups = self.groups.iter().flat_map(Group::descriptors);
        groups.chain([self.left.descriptor()]).collect()
    }

    fn begin(&mut self) -> bool {
        // Of each hierarchy: whichever the groups are in, the tool may be frozen in another one.
        self.hierarchies.iter().map(Hierarchy::move_to_root).filter(Result::is_err).count() == 0
    }

    fn word(&self) -> usize {
        self.groups.len()
    }

    fn told(&mut self, word: &[u8]) {
        self.ours = word.iter().map(|byte| *byte != 0).collect();
    }

    fn let_go(&mut self) {
        for (group, _) in self.groups.iter().zip(&self.ours).filter(|(_, ours)| **ours) {
            // One that was removed has nobody in it.
            let _ = group.thaw();
        }
        self.left.forget();
    }
}
