//! The files that one process has open for writing in certain places, and what else its memory tells.
//!
//! Only what is needed is read, as there may be very many: of a descriptor its name, then, if that is a path, how
//! it was opened and on which mount. Nothing here asks a file system but those that are asked about, so that none
//! that has hung up can hold us. A mapping keeps a file writable after its descriptor was closed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::mounts::{Device, Mounts, device, path, without_removed};
use super::place::{Place, number};
use super::process::{Process, is_denied};

/// Examples of files.
const NAMED: usize = 4;
/// Descriptors of one process that are looked at: whoever has more is not seen whole.
const MOST: usize = 100_000;
/// `O_ACCMODE`, of what is written in octal.
const ACCESS: u32 = 3;

/// What a process has there.
#[derive(Debug, Default)]
pub struct Open {
    /// Some of the files.
    pub files: Vec<String>,
    /// Of the places, those that they lie in.
    pub places: Vec<usize>,
    pub memory: Memory,
}

/// What is mapped into its memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// Files that it shares, and may write to.
    shared: Vec<(Device, u64, PathBuf)>,
    /// The library for adopted programs.
    pub is_preloaded: bool,
}

impl Memory {
    pub fn shares(&self, device: Device, inode: u64) -> bool {
        self.shared.iter().any(|(on, number, _)| (*on, *number) == (device, inode))
    }

    /// A barrier that it has joined.
    pub fn a_barrier(&self) -> Option<&Path> {
        let name = |path: &Path| path.as_os_str().as_bytes().ends_with(b".barrier");
        let plain = |path: &Path| {
            name(path)
                || without_removed(path.as_os_str()).is_some_and(|path| name(Path::new(path)))
        };
        self.shared.iter().map(|(_, _, path)| path.as_path()).find(|path| plain(path))
    }
}

/// `None`: it has nothing open there. An error: that may not be seen, or there is too much to look at.
pub fn look(process: Process, places: &[Place], mounts: &mut Mounts) -> io::Result<Option<Open>> {
    let Some((process, memory)) = read_memory(process)? else {
        return Ok(None);
    };
    let mut open = Open { memory, ..Open::default() };
    let mut looked = 0;
    for entry in entries(&process.join("fd"))? {
        looked += 1;
        if looked > MOST {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if open.files.len() >= NAMED && open.places.len() == places.len() {
            break;
        }
        let name = match fs::read_link(entry.path()) {
            Ok(name) if name.is_absolute() => name,
            Err(error) if is_denied(&error) => return Err(error),
            _ => continue,
        };
        open.look_at(&process, &entry.file_name(), &name, places, mounts);
    }
    open.look_at_mapped(&process, places, mounts);
    Ok((!open.places.is_empty()).then_some(open))
}

fn entries(folder: &Path) -> io::Result<impl Iterator<Item = fs::DirEntry>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if is_denied(&error) => return Err(error),
        Err(_) => None,
    };
    Ok(entries.into_iter().flatten().flatten())
}

/// With where it is to be looked at: the first thread may have ended, and shows nothing any more. `None`: it has
/// ended, or is a thread of the kernel.
fn read_memory(process: Process) -> io::Result<Option<(PathBuf, Memory)>> {
    let whole = PathBuf::from(format!("/proc/{}", process.0));
    match read(&whole) {
        Err(error) if is_denied(&error) && !process.is_of_kernel() => return Err(error),
        Ok(Some(memory)) => return Ok(Some((whole, memory))),
        _ if process.is_of_kernel() => return Ok(None),
        _ => {}
    }
    let threads = fs::read_dir(whole.join("task")).into_iter().flatten().flatten();
    let threads = threads.map(|entry| entry.path());
    let of_thread = |thread: PathBuf| Some((read(&thread).ok()??, thread));
    Ok(threads.filter_map(of_thread).map(|(memory, thread)| (thread, memory)).next())
}

/// `None`: it has none.
fn read(process: &Path) -> io::Result<Option<Memory>> {
    let mut maps = BufReader::with_capacity(1 << 16, File::open(process.join("maps"))?);
    let (mut memory, mut line, mut any) = (Memory::default(), Vec::new(), false);
    while maps.read_until(b'\n', &mut line)? > 0 {
        any = true;
        memory.add(line.trim_ascii_end());
        line.clear();
    }
    Ok(any.then_some(memory))
}

impl Memory {
    /// A line of proc_pid_maps(5).
    fn add(&mut self, line: &[u8]) {
        self.is_preloaded |= is_library(line);
        let Some(addresses) = line.iter().position(|byte| *byte == b' ') else { return };
        let access = line.get(addresses + 1..addresses + 5);
        if !access.is_some_and(|access| access[1] == b'w' && access[3] == b's') {
            return;
        }
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let text = |field| std::str::from_utf8(field).unwrap_or_default();
        let on = fields.next().and_then(|field| device(text(field), 16));
        let inode = fields.next().and_then(|field| text(field).parse().ok());
        // The rest of the line, which may have blanks in it.
        let name = line.iter().position(|byte| *byte == b'/').map(|start| path(&line[start..]));
        if let (Some(on), Some(inode), Some(name)) = (on, inode, name) {
            self.shared.push((on, inode, name));
        }
    }
}

fn is_library(line: &[u8]) -> bool {
    let ends = |line: &[u8]| line.ends_with(b"/libstillpoint_adopt.so");
    // An upgrade has removed it, and the process goes on with it.
    ends(line) || line.strip_suffix(b" (deleted)").is_some_and(ends)
}

impl Open {
    /// A descriptor that has this path.
    fn look_at(
        &mut self,
        process: &Path,
        descriptor: &OsStr,
        name: &Path,
        places: &[Place],
        mounts: &mut Mounts,
    ) {
        let about = fs::read_to_string(process.join("fdinfo").join(descriptor)).unwrap_or_default();
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if flags.is_none_or(|flags| flags & ACCESS == 0) {
            return;
        }
        let pid = number_of(process);
        let Some(mount) = number(&about).and_then(|number| mounts.of(number, pid)) else { return };
        let (on, inside) = (mount.device, mount.name_of(name));
        let file = process.join("fd").join(descriptor);
        self.add(on, inside.as_deref(), name, &file, places);
    }

    fn look_at_mapped(&mut self, process: &Path, places: &[Place], mounts: &mut Mounts) {
        let shared = std::mem::take(&mut self.memory.shared);
        for (on, _, name) in &shared {
            let removed = without_removed(name.as_os_str()).is_some();
            if removed || !places.iter().any(|place| place.device == *on) {
                continue;
            }
            let inside = mounts.name_on(*on, name, number_of(process));
            let file = process.join("root").join(name.strip_prefix("/").unwrap_or(name));
            self.add(*on, inside.as_deref(), name, &file, places);
        }
        self.memory.shared = shared;
    }

    /// A file that is in some of the places, if its name there is, unless it has no name at all any more.
    fn add(
        &mut self,
        on: Device,
        inside: Option<&Path>,
        name: &Path,
        file: &Path,
        places: &[Place],
    ) {
        let may_be = |place: &&Place| place.device == on && place.may_have(inside);
        if !places.iter().any(|place| may_be(&place)) {
            return;
        }
        let found = fs::metadata(file).ok();
        if found.as_ref().is_some_and(|found| found.nlink() == 0) {
            return;
        }
        let is_part = |place: &Place| found.as_ref().is_none_or(|found| place.is_on(found.dev()));
        let mut is_any = false;
        for (index, place) in places.iter().enumerate() {
            if may_be(&place) && is_part(place) {
                is_any = true;
                if !self.places.contains(&index) {
                    self.places.push(index);
                }
            }
        }
        let text = name.to_string_lossy().into_owned();
        if is_any && self.files.len() < NAMED && !self.files.contains(&text) {
            self.files.push(text);
        }
    }
}

/// The process whose folder, or that of whose thread, this is.
fn number_of(process: &Path) -> u32 {
    let name = process.components().nth(2).map(|part| part.as_os_str().to_string_lossy());
    name.and_then(|name| name.parse().ok()).unwrap_or_default()
}
