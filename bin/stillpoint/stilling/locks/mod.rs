//! Write locks that adopted programs hold: the predicate of the exclusive side.
//!
//! An adopted program is inside a share only while it asks for a lock; that it holds one the kernel says. With nobody
//! inside, none let in since before the question, and no write lock in the answer, no section between locks is under
//! way, and none begins before the gate opens: whatever was taken after the question was taken inside a share, and would
//! have been counted. So the locks can only have become fewer while the list was read, and one that was held to the end
//! of the reading was held all the time, and is on it (see the library's `LockedFileSystems`).
//!
//! What does not count: locks to read, leases, locks that are waited for; those of this process and what it has
//! inherited; those on barriers; and those on files that are to be ignored, since programs keep them locked for life.
//!
//! The question is asked while writers wait. It costs one reading of the list; who holds what is found out with the gate
//! open, before the first closing and between two.

mod holders;
mod ignored;
mod settings;
mod whose;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::getppid;
use stillpoint::{HeldLock, LockedFileSystems};

use self::holders::{Place, Search, places};
use self::ignored::Ignored;
use self::settings::Settings;
pub use self::whose::Whose;
use crate::catalogue::record::WriterRecord;
use crate::process::proc::Process;
use crate::stilling::cover::process::Ourselves;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;
use crate::words::waiting::who;

/// Named in a message.
const NAMED: usize = 4;
/// As many askings tell whether a lock is kept all the time.
const ENOUGH: u32 = 3;
/// Looks at locks that may last, and the time between two: one that is taken again and again is missed once.
const LOOKS: u32 = 250;
const BETWEEN: Duration = Duration::from_millis(2);
/// Locks that are counted, at most.
const COUNTED: usize = 4096;

/// The file systems that are asked about.
#[derive(Debug)]
pub struct Locks {
    paths: Vec<PathBuf>,
    systems: LockedFileSystems,
    ignored: Ignored,
    /// Processes whose descriptors are ours.
    own: Vec<u32>,
    settings: Option<Settings>,
    /// Those that were in the way when they were last asked about.
    last: Vec<HeldLock>,
    /// How often they were asked about, and how often each was there.
    asked: u32,
    seen: BTreeMap<HeldLock, u32>,
    /// Those of the last closing.
    named: Vec<Named>,
}

/// A lock that may be kept for a program's life.
#[derive(Debug)]
pub struct Lasting {
    pub text: String,
    /// It guards a database, and must count.
    pub is_of_sqlite: bool,
}

/// A lock in the way, for messages.
#[derive(Debug)]
struct Named {
    lock: HeldLock,
    pid: u32,
    comm: String,
    file: String,
}

impl Named {
    fn text(&self) -> String {
        let who = who(self.pid, &self.comm, "");
        format!("{} WRITE lock of {who} on {}", self.lock.kind, self.file)
    }

    /// By the bytes that SQLite locks: those of a database beyond its first GiB, and some of its index of the log.
    fn is_of_sqlite(&self) -> bool {
        const DATABASE: i64 = 1 << 30;
        let of_log = self.file.ends_with("-shm") && (120..=128).contains(&self.lock.first);
        of_log || (DATABASE..DATABASE + 512).contains(&self.lock.first)
    }
}

impl Locks {
    /// Of those where programs are adopted, with what their settings ignore.
    pub fn adopted(paths: &[PathBuf], ignored: &[PathBuf]) -> Result<Locks, Failure> {
        let settings = Settings::read().map_err(|doubt| warn(&doubt)).ok();
        let mut ignored = ignored.to_owned();
        if let Some(settings) = &settings {
            ignored.extend_from_slice(settings.ignored());
        }
        let locks = Locks::on(paths, &ignored)?;
        if let Some(settings) = &settings {
            settings.check(paths)?;
        }
        Ok(Locks { settings, ..locks })
    }

    /// Refuses what [`Locks::adopted`] and [`Locks::check_barriers`] would, and asks for no lock. What it does not
    /// refuse may be doubtful all the same.
    pub fn try_adopted(paths: &[PathBuf], closed: &[&Path]) -> Result<Option<String>, Failure> {
        are_there(paths)?;
        let settings = match Settings::read() {
            Ok(settings) => settings,
            Err(doubt) => return Ok(Some(doubt)),
        };
        settings.check(paths)?;
        settings.check_barriers(closed)?;
        Ok(None)
    }

    /// Refuses to ask for locks at other barriers than the programs'.
    pub fn check_barriers(&self, closed: &[&Path]) -> Result<(), Failure> {
        self.settings.as_ref().map_or(Ok(()), |settings| settings.check_barriers(closed))
    }

    /// Of the file systems that these paths lie on, of all if there is none; but for those on files that are `ignored`.
    pub fn on(paths: &[PathBuf], ignored: &[PathBuf]) -> Result<Locks, Failure> {
        are_there(paths)?;
        let unavailable =
            |error: stillpoint::Error| Failure::new(Exit::UNAVAILABLE, error.to_string());
        let systems = match paths {
            [] => LockedFileSystems::all(),
            paths => LockedFileSystems::of(paths).map_err(unavailable)?,
        };
        let mut locks = Locks {
            paths: paths.to_owned(),
            systems,
            ignored: Ignored::new(ignored),
            own: own_processes(),
            settings: None,
            last: Vec::new(),
            asked: 0,
            seen: BTreeMap::new(),
            named: Vec::new(),
        };
        // A list that cannot be read is said now, and not when writers wait.
        locks.last = locks.systems.held().map_err(unavailable)?;
        locks.look();
        Ok(locks)
    }

    /// Whether none is held by those that count.
    pub fn are_free(&mut self, whose: Whose<'_>) -> bool {
        let Ok(held) = self.systems.held() else {
            return false;
        };
        self.last = self.in_the_way_of(whose.of(held, &self.systems));
        self.asked += 1;
        if self.seen.len() > COUNTED {
            self.seen.clear();
        }
        for lock in &self.last {
            *self.seen.entry(lock.clone()).or_default() += 1;
        }
        self.last.is_empty()
    }

    /// Whether none is held just before the gate opens: whoever has one did not wait, and has written. Our children do
    /// what was asked of them: a participant may well lock its store.
    pub fn have_stayed_free(&mut self, whose: Whose<'_>) -> Result<(), Failure> {
        if self.are_free(whose) {
            return Ok(());
        }
        let places = places(&self.systems, &self.last, Search::All);
        let is_ours =
            |place: &Place| Process(place.pid).ancestors().any(|one| one.0 == std::process::id());
        self.last.retain(|lock| places.get(lock).is_none_or(|all| !all.iter().any(is_ours)));
        if self.last.is_empty() {
            return Ok(());
        }
        self.look();
        let names = names(self.named.iter()).unwrap_or_else(|| "a WRITE lock".to_owned());
        let message = format!(
            "in the pause: {names}: whoever has it does not wait at the gate; what was made is not to be trusted"
        );
        Err(Failure::new(Exit::LIMIT, message))
    }

    /// Those that count.
    fn in_the_way_of(&self, held: Vec<HeldLock>) -> Vec<HeldLock> {
        let held = held.into_iter().filter(|lock| !self.ignored.leave_out(lock, &self.systems));
        let held: Vec<HeldLock> = held.collect();
        if held.is_empty() {
            return held;
        }
        let own = self.own.iter().flat_map(|pid| self.systems.held_by(*pid));
        let own: Vec<HeldLock> = own.map(|(_, lock)| lock).collect();
        held.into_iter().filter(|lock| !own.contains(lock)).collect()
    }

    /// With the gate open: who holds what was in the way, and whether that is to be ignored from now on.
    pub fn look(&mut self) {
        self.ignored.look();
        self.named.clear();
        let last = std::mem::take(&mut self.last);
        let mut last = self.in_the_way_of(last);
        last.sort_by_key(|lock| std::cmp::Reverse(self.times(lock)));
        // One of several files that have the name of one that is to be ignored.
        let is_one_of_many = last.iter().any(|lock| self.ignored.name(lock));
        let search = if is_one_of_many { Search::All } else { Search::First };
        let mut places = places(&self.systems, &last, search);
        for lock in &last {
            let places = places.remove(lock).unwrap_or_default();
            let barrier = places.iter().find(|place| place.is_of_barrier());
            match barrier.and_then(Place::identity) {
                Some((device, inode)) => self.ignored.add(lock.device, inode, device),
                None if self.named.len() < NAMED => {
                    let place = places.iter().find(|place| !self.ignored.have(lock, place));
                    let named = self.name(lock, place);
                    self.named.push(named);
                }
                None => {}
            }
        }
        self.last = last;
    }

    fn times(&self, lock: &HeldLock) -> u32 {
        self.seen.get(lock).copied().unwrap_or(0)
    }

    fn name(&self, lock: &HeldLock, place: Option<&Place>) -> Named {
        let pid = place.map(|place| place.pid).or(lock.pid).unwrap_or(0);
        let comm = Process(pid).comm();
        let file = place.and_then(Place::path).unwrap_or_else(|| {
            let of = self.systems.devices().iter().position(|device| *device == lock.device);
            let path = of.and_then(|index| self.paths.get(index));
            let path = path.map(|path| path.display().to_string()).unwrap_or_default();
            format!("inode {} of {path}", lock.inode)
        });
        Named { lock: lock.clone(), pid, comm, file }
    }

    /// Those that were in the way to the end; of those that were there all the time, only these.
    fn culprits(&self) -> (Vec<&Named>, bool) {
        let stays = |named: &&Named| self.asked >= ENOUGH && self.times(&named.lock) == self.asked;
        if self.asked == 0 {
            return (Vec::new(), false);
        }
        let staying: Vec<&Named> = self.named.iter().filter(stays).collect();
        match staying.is_empty() {
            true => (self.named.iter().collect(), false),
            false => (staying, true),
        }
    }

    /// Who held one when they were last asked about.
    pub fn in_the_way(&self) -> Option<String> {
        let (culprits, stay) = self.culprits();
        let names = names(culprits.into_iter())?;
        // Whoever is told to leave a database's out would do so.
        let hint = match stay && !self.named.iter().any(Named::is_of_sqlite) {
            true => {
                ", each time; what is locked for life and guards no data, --adopted-ignore leaves out"
            }
            false => "",
        };
        Some(format!("{names}{hint}"))
    }

    /// Those that are held for longer than a pause waits, as many looks at them tell.
    pub fn that_last(&mut self) -> Vec<Lasting> {
        for _ in 0..LOOKS {
            self.are_free(Whose::AllBut(&BTreeSet::new()));
            if self.seen.values().all(|times| *times < self.asked) {
                return Vec::new();
            }
            std::thread::sleep(BETWEEN);
        }
        self.are_free(Whose::AllBut(&BTreeSet::new()));
        self.look();
        let lasting =
            |named: &Named| Lasting { text: named.text(), is_of_sqlite: named.is_of_sqlite() };
        match self.culprits() {
            (staying, true) => staying.into_iter().map(lasting).collect(),
            (_, false) => Vec::new(),
        }
    }

    /// Who held one, for the manifest.
    pub fn records(&self) -> Vec<WriterRecord> {
        let record = |named: &&Named| WriterRecord {
            pid: named.pid,
            tid: named.pid,
            comm: named.comm.clone(),
            label: format!("{} WRITE lock", named.lock.kind),
            held_ms: 0.0,
            place: named.file.clone(),
            wait_channel: None,
        };
        self.culprits().0.iter().map(record).collect()
    }
}

/// This one; the parent of a keeper, too, which has kept what the keeper has closed.
fn are_there(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        path.metadata().map_err(|error| {
            let (path, why) = (path.display(), crate::words::exit::reason(&error));
            Failure::new(Exit::MISSING, format!("--adopted {path}: {why}"))
        })?;
    }
    Ok(())
}

fn own_processes() -> Vec<u32> {
    let ourselves = Ourselves::new();
    let parent = u32::try_from(getppid().as_raw()).ok();
    let parent = parent.filter(|parent| ourselves.are(Process(*parent)));
    std::iter::once(std::process::id()).chain(parent).collect()
}

fn names<'a>(those: impl Iterator<Item = &'a Named>) -> Option<String> {
    let names: Vec<String> = those.map(Named::text).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
