//! Who takes part in a barrier.
//!
//! A process does that has the file mapped, which is how every member has it, in whatever namespace; and a command, if
//! its claim is that of a share which is held.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{major, minor};
use stillpoint::{HELD, Status};

use super::memory::Memory;
use super::mounts::Mounts;
use super::place::Place;
use super::process::Process;
use super::shown::Device;

/// A barrier that is closed.
pub struct Barrier {
    /// As it may stand in lists of mappings: the device of the file, and that of its mount.
    devices: Vec<Device>,
    inode: u64,
    /// As stat(2) has it.
    pub identity: (u64, u64),
    uuid: String,
    /// Slots of who is inside, with their words.
    inside: Vec<(u32, u32)>,
}

impl Barrier {
    pub fn at(path: &Path, mounts: &mut Mounts) -> Option<Barrier> {
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

    pub fn is_in(&self, memory: &Memory) -> bool {
        self.devices.iter().any(|device| memory.shares(*device, self.inode))
    }

    /// A command in a share, as [`HELD`] says it: `UUID:s:SLOT:WORD`.
    pub fn has_inside(&self, process: Process) -> bool {
        let held = process.variable(HELD).unwrap_or_default();
        let held = held.to_string_lossy();
        self.inside.iter().any(|(slot, word)| {
            held.split(',').any(|claim| claim == format!("{}:s:{slot}:{word}", self.uuid))
        })
    }
}
