//! How old a snapshot is, when no clock is to be trusted.
//!
//! A wall clock may be wrong in either direction, for one snapshot or for all from some moment on, and
//! what is removed for its age does not come back. What can be trusted is the order of the snapshots, and
//! what the machine counted between two of one start. So an age is added up from one snapshot to the next:
//!
//! * Between two of one start it is what the machine counted.
//! * Between others the wall clock alone knows. The clock of a start is what it was at its last snapshot:
//!   clocks are set right more often than wrong. Nothing is believed of a stretch in which it went back,
//!   and of one that is longer than usual (the median of those stretches in the series) no more than that.
//! * Of the stretches that an age is made of, the longest that rests on the wall clock counts for nothing:
//!   it takes another one like it to support it.
//!
//! So no age is taken for more than it is as long as the clock has jumped ahead in at most one of those
//! stretches; each further one adds no more than a usual stretch, while they are fewer than half. What it
//! costs is that some are kept for longer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::clock::ClockRecord;

const MINUTE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A moment as it was recorded.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub wall: Option<Timestamp>,
    pub machine: Option<&'a ClockRecord>,
}

/// The time between one moment and the next, as far as it is believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stretch {
    /// What the machine counted.
    Counted(Duration),
    /// What the wall clock says, which may have been set in between.
    Told(Duration),
}

/// The believed times between each moment, in the order in which they came, and the next.
pub fn stretches(moments: &[Moment<'_>]) -> Vec<Stretch> {
    let times = corrected(moments);
    let told = |a: usize| match (times[a], times[a + 1]) {
        (Some(earlier), Some(later)) => {
            later.duration_since(earlier).try_into().unwrap_or_default()
        }
        _ => Duration::ZERO,
    };
    let mut stretches: Vec<Stretch> = (0..moments.len().saturating_sub(1))
        .map(|a| match counted(&moments[a], &moments[a + 1]) {
            Some(passed) => Stretch::Counted(passed),
            None => Stretch::Told(told(a)),
        })
        .collect();
    let mut usual: Vec<Duration> = stretches.iter().filter_map(Stretch::told).collect();
    usual.sort();
    if let Some(usual) = usual.get(usual.len().saturating_sub(1) / 2).copied() {
        for stretch in &mut stretches {
            if let Stretch::Told(told) = stretch {
                *told = usual.min(*told);
            }
        }
    }
    stretches
}

/// What the wall clock would have shown at each moment, had it been set as it was at the last moment of
/// the same start.
pub fn corrected(moments: &[Moment<'_>]) -> Vec<Option<Timestamp>> {
    let mut times: Vec<Option<Timestamp>> = moments.iter().map(|moment| moment.wall).collect();
    for a in (0..moments.len().saturating_sub(1)).rev() {
        if let (Some(passed), Some(later)) = (counted(&moments[a], &moments[a + 1]), times[a + 1]) {
            times[a] = SignedDuration::try_from(passed)
                .ok()
                .and_then(|passed| later.checked_sub(passed).ok());
        }
    }
    times
}

fn counted(earlier: &Moment<'_>, later: &Moment<'_>) -> Option<Duration> {
    earlier.machine?.until(later.machine?)
}

impl Stretch {
    fn told(&self) -> Option<Duration> {
        match self {
            Stretch::Counted(_) => None,
            Stretch::Told(told) => Some(*told),
        }
    }
}

/// An age, added up from stretches that follow each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Age {
    counted: Duration,
    told: Duration,
    longest_told: Duration,
}

impl Age {
    pub fn add(&mut self, stretch: Stretch) {
        match stretch {
            Stretch::Counted(passed) => self.counted = self.counted.saturating_add(passed),
            Stretch::Told(told) => {
                self.told = self.told.saturating_add(told);
                self.longest_told = self.longest_told.max(told);
            }
        }
    }

    /// What is believed of it.
    pub fn believed(&self) -> Duration {
        self.counted.saturating_add(self.told - self.longest_told)
    }

    /// Can it be what the wall clock makes of it? A stretch that stands alone is not called wrong for that,
    /// only for being out of all proportion.
    pub fn supports(&self, by_clock: SignedDuration) -> bool {
        let Ok(by_clock) = Duration::try_from(by_clock) else {
            return false;
        };
        let slack = MINUTE.max(self.counted / 100);
        let all = self.counted.saturating_add(self.told);
        let ahead = if self.told.is_zero() { slack } else { WEEK.max(all) };
        by_clock >= self.counted.saturating_sub(slack) && by_clock <= all.saturating_add(ahead)
    }

    /// What of it no wall clock has told.
    pub fn counted(&self) -> Duration {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const YEAR: i64 = 365 * 24;

    /// Hours by the wall clock, and the start of the machine with its hours since then.
    type At = (i64, Option<(u8, u64)>);

    /// The believed ages in hours, of each moment at the last one.
    fn ages(moments: &[At]) -> Vec<u64> {
        let clock = |(boot, hours): (u8, u64)| ClockRecord {
            boot_id: boot.to_string(),
            uptime_ms: (hours * HOUR * 1000) as f64,
        };
        let clocks: Vec<_> = moments.iter().map(|(_, machine)| machine.map(clock)).collect();
        let moments: Vec<Moment<'_>> = moments
            .iter()
            .zip(&clocks)
            .map(|((wall, _), machine)| Moment {
                wall: Timestamp::from_second(1_795_000_000 + wall * HOUR as i64).ok(),
                machine: machine.as_ref(),
            })
            .collect();
        let mut ages = vec![Age::default()];
        for stretch in stretches(&moments).into_iter().rev() {
            let mut age = *ages.last().unwrap();
            age.add(stretch);
            ages.push(age);
        }
        ages.reverse();
        ages.iter().map(|age| age.believed().as_secs() / HOUR).collect()
    }

    /// Of one start of the machine, an hour apart.
    fn running(walls: &[i64]) -> Vec<At> {
        walls.iter().zip(1..).map(|(wall, hours)| (*wall, Some((1, hours)))).collect()
    }

    /// Without a clock of the machine.
    fn bare(walls: &[i64]) -> Vec<At> {
        walls.iter().map(|wall| (*wall, None)).collect()
    }

    #[test]
    fn what_the_machine_counted_needs_no_wall_clock() {
        for walls in [
            [0, 1, 2, 3],
            [0, 1, 2, 11 * YEAR],
            [0, 1, 11 * YEAR, 3],
            [0, 11 * YEAR, 2, 3],
            [0, 1, 2, -56 * YEAR],
            [-56 * YEAR, 1, 2, 3],
            [3, 2, 1, 0],
        ] {
            assert_eq!(ages(&running(&walls)), [3, 2, 1, 0], "{walls:?}");
        }
    }

    #[test]
    fn what_the_wall_clock_alone_tells_takes_another_stretch_like_it() {
        assert_eq!(ages(&bare(&[0])), [0]);
        assert_eq!(ages(&bare(&[0, 24])), [0, 0]);
        assert_eq!(ages(&bare(&[0, 24, 48, 72])), [48, 24, 0, 0]);
        // A weekend is no jump, and counts as a usual stretch.
        assert_eq!(ages(&bare(&[0, 24, 48, 120, 144])), [72, 48, 24, 0, 0]);
        // The newest alone is wrong, or those before it, or one among them.
        assert_eq!(ages(&bare(&[0, 24, 48, 11 * YEAR])), [48, 24, 0, 0]);
        assert_eq!(ages(&bare(&[0, 24, 48, -56 * YEAR])), [24, 0, 0, 0]);
        assert_eq!(ages(&bare(&[-56 * YEAR, 24, 48, 72])), [48, 24, 0, 0]);
        assert_eq!(ages(&bare(&[0, 24, 11 * YEAR, 72, 96])), [48, 24, 0, 0, 0]);
        assert_eq!(ages(&bare(&[0, 24, -56 * YEAR, 72, 96])), [48, 24, 24, 0, 0]);
        // All from some moment on, in either direction.
        assert_eq!(ages(&bare(&[0, 24, 11 * YEAR, 11 * YEAR + 24])), [48, 24, 0, 0]);
        assert_eq!(ages(&bare(&[0, 24, -56 * YEAR, 24 - 56 * YEAR])), [24, 0, 0, 0]);
    }

    #[test]
    fn a_start_of_the_machine_is_dated_by_its_last_moment() {
        // Begun in 1970 and set right later: as if it had been right all the time.
        let mut moments = vec![(0, Some((1, 5))), (24, Some((1, 29)))];
        moments.extend([(-56 * YEAR, Some((2, 1))), (72, Some((2, 25))), (96, Some((2, 49)))]);
        moments.extend([(120, Some((3, 1)))]);
        assert_eq!(ages(&moments), [24 + 24 + 48, 24 + 48, 48, 24, 0, 0]);
        // One start follows another: what lies between them is told by the wall clock.
        let nightly: Vec<At> =
            (0..6).map(|day| (day * 24, Some((u8::try_from(day).unwrap(), 2)))).collect();
        assert_eq!(ages(&nightly), [96, 72, 48, 24, 0, 0]);
        // Moments that no machine can have had are of different machines.
        assert_eq!(ages(&[(0, Some((1, 9))), (24, Some((1, 3))), (48, Some((1, 9)))]), [6, 6, 0]);
        // From an earlier version, then from this one.
        assert_eq!(
            ages(&[(0, None), (24, None), (48, Some((1, 2))), (49, Some((1, 3)))]),
            [25, 1, 1, 0]
        );
    }

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % sides
        }
    }

    /// The true age of each moment, and what was recorded of it; and in how many stretches between two
    /// starts of the machine (or where none was recorded) the clock jumped ahead.
    fn history(dice: &mut Dice) -> (Vec<u64>, Vec<At>, usize) {
        let (length, recorded_from) = (2 + dice.roll(14) as usize, dice.roll(6) as usize);
        let (mut time, mut uptime, mut boot) = (0, dice.roll(9), 0_u8);
        let (mut truth, mut moments, mut errors) = (Vec::new(), Vec::<At>::new(), Vec::new());
        let mut error = 0_i64;
        for index in 0..length {
            if index > 0 {
                let gap = 1 + dice.roll(30);
                (time, uptime) = (time + gap, uptime + gap);
                if dice.roll(3) == 0 {
                    (boot, uptime) = (boot + 1, dice.roll(gap));
                }
            }
            error = match dice.roll(6) {
                0 => 0,
                1 => dice.roll(40) as i64 - 20,
                2 => 12 * YEAR,
                3 => -40 * YEAR,
                _ => error,
            };
            truth.push(time);
            errors.push(error);
            moments.push((time as i64 + error, (index >= recorded_from).then_some((boot, uptime))));
        }
        // The clock of a start is that of its last moment.
        for index in (0..length - 1).rev() {
            if is_one_start(&moments[index..]) {
                errors[index] = errors[index + 1];
            }
        }
        let jumps = errors.windows(2).filter(|pair| pair[1] > pair[0]).count();
        (truth.iter().map(|at| time - at).collect(), moments, jumps)
    }

    fn is_one_start(moments: &[At]) -> bool {
        let boot = |at: &At| at.1.map(|(boot, _)| boot);
        boot(&moments[0]).is_some() && boot(&moments[0]) == boot(&moments[1])
    }

    #[test]
    fn no_age_is_taken_for_more_than_it_is_unless_the_clock_jumped_ahead_twice() {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let (mut tried, mut believed) = (0, 0);
        for _ in 0..200_000 {
            let (truth, moments, jumps) = history(&mut dice);
            let ages = ages(&moments);
            if jumps < 2 {
                tried += 1;
                let right = ages.iter().zip(&truth).all(|(age, truth)| age <= truth);
                assert!(right, "{ages:?} {truth:?} {moments:?}");
                believed += usize::from(ages[0] > 0);
            }
            let told = moments.windows(2).filter(|pair| !is_one_start(pair)).count();
            if (1..told.div_ceil(2)).contains(&jumps) {
                // The longest gap is 30 hours.
                let more = (jumps as u64 - 1) * 30;
                assert!(ages.iter().zip(&truth).all(|(age, truth)| *age <= truth + more));
            }
            assert!(ages.is_sorted_by(|older, newer| older >= newer), "{ages:?} {moments:?}");
        }
        assert!(tried > 20_000 && believed > tried / 2, "{believed} of {tried}");
    }

    #[test]
    fn an_age_by_the_clock_is_called_wrong_where_something_speaks_against_it() {
        let supports = |counted: u64, told: &[u64], by_clock: i64| {
            let mut age = Age::default();
            age.add(Stretch::Counted(Duration::from_secs(counted * HOUR)));
            told.iter().for_each(|told| age.add(Stretch::Told(Duration::from_secs(told * HOUR))));
            age.supports(SignedDuration::from_hours(by_clock))
        };
        assert!(supports(0, &[], 0) && supports(50, &[], 50) && supports(1000, &[], 1005));
        assert!(!supports(50, &[], 52) && !supports(50, &[], 48) && !supports(50, &[], -50));
        assert!(supports(0, &[24], 24) && supports(50, &[24], 74) && supports(50, &[24], 140));
        assert!(!supports(50, &[24], 12 * YEAR) && !supports(50, &[24], 40));
    }

    /// Where nothing jumps and snapshots come as usual, nothing is kept for much longer than it should.
    #[test]
    fn a_clock_that_is_right_is_believed() {
        let mut dice = Dice(42);
        for _ in 0..2_000 {
            let (length, gap) = (2 + dice.roll(30), 1 + dice.roll(30));
            let (mut boot, mut uptime) = (0, 0);
            let moments: Vec<At> = (0..length)
                .map(|index| {
                    uptime += gap;
                    if dice.roll(4) == 0 {
                        (boot, uptime) = (boot + 1, dice.roll(gap));
                    }
                    ((index * gap) as i64, (boot > 1).then_some((boot, uptime)))
                })
                .collect();
            for (index, age) in ages(&moments).iter().enumerate() {
                let truth = (length - 1 - index as u64) * gap;
                assert!(*age <= truth && *age + gap >= truth, "{age} {truth} {moments:?}");
            }
        }
    }
}
