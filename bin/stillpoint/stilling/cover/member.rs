//! Who takes part in a barrier.
//!
//! A process does that has the file mapped, which is how every member has it, in whatever namespace; and a command, if
//! its claim is that of a share which is held.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use stillpoint::{HELD, Status};

use super::memory::Memory;
use super::mounts::Mounts;
use super::place::Place;
use super::process::Process;
use crate::process::proc::text::Device;

/// A barrier that is closed.
pub struct Barrier {
    /// As it may stand in lists of mappings: the device of the file, and that of its mount.
    devices: Vec<Device>,
    inode: u64,
    /// As stat(2) has it.
    pub identity: (u64, u64),
    path: PathBuf,
    /// Asked for when it is first needed: it takes a question to the kernel for each member.
    inside: OnceCell<Vec<String>>,
}

impl Barrier {
    pub fn at(path: &Path, mounts: &mut Mounts) -> Option<Barrier> {
        let found = fs::metadata(path).ok()?;
        let by_number = (major(found.dev()) as u32, minor(found.dev()) as u32);
        let by_mount = Place::of(path, mounts).map(|place| place.device);
        Some(Barrier {
            devices: by_mount.into_iter().chain([by_number]).collect(),
            inode: found.ino(),
            identity: (found.dev(), found.ino()),
            path: path.to_owned(),
            inside: OnceCell::new(),
        })
    }

    pub fn is_in(&self, memory: &Memory) -> bool {
        self.devices.iter().any(|device| memory.shares(*device, self.inode))
    }

    /// A command in a share, as [`HELD`] says it: `UUID:s:SLOT:WORD`.
    pub fn has_inside(&self, process: Process) -> bool {
        let held = process.variable(HELD).unwrap_or_default();
        let held = held.to_string_lossy();
        !held.is_empty()
            && self.inside().iter().any(|share| held.split(',').any(|claim| claim == share))
    }

    /// What those would claim who are in a share that is held.
    fn inside(&self) -> &[String] {
        self.inside.get_or_init(|| {
            let Ok(status) = Status::read(&self.path) else { return Vec::new() };
            let inside = status.writers.iter().filter(|writer| writer.inside);
            inside.map(|one| format!("{}:s:{}:{}", status.uuid, one.slot, one.word)).collect()
        })
    }
}
