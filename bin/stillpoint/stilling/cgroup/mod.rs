//! Groups of processes that stand still in the pause: `--freeze-unit`, `--freeze-cgroup`.
//!
//! Whatever is in a frozen group does nothing, wherever it was. So a group is frozen once the gate is quiet, and the
//! kernel is asked whether one of it holds a write lock: then it was in the midst of something, is thawed, and frozen
//! again a moment later. What is right at any instant (`:now`) is frozen, and that is that.
//!
//! At the end it must have stood still all the time. The group is asked to freeze still, nobody has written to the
//! file that it is frozen by, nor moved anybody into it, all of it stands, and who was in it is in it: then nothing of it
//! has moved, for the kernel lets nobody go on in a group that is asked to freeze. The kernel tells of every such writing; a
//! group that was made again is another one. A process of which a thread is elsewhere does not stand.
//!
//! Right about thawing: it happens, whatever becomes of the tool; see `guardian`. A group that somebody else has frozen
//! is left as it was.

mod find;
mod group;
mod guardian;
mod hierarchy;
mod kin;
mod left;
mod stuck;
mod unit;
pub mod wanted;
mod watch;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use self::group::{Group, is_gone};
use self::guardian::Guardian;
use self::hierarchy::Hierarchy;
use self::left::Left;
pub use self::left::thaw_what_was_left;
use self::wanted::Freezable;
use self::watch::{Meddled, Watch};
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::{say, warn};

/// How long all of it may take to stand still, at first: whoever waits at the gate waits for that, too.
const FIRST: Duration = Duration::from_millis(50);
/// Between two looks, at first and at most.
const LOOKS: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(1));

/// The groups that a pause freezes.
#[derive(Debug)]
pub struct Groups {
    groups: Vec<Group>,
    /// One for each of them.
    wanted: Vec<Wanted>,
    watch: Watch,
    hierarchies: Vec<Hierarchy>,
    guard: Option<(Guardian, Left)>,
    limits: Limits,
    frozen: Option<Frozen>,
    /// Why the last attempt did not come to anything.
    obstacle: Option<Obstacle>,
}

/// How a group was named.
#[derive(Debug)]
struct Wanted {
    name: String,
    now: bool,
}

#[derive(Debug)]
struct Limits {
    /// For the next attempt, more each time, and at most.
    most: Duration,
    drain: Duration,
    /// For all of the pause.
    pause: Option<Duration>,
}

/// What is frozen now.
#[derive(Debug)]
struct Frozen {
    /// Those that were not asked to freeze by somebody else.
    ours: Vec<bool>,
    /// Who was in them when they stood.
    members: Vec<BTreeSet<u32>>,
}

#[derive(Debug)]
enum Obstacle {
    /// This group did not stand in time.
    Moves(usize),
    Said(String),
}

impl Groups {
    /// The groups that are asked for, if all of them can be frozen. Changes nothing. `None` if none is asked for.
    pub fn find(units: &[Freezable], cgroups: &[Freezable]) -> Result<Option<Groups>, Failure> {
        if units.is_empty() && cgroups.is_empty() {
            return Ok(None);
        }
        let hierarchies = Hierarchy::all()?;
        let mut found: Vec<(Group, Wanted)> = Vec::new();
        let units = units.iter().map(|unit| (unit, true));
        for (wanted, is_unit) in units.chain(cgroups.iter().map(|cgroup| (cgroup, false))) {
            let name = wanted.name.as_os_str();
            let group = match is_unit {
                true => find::of_unit(name, &hierarchies)?,
                false => find::of_path(name.as_ref(), &hierarchies)?,
            };
            let failed = |error| Failure::system(group.path().display(), error);
            let identity = group.identity().map_err(failed)?;
            let same = |other: &Group| other.identity().is_ok_and(|other| other == identity);
            match found.iter_mut().find(|(other, _)| same(other)) {
                Some((_, known)) => known.now &= wanted.now,
                None => {
                    let name = name.to_string_lossy().into_owned();
                    found.push((group, Wanted { name, now: wanted.now }));
                }
            }
        }
        let (groups, wanted): (Vec<Group>, Vec<Wanted>) = found.into_iter().unzip();
        let mut watch = Watch::new().map_err(|error: Errno| cannot_watch(error.into()))?;
        watch.look_at(&groups).map_err(cannot_watch)?;
        let limits = Limits { most: FIRST, drain: FIRST, pause: None };
        Ok(Some(Groups {
            groups,
            wanted,
            watch,
            hierarchies,
            guard: None,
            limits,
            frozen: None,
            obstacle: None,
        }))
    }

    /// Where they are.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.groups.iter().map(|group| group.path().to_owned()).collect()
    }

    /// Has somebody stand by who thaws them. They may take the time of a drain to stand still, and stay frozen for a
    /// drain and a hold.
    pub fn prepare(&mut self, drain: Duration, hold: Option<Duration>) -> Result<(), Failure> {
        thaw_what_was_left();
        let drain = drain.max(LOOKS.1);
        let pause = hold.map(|hold| hold.saturating_add(drain));
        self.limits = Limits { most: FIRST.min(drain), drain, pause };
        self.guard().map(drop)
    }

    fn guard(&mut self) -> Result<&Guardian, Failure> {
        if self.guard.as_ref().is_some_and(|(guardian, _)| guardian.has_ended()) {
            self.dismiss();
        }
        let (guardian, _) = match self.guard.take() {
            Some(guard) => self.guard.insert(guard),
            None => {
                let left = Left::record(&self.groups)?;
                let guardian = Guardian::start(&self.groups, &self.hierarchies, &left)?;
                self.guard.insert((guardian, left))
            }
        };
        Ok(guardian)
    }

    fn dismiss(&mut self) {
        if let Some((guardian, left)) = self.guard.take() {
            drop(guardian);
            left.forget();
        }
    }

    /// Freezes all of them, if they stand still in time; else none of them is frozen.
    pub fn freeze(&mut self) -> bool {
        if self.frozen.is_some() {
            return true;
        }
        self.obstacle = None;
        self.obstacle = match self.try_freeze() {
            Ok(None) => return true,
            Ok(Some(moves)) => {
                self.limits.most = (self.limits.most * 2).min(self.limits.drain);
                Some(Obstacle::Moves(moves))
            }
            Err(failure) => Some(Obstacle::Said(failure.to_string())),
        };
        self.thaw();
        false
    }

    /// The first that did not stand in time.
    fn try_freeze(&mut self) -> Result<Option<usize>, Failure> {
        let pause = self.limits.pause;
        let asked = self.groups.iter().map(|group| match group.is_asked_to_freeze() {
            Ok(asked) => Ok(!asked),
            Err(error) => Err(self.failed(group, &error)),
        });
        let ours: Vec<bool> = asked.collect::<Result<_, _>>()?;
        if !self.guard()?.guard(&ours, pause) {
            let message = "the guardian of what is frozen was killed";
            return Err(Failure::new(Exit::SYSTEM, message));
        }
        // Those that were made since.
        self.watch.look_at(&self.groups).map_err(cannot_watch)?;
        let began = Instant::now();
        self.frozen = Some(Frozen { ours: ours.clone(), members: Vec::new() });
        for (group, _) in self.groups.iter().zip(&ours).filter(|(_, ours)| **ours) {
            group.freeze().map_err(|error| self.failed(group, &error))?;
        }
        loop {
            if let Some(index) = self.wait_until_they_stand(began)? {
                return Ok(Some(index));
            }
            // What was written until now was ours, or does not matter if they stand after it.
            self.watch.look_at(&self.groups).map_err(cannot_watch)?;
            self.watch.told(&self.groups);
            match self.first_that_moves()? {
                None => break,
                Some(index) if began.elapsed() >= self.limits.most => return Ok(Some(index)),
                Some(_) => {}
            }
        }
        let members = self
            .groups
            .iter()
            .map(|group| group.members().map_err(|error| self.failed(group, &error)));
        let members = members.collect::<Result<_, _>>()?;
        self.frozen = Some(Frozen { ours, members });
        Ok(None)
    }

    /// The first that does not stand in time.
    fn wait_until_they_stand(&self, began: Instant) -> Result<Option<usize>, Failure> {
        let failed = |group, error| self.failed(group, &error);
        let mut nap = LOOKS.0;
        for (index, group) in self.groups.iter().enumerate() {
            while !group.is_still().map_err(|error| failed(group, error))? {
                if began.elapsed() >= self.limits.most {
                    return Ok(Some(index));
                }
                std::thread::sleep(nap);
                nap = (nap * 2).min(LOOKS.1);
                group.insist().map_err(|error| failed(group, error))?;
            }
        }
        Ok(None)
    }

    fn first_that_moves(&self) -> Result<Option<usize>, Failure> {
        for (index, group) in self.groups.iter().enumerate() {
            if !group.is_still().map_err(|error| self.failed(group, &error))? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn failed(&self, group: &Group, error: &io::Error) -> Failure {
        let path = group.path().display();
        let message = match is_gone(error) {
            true => format!("{path}: was removed meanwhile; was its unit stopped or started anew?"),
            false => format!("{path}: cannot be frozen: {}", reason(error)),
        };
        Failure::new(Exit::SYSTEM, message)
    }

    /// Thaws what this tool has frozen.
    pub fn thaw(&mut self) {
        let Some(Frozen { ours, .. }) = self.frozen.take() else {
            return;
        };
        for (group, _) in self.groups.iter().zip(&ours).filter(|(_, ours)| **ours) {
            if let Err(error) = group.thaw() {
                if !is_gone(&error) {
                    let path = group.path().display();
                    warn(&format!("{path}: cannot be thawed: {}", reason(&error)));
                }
            }
        }
        if let Some((guardian, _)) = &self.guard {
            guardian.guard(&vec![false; ours.len()], None);
        }
    }

    /// The processes of the groups that are right at any instant, or of the others; `None` if one cannot be asked.
    pub fn processes(&self, now: bool) -> Option<BTreeSet<u32>> {
        let groups = self.groups.iter().zip(&self.wanted).filter(|(_, wanted)| wanted.now == now);
        let found = groups.map(|(group, _)| group.processes());
        let found: Vec<BTreeSet<u32>> = found.collect::<Result<_, _>>().ok()?;
        Some(found.into_iter().flatten().collect())
    }

    /// An error unless all of it has stood still until now. What somebody else has frozen is left to him.
    pub fn check(&mut self) -> Result<(), Failure> {
        let Some(mut frozen) = self.frozen.take() else {
            return Ok(());
        };
        let meddled = self.watch.told(&self.groups);
        let mut spoilt = None;
        for (index, group) in self.groups.iter().enumerate() {
            let name = &self.wanted[index].name;
            let why = match self.spoilt(group, &frozen.members[index], meddled[index]) {
                Ok(why) => why,
                Err(error) if is_gone(&error) => Some("was removed".to_owned()),
                Err(error) => Some(format!("cannot be looked at ({})", reason(&error))),
            };
            spoilt = spoilt.or(why.map(|why| format!("{name}: {why}")));
            let is_theirs = meddled[index].froze && group.is_asked_to_freeze().unwrap_or(false);
            if is_theirs || !frozen.ours[index] {
                frozen.ours[index] = false;
                say(&format!("{name}: somebody else has frozen it, and it stays so"));
            }
        }
        self.frozen = Some(frozen);
        // Asked last: its word comes before it thaws.
        let has_thawed = self.guard.as_ref().is_some_and(|(guardian, _)| guardian.has_thawed());
        let message = match (has_thawed, spoilt) {
            (false, None) => return Ok(()),
            (true, _) => "what was frozen had reached its limit and was thawed before the pause was over: what was made in it is not to be trusted".to_owned(),
            (false, Some(spoilt)) => format!(
                "{spoilt} before the pause was over, so not all of it stood still: what was made in it is not to be trusted"
            ),
        };
        Err(Failure::new(Exit::LIMIT, message))
    }

    /// What has happened to a group that was to stand still.
    fn spoilt(
        &self,
        group: &Group,
        members: &BTreeSet<u32>,
        meddled: Meddled,
    ) -> io::Result<Option<String>> {
        if !group.is_in_place()? {
            return Ok(Some(
                "was removed and made anew, as of a unit that was restarted,".to_owned(),
            ));
        }
        if meddled.froze {
            return Ok(Some("somebody else has frozen or thawed it".to_owned()));
        }
        let left = members.difference(&group.members()?).next().copied();
        if let Some(pid) = left {
            return Ok(Some(format!("process {pid} of it was killed or moved out of it")));
        }
        if let Some(pid) = group.one_with_threads_elsewhere()? {
            return Ok(Some(format!("process {pid} of it has threads elsewhere, which went on")));
        }
        let is_still = group.is_still()? && !meddled.moved;
        Ok((!is_still).then(|| "was thawed, or a process was moved into it,".to_owned()))
    }

    /// Why they were not frozen when they were to be; for who was told that it was too late. Reads /proc.
    pub fn in_the_way(&self) -> Option<String> {
        match self.obstacle.as_ref()? {
            Obstacle::Said(why) => Some(why.clone()),
            Obstacle::Moves(index) => {
                let name = &self.wanted[*index].name;
                let members = self.groups[*index].members().unwrap_or_default();
                Some(match stuck::one_of(&members) {
                    Some(who) => format!("{name} does not freeze: {who} cannot be interrupted"),
                    None => format!("{name} does not freeze in time"),
                })
            }
        }
    }
}

fn cannot_watch(error: io::Error) -> Failure {
    Failure::system("cannot watch control groups: inotify", error)
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.thaw();
        self.dismiss();
    }
}
