//! Writers that take no share themselves: how they are made to stand still while the gate is closed.
//!
//! Each kind has a room of its own; this one puts them together for whoever wants the exclusive side. Everything that
//! can be refused is refused before the gate closes. Then, in this order: the gate is closed and nobody is inside;
//! what is asked of the kernel is true ([`Others::are_still`]); the pause is granted; stores with a quiesce of their own
//! are told, as writers inside may have been waiting for them.
//! At the end they are asked whether they have stood still all the time, the gate opens, and only then they go on.
//!
//! Uses `catalogue` and below. Right about the certificate: what did not stand still from before the first byte to
//! after the last takes it away.

mod cgroup;
pub mod cover;
pub mod locks;
pub mod participant;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgGroup;
use clap::builder::{OsStringValueParser, TypedValueParser};
use stillpoint::ExclusiveGuard;

use self::cgroup::Groups;
pub use self::cgroup::thaw_what_was_left;
use self::cgroup::wanted::{Freezable, parse};
use self::cover::Means;
use self::locks::{Locks, Whose};
use self::participant::Participants;
use self::participant::named::{self, With};
use crate::barrier::exclusive::{Exclusive, Others};
use crate::catalogue::record::{ParticipantRecord, WriterRecord};
use crate::words::exit::Failure;
use crate::words::seconds::FOREVER;

/// What is asked for.
#[derive(clap::Args, Debug, Default)]
#[command(group(ArgGroup::new("locked").args(["adopted", "freeze_unit", "freeze_cgroup"]).multiple(true)))]
pub struct Wanted {
    /// Wait until nobody holds a write lock on the file system of PATH
    #[arg(long, value_name = "PATH")]
    pub adopted: Vec<PathBuf>,

    /// But for locks on this file, or on files in this folder, which are kept for a program's life
    #[arg(long, value_name = "PATH", requires = "locked")]
    pub adopted_ignore: Vec<PathBuf>,

    /// Freeze the processes of this unit of systemd; UNIT:now whatever they have locked
    #[arg(long, value_name = "UNIT", allow_hyphen_values = true, value_parser = freezable())]
    pub freeze_unit: Vec<Freezable>,

    /// Freeze the processes of this control group; PATH:now whatever they have locked
    #[arg(long, value_name = "PATH", value_parser = freezable())]
    pub freeze_cgroup: Vec<Freezable>,

    /// Still a store that has a quiesce of its own, by its participant: 'NAME [ARGUMENT...]', or '/PROGRAM [ARGUMENT...]'
    #[arg(long, value_name = "PARTICIPANT", value_parser = with_parser())]
    pub with: Vec<With>,
}

fn freezable() -> impl TypedValueParser<Value = Freezable> {
    OsStringValueParser::new().try_map(|text| parse(&text))
}

fn with_parser() -> impl TypedValueParser<Value = With> {
    OsStringValueParser::new().try_map(|text| named::parse(&text))
}

impl Wanted {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.adopted.is_empty()
            && self.freeze_unit.is_empty()
            && self.freeze_cgroup.is_empty()
            && self.with.is_empty()
    }

    /// Refuses what cannot work, with this limit of the hold, and starts nothing.
    pub fn check(&self, hold: Option<Duration>) -> Result<(), Failure> {
        if hold.is_none() && !self.with.is_empty() {
            let message = "participants must know when to go on by themselves: --with needs a --hold other than none";
            return Err(Failure::usage(message));
        }
        Groups::find(&self.freeze_unit, &self.freeze_cgroup)?;
        Participants::find(&self.with).map(drop)
    }

    /// Refuses what would not be still while these barriers are closed, as [`Stilling::prepare`] and
    /// [`Stilling::check_barriers`] will, and starts nothing. What is doubtful is returned.
    pub fn try_barriers(&self, closed: &[&Path]) -> Result<Option<String>, Failure> {
        match self.adopted.as_slice() {
            [] => Ok(None),
            adopted => Locks::try_adopted(adopted, closed),
        }
    }
}

/// How long others may be kept waiting.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until all stand still.
    pub drain: Duration,
    /// And from then on; `None`: as long as it takes.
    pub hold: Option<Duration>,
}

impl Limits {
    /// As long as the writers of a barrier.
    pub fn of(side: &Exclusive<'_>) -> Limits {
        Limits { drain: side.drain, hold: side.hold.duration() }
    }
}

/// What is done about it. Dropped, it lets everybody go on.
#[derive(Debug)]
pub struct Stilling {
    /// Paths on the file systems whose locks are asked for.
    adopted: Vec<PathBuf>,
    locks: Option<Locks>,
    participants: Participants,
    frozen: Option<Frozen>,
}

/// Groups, and the locks that their processes must not hold when they are frozen.
#[derive(Debug)]
struct Frozen {
    groups: Groups,
    locks: Locks,
}

impl Stilling {
    /// Refuses what cannot work, and starts what must run before the gate closes. `sources`: paths on the file systems
    /// that the snapshot reads, as far as that is known.
    pub fn prepare(
        wanted: &Wanted,
        sources: &[PathBuf],
        limits: Limits,
    ) -> Result<Stilling, Failure> {
        let Wanted { adopted, adopted_ignore, freeze_unit, freeze_cgroup, with } = wanted;
        let locks = (!adopted.is_empty()).then(|| Locks::adopted(adopted, adopted_ignore));
        let locks = locks.transpose()?;
        let mut participants = Participants::find(with)?;
        let mut frozen = None;
        if let Some(mut groups) = Groups::find(freeze_unit, freeze_cgroup)? {
            let read: Vec<PathBuf> = sources.iter().chain(adopted).cloned().collect();
            let locks = Locks::on(&read, adopted_ignore)?;
            groups.prepare(limits.drain, limits.hold)?;
            frozen = Some(Frozen { groups, locks });
        }
        participants.start()?;
        Ok(Stilling { adopted: adopted.clone(), locks, frozen, participants })
    }

    /// By what it stills whom, for who looks at all that write. Participants are ready by then.
    pub fn means(&self) -> Means {
        let frozen = self.frozen.as_ref().map(|frozen| frozen.groups.folders());
        Means {
            adopted: self.adopted.clone(),
            frozen: frozen.unwrap_or_default(),
            participants: self
                .participants()
                .into_iter()
                .map(|one| (one.participant, one.covers))
                .collect(),
            ..Means::default()
        }
    }

    /// Refuses what would not be still while these barriers are closed.
    pub fn check_barriers(&self, closed: &[&Path]) -> Result<(), Failure> {
        self.locks.as_ref().map_or(Ok(()), |locks| locks.check_barriers(closed))
    }

    /// Who kept it from being had, for the manifest.
    pub fn inside(&self) -> Vec<WriterRecord> {
        let of_frozen = self.frozen.iter().map(|frozen| &frozen.locks);
        self.locks.iter().chain(of_frozen).flat_map(Locks::records).collect()
    }

    /// Nobody holds a lock that counts, but for those who are frozen whatever they hold.
    fn are_locks_free(&mut self) -> bool {
        if self.locks.is_none() {
            return true;
        }
        let (excused, locks) = (self.excused(), &mut self.locks);
        excused
            .zip(locks.as_mut())
            .is_some_and(|(excused, locks)| locks.are_free(Whose::AllBut(&excused)))
    }

    /// Those who are frozen whatever they hold; `None`: they cannot be seen.
    fn excused(&self) -> Option<BTreeSet<u32>> {
        let excused = self.frozen.as_ref().map(|frozen| frozen.groups.processes(true));
        excused.unwrap_or_else(|| Some(BTreeSet::new()))
    }

    /// What a manifest says of those that are told.
    pub fn participants(&self) -> Vec<ParticipantRecord> {
        self.participants.records()
    }

    /// Before each closing: those that are told are there and listen.
    pub fn get_ready(&mut self) -> Result<(), Failure> {
        self.participants.get_ready()
    }

    /// In the pause: tells those that are told. They have as long to stand still as a writer may be kept waiting.
    pub fn freeze(&mut self, drain: Duration, guard: &ExclusiveGuard) -> Result<(), Failure> {
        let limit = guard.remaining().unwrap_or(FOREVER);
        self.participants.freeze(drain.min(limit), limit)
    }

    /// Whether all have stood still until now. Quick: writers wait meanwhile.
    pub fn check(&mut self) -> Result<(), Failure> {
        let stood = self.frozen.as_mut().map_or(Ok(()), |frozen| frozen.groups.check());
        stood.and(self.participants.check())
    }

    /// Lets all go on. The gate is open by then. An error if one finds that it was not still.
    pub fn thaw(&mut self) -> Result<(), Failure> {
        if let Some(frozen) = &mut self.frozen {
            frozen.groups.thaw();
        }
        self.participants.thaw()
    }
}

impl Frozen {
    /// Whether all of them stand, and none in the midst of something.
    fn freeze(&mut self) -> bool {
        self.groups.freeze()
            && self.groups.processes(false).is_some_and(|processes| {
                processes.is_empty() || self.locks.are_free(Whose::Only(&processes))
            })
    }
}

impl Others for Stilling {
    fn are_asked(&self) -> bool {
        self.locks.is_some() || self.frozen.is_some()
    }

    fn are_still(&mut self) -> bool {
        // Nobody is frozen for nothing.
        if !self.are_locks_free() {
            return false;
        }
        let Some(frozen) = &mut self.frozen else {
            return true;
        };
        // What was locked before they were frozen is asked for again.
        if frozen.freeze() && self.are_locks_free() {
            return true;
        }
        if let Some(frozen) = &mut self.frozen {
            frozen.groups.thaw();
        }
        false
    }

    fn let_go(&mut self) {
        if let Some(frozen) = &mut self.frozen {
            frozen.groups.thaw();
            frozen.locks.look();
        }
        if let Some(locks) = &mut self.locks {
            locks.look();
        }
    }

    fn have_stayed_still(&mut self) -> Result<(), Failure> {
        if self.locks.is_none() {
            return Ok(());
        }
        let (excused, locks) = (self.excused().unwrap_or_default(), self.locks.as_mut());
        locks.map_or(Ok(()), |locks| locks.have_stayed_free(Whose::AllBut(&excused)))
    }

    fn have_held(&mut self) -> Result<(), Failure> {
        self.check()
    }

    fn in_the_way(&self) -> Vec<String> {
        let frozen = self.frozen.iter().flat_map(|frozen| {
            frozen.groups.in_the_way().into_iter().chain(frozen.locks.in_the_way())
        });
        self.locks.iter().filter_map(Locks::in_the_way).chain(frozen).collect()
    }
}

impl Drop for Stilling {
    fn drop(&mut self) {
        let _ = self.thaw();
    }
}
