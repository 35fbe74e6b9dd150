//! Covering: a command that runs under a share, or under the exclusive side, does not wait for the
//! gate that its own wrapper keeps from moving.
//!
//! `STILLPOINT_HELD` names what the wrapper holds, per barrier: a slot with its odd word, or the
//! gate's generation. It is a hint that is checked, never believed: the slot must still be odd with
//! that very word, or the gate be of that generation, and the lock byte be held. A covered writer
//! publishes its own word and passes the fence *before* it checks. Checked first, the cover could end
//! between the check and the publishing, and the exclusive side, having looked at the child's slot
//! before and at the wrapper's after, would be granted with the child inside.
//!
//! ```text
//! STILLPOINT_HELD = entry [ ',' entry ]...
//! entry           = uuid ':' 's' ':' slot ':' word  |  uuid ':' 'x' ':' generation
//! ```

use crate::file::layout::{FLAG_MAY_BE_COVERED, LockByte, SLOTS};
use crate::file::open::hex;
use crate::gate::protocol::{is_closed, is_inside};
use crate::gate::sync::{AtomicU32, Ordering};
use crate::member::attachment::Attachment;
use crate::member::lifeline::Place;
use crate::system::environment::variable;
use std::ffi::OsString;

/// What a command's ancestor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cover {
    /// A share.
    Shared,
    /// The exclusive side.
    Exclusive,
}

/// A claim in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Slot { index: u32, word: u32 },
    Generation(u32),
}

/// The claims for one barrier, and whether they have been found stale.
#[derive(Debug)]
pub(crate) struct Covered {
    claims: Vec<Claim>,
    stale: AtomicU32,
}

/// The environment variable that carries the claims: for a command, with the value that `cover` of
/// its share or pause gives.
pub const HELD: &str = "STILLPOINT_HELD";

impl Covered {
    /// What the environment claims for this barrier.
    pub(crate) fn from_environment(uuid: [u32; 4]) -> Covered {
        let text = variable(HELD).unwrap_or_default();
        Covered { claims: parse(&text.to_string_lossy(), &hex(uuid)), stale: AtomicU32::new(0) }
    }

    /// The flag of the slots of a process that has claims.
    pub(crate) fn flag(&self) -> u32 {
        if self.claims.is_empty() { 0 } else { FLAG_MAY_BE_COVERED }
    }

    /// Whether a valid claim of one kind stands now. Once none does, none ever will.
    pub(crate) fn holds(&self, place: &Place, attachment: &Attachment) -> Option<Cover> {
        if self.claims.is_empty() || self.stale.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let valid = |claim: &&Claim| match **claim {
            Claim::Slot { index, word } => {
                index < SLOTS
                    && is_inside(word)
                    && attachment.slot(index).word.load(Ordering::Acquire) == word
                    && !place.is_free(LockByte::Life(index))
            }
            Claim::Generation(generation) => {
                is_closed(generation)
                    && attachment.gate().now() == generation
                    && !place.is_free(LockByte::Exclusive)
            }
        };
        let found = self.claims.iter().filter(valid).map(|claim| match claim {
            Claim::Slot { .. } => Cover::Shared,
            Claim::Generation(_) => Cover::Exclusive,
        });
        // The exclusive side is the stronger of the two.
        let found = found.max_by_key(|cover| *cover == Cover::Exclusive);
        if found.is_none() {
            self.stale.store(1, Ordering::Relaxed);
        }
        found
    }
}

fn parse(text: &str, uuid: &str) -> Vec<Claim> {
    let claim = |entry: &str| {
        let mut fields = entry.split(':');
        if fields.next()? != uuid {
            return None;
        }
        let claim = match fields.next()? {
            "s" => Claim::Slot {
                index: fields.next()?.parse().ok()?,
                word: fields.next()?.parse().ok()?,
            },
            "x" => Claim::Generation(fields.next()?.parse().ok()?),
            _ => return None,
        };
        fields.next().is_none().then_some(claim)
    };
    text.split(',').filter_map(claim).collect()
}

/// The variable's value for a command that runs under this share as well as under what covers us.
pub(crate) fn with_share(uuid: [u32; 4], slot: u32, word: u32) -> OsString {
    extend(&format!("{}:s:{slot}:{word}", hex(uuid)))
}

/// The same for the exclusive side.
pub(crate) fn with_exclusive(held: impl Iterator<Item = ([u32; 4], u32)>) -> OsString {
    let entries: Vec<String> =
        held.map(|(uuid, generation)| format!("{}:x:{generation}", hex(uuid))).collect();
    extend(&entries.join(","))
}

fn extend(entries: &str) -> OsString {
    let before = variable(HELD).and_then(|before| before.into_string().ok());
    match before {
        Some(before) if !entries.is_empty() => format!("{before},{entries}").into(),
        Some(before) => before.into(),
        None => entries.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_and_garbage_is_not() {
        let uuid = "0".repeat(32);
        let text = format!("{uuid}:s:7:13,{uuid}:x:5,{}:x:9,{uuid}:s:1", "1".repeat(32));
        let expected = [Claim::Slot { index: 7, word: 13 }, Claim::Generation(5)];
        assert_eq!(parse(&text, &uuid), expected);
        for garbage in
            ["", ",", ":", "x", "::::", &format!("{uuid}:s:-1:3"), &format!("{uuid}:x:5:6")]
        {
            assert_eq!(parse(garbage, &uuid), []);
        }
    }

    #[test]
    fn a_cover_is_one_share_or_one_pause() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = crate::Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let holds = |held: &std::ffi::OsStr| {
            let claims = parse(held.to_str().unwrap(), &barrier.uuid());
            assert_eq!(claims.len(), 1);
            Covered { claims, stale: AtomicU32::new(0) }.holds(&barrier.inner.place, attachment)
        };
        let share = || barrier.shared_for_command(&mut Default::default()).unwrap();
        let first = share();
        let held = first.cover();
        assert_eq!(holds(&held), Some(Cover::Shared));
        first.end();
        let second = share();
        let slot = |held: OsString| held.to_str().unwrap().split(':').nth(2).map(String::from);
        assert_eq!(slot(second.cover()), slot(held.clone()), "another share in the same slot");
        assert_eq!(holds(&held), None);
        second.end();
        let pause = || barrier.exclusive(&mut Default::default()).unwrap();
        let first = pause();
        let held = first.cover();
        assert_eq!(holds(&held), Some(Cover::Exclusive));
        first.release().unwrap();
        let _second = pause();
        assert_eq!(holds(&held), None);
    }
}
