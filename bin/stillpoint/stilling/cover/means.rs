//! By what writers are stilled, and which of it stills this one.
//!
//! Nothing is taken on trust: each says by what it is known.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::adopted::{why_not, without_barrier};
use super::files::Open;
use super::member::Barrier;
use super::mounts::Mounts;
use super::place::Place;
use super::process::Process;
use crate::catalogue::cover::How;
use crate::process::proc::text::Device;

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
            let there: Vec<&Place> = open.places.iter().map(|index| &places[*index]).collect();
            why = open.why_not_adopted.map(str::to_owned);
            why = why
                .or_else(|| why_not(process, open, &there, &self.barriers, &self.adopted, mounts));
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
        let why = why.or_else(|| open.remark.clone());
        Verdict { why, ..Verdict::by(How::None) }
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

/// The processes in a control group and those inside it.
fn members(folder: &Path, into: &mut HashSet<u32>) {
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    into.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.for_each(|entry| members(&entry.path(), into));
}
