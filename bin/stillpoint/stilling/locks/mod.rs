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
mod whose;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::getppid;
use stillpoint::{HeldLock, LockedFileSystems};

use self::holders::{Place, places};
use self::ignored::Ignored;
pub use self::whose::Whose;
use crate::catalogue::record::WriterRecord;
use crate::words::exit::{Exit, Failure};
use crate::words::waiting::who;

/// Named in a message.
const NAMED: usize = 4;
/// As many askings tell whether a lock is kept all the time.
const ENOUGH: u32 = 3;
/// Between two looks at locks that may last.
const BETWEEN: Duration = Duration::from_millis(60);
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
    /// Those that were in the way when they were last asked about.
    last: Vec<HeldLock>,
    /// How often they were asked about, and how often each was there.
    asked: u32,
    seen: BTreeMap<HeldLock, u32>,
    /// Those of the last closing.
    named: Vec<Named>,
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
}

impl Locks {
    /// Of the file systems that these paths lie on, of all if there is none; but for those on files that are `ignored`.
    pub fn on(paths: &[PathBuf], ignored: &[PathBuf]) -> Result<Locks, Failure> {
        for path in paths {
            path.metadata().map_err(|error| {
                let (path, why) = (path.display(), crate::words::exit::reason(&error));
                Failure::new(Exit::MISSING, format!("--adopted {path}: {why}"))
            })?;
        }
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
        let mut places = places(&self.systems, &last);
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
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let file = place.and_then(Place::path).unwrap_or_else(|| {
            let of = self.systems.devices().iter().position(|device| *device == lock.device);
            let path = of.and_then(|index| self.paths.get(index));
            let path = path.map(|path| path.display().to_string()).unwrap_or_default();
            format!("inode {} of {path}", lock.inode)
        });
        Named { lock: lock.clone(), pid, comm: comm.trim_end().to_owned(), file }
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
        let names: Vec<String> = culprits.iter().map(|named| named.text()).collect();
        let hint = match stay {
            true => ", all the time; what is locked for life, --adopted-ignore leaves out",
            false => "",
        };
        (!names.is_empty()).then(|| format!("{}{hint}", names.join(", ")))
    }

    /// Those that are held for longer than a pause waits, as some looks at them tell.
    pub fn that_last(&mut self) -> Vec<String> {
        for _ in 0..=ENOUGH {
            self.are_free(Whose::AllBut(&BTreeSet::new()));
            std::thread::sleep(BETWEEN);
        }
        self.are_free(Whose::AllBut(&BTreeSet::new()));
        self.look();
        match self.culprits() {
            (staying, true) => staying.into_iter().map(Named::text).collect(),
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
fn own_processes() -> Vec<u32> {
    let program = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let (own, parent) = (std::process::id(), u32::try_from(getppid().as_raw()).unwrap_or(0));
    let is_ours = |pid| program(pid).is_some_and(|it| program(own).is_some_and(|ours| it == ours));
    [own, parent].into_iter().filter(|pid| *pid == own || is_ours(*pid)).collect()
}
