//! One group: freezing it, thawing it, and what there is to know of it.
//!
//! It is known by the folder that was opened: a group that was removed and made again, as that of a unit that was
//! restarted, has the same path and is another one. Whether it is frozen is asked in two ways: whether somebody has
//! frozen this very group, and whether all of it stands still, for whatever reason. The first is what thawing undoes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::hierarchy::Version;
use crate::files::open;
use crate::process::proc::{Process, Stat};

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// How often threads that are nowhere are looked for again, and after how long.
const LOOKS: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub struct Group {
    folder: File,
    control: File,
    path: PathBuf,
    version: Version,
}

impl Group {
    /// One that there is, for freezing it. Changes nothing.
    pub fn open(path: &Path, version: Version) -> io::Result<Group> {
        let folder = open::folder(path)?;
        let control = open_in(&folder, version.control(), OFlag::O_RDWR)?;
        Ok(Group { folder, control, path: path.to_owned(), version })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that it is frozen by.
    pub fn control(&self) -> PathBuf {
        self.path.join(self.version.control())
    }

    /// What keeps it open.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.folder.as_raw_fd(), self.control.as_raw_fd()]
    }

    /// No two groups since the machine was started have it in common.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        self.folder.metadata().map(|found| (found.dev(), found.ino()))
    }

    /// Whether its path leads to it still.
    pub fn is_in_place(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(found) => Ok((found.dev(), found.ino()) == self.identity()?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn freeze(&self) -> io::Result<()> {
        self.write(match self.version {
            Version::One => b"FROZEN",
            Version::Two => b"1",
        })
    }

    pub fn thaw(&self) -> io::Result<()> {
        self.write(match self.version {
            Version::One => b"THAWED",
            Version::Two => b"0",
        })
    }

    /// For one that was asked to freeze and does not stand yet. Version 1 asks each thread once, and forgets one that was
    /// about to wait for its child of vfork(2), or to fork.
    pub fn insist(&self) -> io::Result<()> {
        match self.version {
            Version::One if self.is_asked_to_freeze()? => self.freeze(),
            _ => Ok(()),
        }
    }

    fn write(&self, word: &[u8]) -> io::Result<()> {
        (&self.control).write_all(word)
    }

    /// Somebody has frozen this group itself, and none that it lies in.
    pub fn is_asked_to_freeze(&self) -> io::Result<bool> {
        let text = match self.version {
            Version::One => self.read("freezer.self_freezing")?,
            Version::Two => {
                let mut word = [0; 8];
                let length = self.control.read_at(&mut word, 0)?;
                String::from_utf8_lossy(&word[..length]).into_owned()
            }
        };
        Ok(text.trim() == "1")
    }

    /// All that is in it stands still.
    pub fn is_still(&self) -> io::Result<bool> {
        Ok(match self.version {
            // To read it is what makes the kernel look.
            Version::One => self.read("freezer.state")?.trim() == "FROZEN",
            Version::Two => self.read("cgroup.events")?.lines().any(|line| line == "frozen 1"),
        })
    }

    /// Some threads of a process may be in such a group, and others elsewhere.
    pub fn has_threads_only(&self) -> io::Result<bool> {
        match self.read("cgroup.type") {
            Ok(kind) => Ok(!matches!(kind.trim(), "domain" | "domain threaded")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The same of version 1, where any group may be such a one: a process of it of which not all threads are.
    pub fn one_with_threads_elsewhere(&self) -> io::Result<Option<u32>> {
        if self.version == Version::Two {
            return Ok(None);
        }
        let mut elsewhere = self.threads_elsewhere()?;
        // Threads begin and end while this is looked at.
        for _ in 0..LOOKS {
            if elsewhere.is_empty() {
                break;
            }
            std::thread::sleep(BETWEEN);
            let now = self.threads_elsewhere()?;
            elsewhere.retain(|thread| now.contains(thread));
        }
        Ok(elsewhere.first().map(|(process, _)| *process))
    }

    /// With their processes. One that has ended is nowhere.
    fn threads_elsewhere(&self) -> io::Result<BTreeSet<(u32, u32)>> {
        let threads = |process: u32| {
            let threads = fs::read_dir(Process(process).file("task"));
            let names = threads.into_iter().flatten().flatten().map(|entry| entry.file_name());
            let numbers = names.filter_map(|name| name.to_str()?.parse().ok());
            numbers.map(move |thread: u32| (process, thread)).collect::<Vec<_>>()
        };
        let all: Vec<(u32, u32)> = self.processes()?.into_iter().flat_map(threads).collect();
        let members = self.members()?;
        let mut elsewhere = all
            .into_iter()
            .filter(|(_, thread)| !members.contains(thread))
            .collect::<BTreeSet<_>>();
        elsewhere.retain(|(process, thread)| is_alive(*process, *thread));
        Ok(elsewhere)
    }

    /// The processes in it and in all groups below.
    pub fn processes(&self) -> io::Result<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        add(&self.folder, "cgroup.procs", &mut found)?;
        Ok(found)
    }

    /// The same, and of version 1 all their threads: each of them could leave alone.
    pub fn members(&self) -> io::Result<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        let list = match self.version {
            Version::One => "tasks",
            Version::Two => "cgroup.procs",
        };
        add(&self.folder, list, &mut found)?;
        Ok(found)
    }

    fn read(&self, file: &str) -> io::Result<String> {
        read_in(&self.folder, file)
    }
}

fn is_alive(process: u32, thread: u32) -> bool {
    let stat = Stat::read(&Process(process).file(&format!("task/{thread}")));
    stat.is_some_and(|stat| !stat.is_ended())
}

/// Adds what such a list says, in this folder and in all below.
fn add(folder: &File, list: &str, found: &mut BTreeSet<u32>) -> io::Result<()> {
    match read_in(folder, list) {
        Ok(text) => found.extend(text.lines().filter_map(|pid| pid.parse::<u32>().ok())),
        // Of threads only: their processes stand in a group above.
        Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {}
        Err(error) => return Err(error),
    }
    for entry in Dir::openat(folder, ".", FOLDER, Mode::empty())?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        let is_group = entry.file_type() == Some(Type::Directory);
        if !is_group || matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let added = openat(folder, name, FOLDER, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|below| add(&below.into(), list, found));
        match added {
            // Removed meanwhile, it was empty.
            Err(error) if is_gone(&error) => {}
            added => added?,
        }
    }
    Ok(())
}

/// What any question to a group ends with that was removed.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ENODEV))
}

fn open_in(folder: &File, name: &str, flags: OFlag) -> io::Result<File> {
    Ok(openat(folder, name, flags | OFlag::O_CLOEXEC, Mode::empty())?.into())
}

fn read_in(folder: &File, name: &str) -> io::Result<String> {
    let mut text = String::new();
    open_in(folder, name, OFlag::O_RDONLY)?.read_to_string(&mut text)?;
    Ok(text)
}
