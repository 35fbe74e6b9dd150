//! By what writers are stilled, and which of it stills this one.
//!
//! Nothing is taken on trust. A process takes part in a barrier if it has that file mapped, which is how every member
//! has it, in whatever namespace; and a command in it, if its claim is that of a share which is held. An adopted
//! one counts only where its settings protect the place, and where the write locks on that were asked for: it
//! waits at the gate, but it holds what it holds.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::stat::{major, minor};
use stillpoint::{HELD, Status};

use super::files::{Memory, Open};
use super::mounts::{Device, Mounts};
use super::place::Place;
use super::process::Process;
use crate::catalogue::cover::How;
use crate::words::adoption::{Adoption, CONFIG, FILE, NARROWED};

/// What is done about writers in a pause.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// The barriers that are closed.
    pub barriers: Vec<PathBuf>,
    /// Paths on the file systems on which no write lock is held in the pause.
    pub adopted: Vec<PathBuf>,
    /// The folders of control groups that are frozen.
    pub frozen: Vec<PathBuf>,
    /// Participants, and the processes that they speak for.
    pub participants: Vec<(String, Vec<u32>)>,
    /// Lock files of other programs, which are held.
    pub foreign: Vec<PathBuf>,
    /// Cyrus's is among them: its programs open it anew each time.
    pub cyrus: bool,
}

/// The same, looked up for one look at all processes.
pub struct Lookup<'a> {
    means: &'a Means,
    barriers: Vec<Barrier>,
    adopted: Vec<Device>,
    frozen: HashSet<u32>,
    foreign: Vec<(u64, u64)>,
}

struct Barrier {
    /// As it may stand in lists of mappings: the device of the file, and that of its mount.
    devices: Vec<Device>,
    inode: u64,
    /// As stat(2) has it.
    identity: (u64, u64),
    uuid: String,
    /// Slots of who is inside, with their words.
    inside: Vec<(u32, u32)>,
}

impl<'a> Lookup<'a> {
    pub fn new(means: &'a Means, mounts: &mut Mounts) -> Lookup<'a> {
        let adopted = means.adopted.iter().filter_map(|path| Place::of(path, mounts));
        let adopted = adopted.map(|place| place.device).collect();
        let barriers = means.barriers.iter().filter_map(|path| Barrier::at(path, mounts)).collect();
        let identity =
            |path: &PathBuf| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let mut frozen = HashSet::new();
        means.frozen.iter().for_each(|folder| members(folder, &mut frozen));
        let foreign = means.foreign.iter().filter_map(identity).collect();
        Lookup { means, barriers, adopted, frozen, foreign }
    }

    /// How a process with files open in these places is stilled; of one that is not, why.
    pub fn of(
        &self,
        process: Process,
        open: &Open,
        places: &[Place],
        mounts: &mut Mounts,
    ) -> Verdict {
        let is_member = self.barriers.iter().any(|barrier| barrier.is_in(&open.memory));
        let mut why = None;
        if open.memory.is_preloaded {
            why = self.is_not_adopted(process, open, is_member, places, mounts);
            if why.is_none() {
                return Verdict::by(How::Adopted);
            }
        } else if is_member {
            return Verdict::by(How::Linked);
        }
        if self.barriers.iter().any(|barrier| barrier.has_inside(process)) {
            return Verdict::by(How::Linked);
        }
        if self.frozen.contains(&process.0) {
            return Verdict::by(How::Frozen);
        }
        if let Some(name) = self.participant(process) {
            return Verdict { participant: Some(name), ..Verdict::by(How::Participant) };
        }
        if self.takes_foreign_lock(process) {
            return Verdict::by(How::Foreign);
        }
        let why = why.or_else(|| without_barrier(process, &open.memory));
        Verdict { why, ..Verdict::by(How::None) }
    }

    /// Why a process with the library is not stilled there, if it is not.
    fn is_not_adopted(
        &self,
        process: Process,
        open: &Open,
        is_member: bool,
        places: &[Place],
        mounts: &mut Mounts,
    ) -> Option<String> {
        let is_joining = || self.will_join(process, mounts.are_those_of(process.0));
        if !is_member && !is_joining() {
            return without_barrier(process, &open.memory);
        }
        open.places.iter().find_map(|index| self.lacks(process, &places[*index], mounts))
    }

    /// Whoever cannot lose the permission to joins only when it first asks for a lock.
    fn will_join(&self, process: Process, sees_ours: bool) -> bool {
        let barrier = Settings::of(process, sees_ours).and_then(|settings| settings.said.barrier);
        let barrier = barrier.map(|path| process.inside(&path));
        let found = barrier.and_then(|path| fs::metadata(path).ok());
        found.is_some_and(|found| {
            let it = (found.dev(), found.ino());
            self.barriers.iter().any(|barrier| barrier.identity == it)
                && process.may_write(&found) == Some(true)
                && !process.is_root()
        })
    }

    /// Why an adopted process that has joined is not stilled there, if it is not.
    fn lacks(&self, process: Process, place: &Place, mounts: &mut Mounts) -> Option<String> {
        let shown = place.path.display();
        let settings = Settings::of(process, mounts.are_those_of(process.0));
        let Some(settings) = settings.filter(|settings| !settings.is_newer_than(process)) else {
            return Some(
                "its settings were changed since it was started: start it again".to_owned(),
            );
        };
        let mut protected = settings.said.protected.iter();
        let is_on = |path: &PathBuf| {
            Place::of(path, mounts).map(|found| found.device) == Some(place.device)
        };
        if !protected.any(is_on) {
            return Some(format!(
                "it is adopted, but not for {shown}: its settings do not protect that"
            ));
        }
        (!self.adopted.contains(&place.device))
            .then(|| format!("it is adopted, and --adopted {shown} was not given"))
    }

    /// A server is often one process for each client: those that it has started of its own program.
    fn participant(&self, process: Process) -> Option<String> {
        let image = process.image();
        let family: Vec<u32> = std::iter::once(process)
            .chain(process.ancestors().take_while(|one| image.is_some() && one.image() == image))
            .map(|process| process.0)
            .collect();
        let speaks =
            |(_, covered): &&(String, Vec<u32>)| covered.iter().any(|pid| family.contains(pid));
        self.means.participants.iter().find(speaks).map(|(name, _)| name.clone())
    }

    fn takes_foreign_lock(&self, process: Process) -> bool {
        let is_cyrus = |program: PathBuf| {
            let parts = program.components();
            parts.filter_map(|part| part.as_os_str().to_str()).any(|part| part.starts_with("cyrus"))
        };
        if self.means.cyrus && process.program().is_some_and(is_cyrus) {
            return true;
        }
        let names: Vec<&OsStr> =
            self.means.foreign.iter().filter_map(|path| path.file_name()).collect();
        let descriptors = fs::read_dir(process.file("fd")).into_iter().flatten().flatten();
        // Only what may be it is asked for more.
        let mut paths = descriptors.map(|entry| entry.path()).filter(|path| {
            let name = fs::read_link(path).unwrap_or_default();
            name.is_absolute() && name.file_name().is_some_and(|name| names.contains(&name))
        });
        !names.is_empty()
            && paths.any(|path| {
                let found = fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
                found.is_some_and(|found| self.foreign.contains(&found))
            })
    }
}

/// What was found out.
pub struct Verdict {
    pub how: How,
    pub participant: Option<String>,
    pub why: Option<String>,
}

impl Verdict {
    fn by(how: How) -> Verdict {
        Verdict { how, participant: None, why: None }
    }
}

impl Barrier {
    fn at(path: &Path, mounts: &mut Mounts) -> Option<Barrier> {
        let found = fs::metadata(path).ok()?;
        let by_number = (major(found.dev()) as u32, minor(found.dev()) as u32);
        let by_mount = Place::of(path, mounts).map(|place| place.device);
        let status = Status::read(path).ok();
        let inside =
            status.iter().flat_map(|status| &status.writers).filter(|writer| writer.inside);
        Some(Barrier {
            devices: by_mount.into_iter().chain([by_number]).collect(),
            inode: found.ino(),
            identity: (found.dev(), found.ino()),
            inside: inside.map(|writer| (writer.slot, writer.word)).collect(),
            uuid: status.map(|status| status.uuid).unwrap_or_default(),
        })
    }

    fn is_in(&self, memory: &Memory) -> bool {
        self.devices.iter().any(|device| memory.shares(*device, self.inode))
    }

    /// A command in a share, as [`HELD`] says it: `UUID:s:SLOT:WORD`.
    fn has_inside(&self, process: Process) -> bool {
        let held = process.variable(HELD).unwrap_or_default();
        let held = held.to_string_lossy();
        self.inside.iter().any(|(slot, word)| {
            held.split(',').any(|claim| claim == format!("{}:s:{slot}:{word}", self.uuid))
        })
    }
}

/// What the library in a process has read.
struct Settings {
    said: Adoption,
    changed: Option<SystemTime>,
}

/// Times of files are not told any finer, nor those of processes.
const RESOLUTION: Duration = Duration::from_millis(50);

impl Settings {
    /// `None`: there are none, or none that count for it.
    fn of(process: Process, sees_ours: bool) -> Option<Settings> {
        let variable = |name| process.variable(name).filter(|_| !process.is_secure());
        let file = variable(CONFIG).map_or_else(|| FILE.into(), PathBuf::from);
        let file = match sees_ours {
            true => file,
            false => process.inside(&file),
        };
        let mut said = Adoption::parse(&fs::read(&file).ok()?, |_, _| {});
        if variable(NARROWED).is_some_and(|narrowed| !said.narrow(&narrowed)) {
            return None;
        }
        let changed = fs::metadata(file).and_then(|found| found.modified()).ok();
        Some(Settings { said, changed })
    }

    /// It has read them before they became what they are.
    fn is_newer_than(&self, process: Process) -> bool {
        match (self.changed, process.started()) {
            (Some(changed), Some(started)) => changed > started + RESOLUTION,
            _ => true,
        }
    }
}

/// Why a process that has joined none of the barriers has not.
fn without_barrier(process: Process, memory: &Memory) -> Option<String> {
    let verb = if memory.is_preloaded { "adopted to" } else { "linked to" };
    if let Some(other) = memory.a_barrier() {
        return Some(match super::mounts::without_removed(other.as_os_str()) {
            Some(other) => format!(
                "it is {verb} a file that was removed from {}: start it again",
                Path::new(other).display()
            ),
            None => format!("it is {verb} another barrier, {}", other.display()),
        });
    }
    if !memory.is_preloaded {
        return None;
    }
    let is_off = process.variable(NARROWED).is_some_and(|value| value.as_bytes() == b"off");
    Some(match is_off && !process.is_secure() {
        true => format!("{NARROWED}=off in its environment"),
        false => {
            "it has the library, and has joined no barrier: the system's log says why".to_owned()
        }
    })
}

/// The processes in a control group and those inside it.
fn members(folder: &Path, into: &mut HashSet<u32>) {
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    into.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.for_each(|entry| members(&entry.path(), into));
}
