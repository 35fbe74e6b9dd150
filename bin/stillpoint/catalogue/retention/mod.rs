//! Which snapshots need not be kept.
//!
//! Each [`series`](super::series) is looked at by itself, and within it a snapshot is measured only against
//! newer ones that are at least as good: clean above complete above failed. So nothing that is partial or
//! not clean ever pushes out a clean snapshot, however often it comes, and the newest clean one, which has
//! none to be measured against, always stays. So does the newest that was looked at and found good: newer ones
//! that nobody could look at, for want of the tool, say, may all be bad.
//!
//! A snapshot is *out* by number when N of those are newer, and by age when it is older by more than
//! the given time than the newest of them. By period it is out when one of those that are newer is of its hour (day,
//! week, month, year), or of N later ones: so the newest of each of the last N hours that have any is kept, of the
//! last N days, and so on. Ages are thus measured between snapshots, not by the clock
//! of today, and are no more than can be believed ([`age`](super::age)): neither a clock that is wrong
//! nor a month without snapshots makes all of them old. A snapshot goes only if it is out by every rule
//! that was given.

mod keep;
mod newer;

pub use self::keep::Keep;
use self::newer::{Newer, Worth, is_record_only, jump, worth};
use super::age::stretches;
use super::calendar::Calendar;
use super::manifest::Manifest;
use super::series::series;

/// What the rules come to.
#[derive(Debug, Default)]
pub struct Judgement<'a> {
    /// Those that need not be kept, oldest first.
    pub expendable: Vec<&'a Manifest>,
    /// Where times are not believed, and more is kept for that.
    pub doubts: Vec<Doubt<'a>>,
    /// Series that would lose most of their clean ones because of their times alone.
    pub losses: Vec<Loss<'a>>,
}

/// Snapshots that stay, though by their times they are out by far.
#[derive(Debug)]
pub struct Doubt<'a> {
    /// Oldest first.
    pub kept: Vec<&'a Manifest>,
    /// The two in a row between which the clock moves as nothing else supports.
    pub jump: [&'a Manifest; 2],
}

/// Clean snapshots of one series that nothing but the wall clock makes old.
#[derive(Debug)]
pub struct Loss<'a> {
    /// Oldest first.
    pub clean: Vec<&'a Manifest>,
    /// How many the series has.
    pub of: usize,
}

/// Judges manifests that are given oldest first. None that is under way is expendable.
pub fn judge(manifests: &[Manifest], keep: Keep) -> Judgement<'_> {
    let mut judgement = Judgement::default();
    for members in series(manifests) {
        judgement.judge(&members, keep);
    }
    judgement.expendable.sort_by_key(|manifest| manifest.place());
    judgement
}

impl<'a> Judgement<'a> {
    /// Judges one series, the newest first.
    fn judge(&mut self, members: &[&'a Manifest], keep: Keep) {
        let moments: Vec<_> = members.iter().map(|manifest| manifest.moment()).collect();
        let stretches = stretches(&moments);
        let calendar = Calendar::of(&moments);
        let mut newer = [Newer::default(); 3];
        let (mut doubtful, mut lost, mut clean) = (Vec::new(), Vec::new(), 0);
        let mut has_verified = false;
        for (index, manifest) in members.iter().copied().enumerate().rev() {
            if let Some(stretch) = stretches.get(index) {
                newer.iter_mut().for_each(|newer| newer.age.add(*stretch));
            }
            let worth = worth(manifest);
            let measure = match worth {
                Some(worth) => worth,
                None if is_record_only(manifest) => Worth::Clean,
                None => continue,
            };
            let better = &newer[..=measure as usize];
            let periods = calendar.periods(index);
            let is_enough = |newer: &Newer<'a>| {
                newer.is_enough(keep) && newer.seen.has_enough(periods, keep.periods())
            };
            let is_out = |by: &dyn Fn(&Newer<'a>) -> bool| {
                better.iter().any(|newer| is_enough(newer) && by(newer))
            };
            let is_last_verified = worth == Some(Worth::Clean)
                && manifest.is_verified()
                && !std::mem::replace(&mut has_verified, true);
            if is_last_verified {
                // Whatever the rules say.
            } else if is_out(&|newer| newer.is_older(keep)) {
                self.expendable.push(manifest);
                if worth == Some(Worth::Clean) && !is_out(&|newer| newer.is_surely_older(keep)) {
                    lost.insert(0, manifest);
                }
            } else if is_out(&|newer| newer.seems_older(manifest, keep)) {
                doubtful.insert(0, manifest);
            }
            if let Some(worth) = worth {
                newer[worth as usize].add(manifest);
                newer[worth as usize].seen.add(periods);
                clean += usize::from(worth == Worth::Clean);
            }
        }
        if !doubtful.is_empty() {
            self.doubts
                .extend(jump(members, &stretches).map(|jump| Doubt { kept: doubtful, jump }));
        }
        if lost.len() * 2 > clean {
            self.losses.push(Loss { clean: lost, of: clean });
        }
    }
}

#[cfg(test)]
mod tests;
