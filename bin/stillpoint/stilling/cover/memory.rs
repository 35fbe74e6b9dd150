//! What a process has mapped: the files that it shares, and the library for adopted programs.
//!
//! A mapping keeps a file writable after its descriptor was closed; also one that may not be written to at the moment, as
//! those who guard their pages against themselves have it, if the file was opened for that. `map_files` of proc(5) says
//! how it was, and leads to the file whatever has become of its name.

use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::process::proc::mount_of;
use crate::process::proc::text::{Device, device, path, without_removed};

/// What the kernel hands out of a list at once.
const PIECE: usize = 1 << 13;

/// What is mapped into the memory of a process.
#[derive(Debug, Default)]
pub struct Memory {
    /// Files that it shares.
    pub shared: Vec<Mapping>,
    /// The library for adopted programs.
    pub is_preloaded: bool,
}

/// A part of a file that is shared with all who map it.
#[derive(Debug)]
pub struct Mapping {
    /// As `map_files` has it.
    range: String,
    pub device: Device,
    inode: u64,
    pub name: PathBuf,
    is_writable: bool,
}

/// The file of a mapping.
pub enum Behind {
    /// The number of its mount, and the file.
    Found(u64, Box<Metadata>),
    /// Who is not root may not look there.
    Denied,
    /// It is mapped no more.
    Gone,
}

/// `None`: it has none. By the folder of a process in /proc, or that of a thread.
pub fn read(process: &Path) -> io::Result<Option<Memory>> {
    let mut maps = BufReader::with_capacity(PIECE, File::open(process.join("maps"))?);
    let (mut memory, mut line, mut any) = (Memory::default(), Vec::new(), false);
    while maps.read_until(b'\n', &mut line)? > 0 {
        any = true;
        memory.add(line.trim_ascii_end());
        line.clear();
    }
    Ok(any.then_some(memory))
}

impl Memory {
    /// Whether it can write to this file.
    pub fn shares(&self, device: Device, inode: u64) -> bool {
        let mut writable = self.shared.iter().filter(|mapping| mapping.is_writable);
        writable.any(|mapping| (mapping.device, mapping.inode) == (device, inode))
    }

    /// A barrier that it has joined.
    pub fn a_barrier(&self) -> Option<&Path> {
        let name = |path: &Path| path.as_os_str().as_bytes().ends_with(b".barrier");
        let plain = |path: &Path| {
            name(path)
                || without_removed(path.as_os_str()).is_some_and(|path| name(Path::new(path)))
        };
        let writable = self.shared.iter().filter(|mapping| mapping.is_writable);
        writable.map(|mapping| mapping.name.as_path()).find(|path| plain(path))
    }

    /// A line of proc_pid_maps(5).
    fn add(&mut self, line: &[u8]) {
        self.is_preloaded |= is_library(line);
        let Some(addresses) = line.iter().position(|byte| *byte == b' ') else { return };
        let Some(access) = line.get(addresses + 1..addresses + 5) else { return };
        if access[3] != b's' {
            return;
        }
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let text = |field| std::str::from_utf8(field).unwrap_or_default();
        let on = fields.next().and_then(|field| device(text(field), 16));
        let inode = fields.next().and_then(|field| text(field).parse().ok());
        // The rest of the line, which may have blanks in it.
        let name = line.iter().position(|byte| *byte == b'/').map(|start| path(&line[start..]));
        if let (Some(device), Some(inode), Some(name)) = (on, inode, name) {
            let range = range(text(&line[..addresses]));
            let is_writable = access[1] == b'w';
            self.shared.push(Mapping { range, device, inode, name, is_writable });
        }
    }
}

/// Without zeros to the left, which `maps` has.
fn range(addresses: &str) -> String {
    let (from, to) = addresses.split_once('-').unwrap_or_default();
    format!("{}-{}", from.trim_start_matches('0'), to.trim_start_matches('0'))
}

fn is_library(line: &[u8]) -> bool {
    let ends = |line: &[u8]| line.ends_with(b"/libstillpoint_adopt.so");
    // An upgrade has removed it, and the process goes on with it.
    ends(line) || line.strip_suffix(b" (deleted)").is_some_and(ends)
}

impl Mapping {
    /// Which file it is of, by one of its names.
    pub fn file(&self) -> (Device, u64, &Path) {
        (self.device, self.inode, &self.name)
    }

    /// Whether it is of this file, as far as numbers tell.
    pub fn is_of(&self, found: &Metadata) -> bool {
        self.inode == found.ino()
    }

    /// What leads to the file, below the folder of its process.
    pub fn link(&self, process: &Path) -> PathBuf {
        process.join("map_files").join(&self.range)
    }

    /// Whether it is writable, or the process may make it so.
    pub fn may_be_written_to(&self, process: &Path) -> bool {
        self.is_writable
            || match fs::symlink_metadata(self.link(process)) {
                Ok(link) => link.mode() & libc::S_IWUSR != 0,
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            }
    }

    /// Asks the file system that it lies on.
    pub fn behind(&self, process: &Path) -> Behind {
        let mut options = File::options();
        let opened = options.read(true).custom_flags(libc::O_PATH).open(self.link(process));
        let found = opened.and_then(|file| {
            let mount = mount_of(&file).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Behind::Found(mount, Box::new(file.metadata()?)))
        });
        found.unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Behind::Gone,
            _ => Behind::Denied,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_shared_mappings() {
        let mut memory = Memory::default();
        for line in [
            "00400000-00401000 r--s 00000000 08:02 17    /srv/a b",
            "7f0000000000-7f0000001000 rw-s 00001000 00:2a 18 /run/x.barrier (deleted)",
            "7f0000001000-7f0000002000 rw-p 00000000 08:02 19 /srv/private",
            "7f0000002000-7f0000003000 rw-s 00000000 00:01 20",
            "garbage",
        ] {
            memory.add(line.as_bytes());
        }
        let found: Vec<_> =
            memory.shared.iter().map(|one| (one.range.as_str(), one.inode)).collect();
        assert_eq!(found, [("400000-401000", 17), ("7f0000000000-7f0000001000", 18)]);
        assert_eq!(memory.shared[0].name, Path::new("/srv/a b"));
        assert!(memory.shares((0, 0x2a), 18) && !memory.shares((8, 2), 17));
        assert_eq!(memory.a_barrier(), Some(Path::new("/run/x.barrier (deleted)")));
    }
}
