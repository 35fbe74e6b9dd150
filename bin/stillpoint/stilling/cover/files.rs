//! The files that one process has open for writing in certain places.
//!
//! Only what is needed is read, as there may be very many: of a descriptor its name, then, if that is a path, whether
//! one may write by it, which its link in /proc has as its permissions, and then on which mount it was opened. Nothing
//! here asks a file system but those that are asked about, so that none that has hung up can hold us; but for files on mounts
//! that nobody sees, and then not for long.
//!
//! A file has the name that it was opened by, and others may lead to it: one that has several, or has lost this one,
//! may lie in any place of its file system.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::stat::{major, minor};
use nix::sys::statfs::{FsType, OVERLAYFS_SUPER_MAGIC, statfs};

use super::memory::{self, Behind, Mapping, Memory};
use super::mounts::Mounts;
use super::overlay::{WHY_NOT_ADOPTED, uppers};
use super::place::Place;
use super::process::{Process, is_denied};
use crate::process::proc::read;
use crate::process::proc::text::{Device, mount_number, without_removed};

/// Examples of files.
const NAMED: usize = 4;
/// Descriptors of one process that are looked at: whoever has more is not seen whole.
const MOST: usize = 100_000;
/// How long a file system is waited for that nobody has asked about.
const PATIENCE: Duration = Duration::from_millis(500);
/// File systems whose files are those of others: overlays, and eCryptfs.
const ABOVE_OTHERS: [FsType; 2] = [OVERLAYFS_SUPER_MAGIC, FsType(0xf15f)];
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
    /// It has files open of which nobody knows where they lie.
    pub is_lost: bool,
    /// Why the library in it does not still it.
    pub why_not_adopted: Option<&'static str>,
    /// What is to be said of one that nothing stills.
    pub remark: Option<String>,
}

/// One of them, as the process has it.
struct Opened<'a> {
    /// Of the process, or of a thread of it.
    pid: u32,
    mount: u64,
    name: &'a Path,
    /// Where it leads to the file.
    file: &'a Path,
}

/// `None`: it has nothing open there. An error: that may not be seen, or there is too much to look at.
pub fn look(process: Process, places: &[Place], mounts: &mut Mounts) -> io::Result<Option<Open>> {
    let Some((folder, memory)) = read_memory(process)? else {
        return Ok(None);
    };
    let mut open = Open { memory, ..Open::default() };
    let mut looked = 0;
    for thread in process.tables() {
        let table = process.file(&format!("task/{thread}"));
        for entry in entries(&table.join("fd"))? {
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
            if may_write(&entry) {
                open.look_at(&table, &entry.file_name(), &name, places, mounts);
            }
        }
    }
    open.look_at_mapped(&folder, places, mounts);
    Ok((open.is_lost || !open.places.is_empty()).then_some(open))
}

fn entries(folder: &Path) -> io::Result<impl Iterator<Item = fs::DirEntry>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if is_denied(&error) => return Err(error),
        Err(_) => None,
    };
    Ok(entries.into_iter().flatten().flatten())
}

/// Whether one may by a descriptor, as its link shows.
fn may_write(link: &fs::DirEntry) -> bool {
    const FOR_OWNER: u32 = 0o200;
    link.metadata().is_ok_and(|link| link.mode() & FOR_OWNER != 0)
}

/// With where it is to be looked at: the first thread may have ended, and shows nothing any more. `None`: it has
/// ended, or is a thread of the kernel.
fn read_memory(process: Process) -> io::Result<Option<(PathBuf, Memory)>> {
    let whole = PathBuf::from(format!("/proc/{}", process.0));
    match memory::read(&whole) {
        Err(error) if is_denied(&error) && !process.is_of_kernel() => return Err(error),
        Ok(Some(memory)) => return Ok(Some((whole, memory))),
        _ if process.is_of_kernel() => return Ok(None),
        _ => {}
    }
    let of_thread = |thread: u32| {
        let thread = whole.join(format!("task/{thread}"));
        Some((memory::read(&thread).ok()??, thread))
    };
    Ok(process.threads().filter_map(of_thread).map(|(memory, thread)| (thread, memory)).next())
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
        let about = read(process.join("fdinfo").join(descriptor)).unwrap_or_default();
        let about = String::from_utf8_lossy(&about);
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if flags.is_none_or(|flags| flags & ACCESS == 0) {
            return;
        }
        let Some(mount) = mount_number(&about) else { return };
        let (pid, file) = (number_of(process), process.join("fd").join(descriptor));
        self.add_opened(&Opened { pid, mount, name, file: &file }, None, places, mounts);
    }

    fn look_at_mapped(&mut self, process: &Path, places: &[Place], mounts: &mut Mounts) {
        let (shared, pid) = (std::mem::take(&mut self.memory.shared), number_of(process));
        let mut seen = HashSet::new();
        for mapping in &shared {
            let is_there = places.iter().any(|place| place.device == mapping.device)
                || mounts.is_overlay(mapping.device, pid);
            // A file may be mapped in very many pieces.
            if is_there && mapping.may_be_written_to(process) && seen.insert(mapping.file()) {
                self.look_at_mapping(mapping, process, pid, places, mounts);
            }
        }
        self.memory.shared = shared;
    }

    fn look_at_mapping(
        &mut self,
        mapping: &Mapping,
        process: &Path,
        pid: u32,
        places: &[Place],
        mounts: &mut Mounts,
    ) {
        let name = mapping.name.as_path();
        match mapping.behind(process) {
            Behind::Gone => {}
            Behind::Found(mount, found) => {
                let file = mapping.link(process);
                let opened = Opened { pid, mount, name, file: &file };
                self.add_opened(&opened, Some(&found), places, mounts);
            }
            Behind::Denied => {
                let file = process.join("root").join(name.strip_prefix("/").unwrap_or(name));
                let found = fs::metadata(&file).ok().filter(|found| mapping.is_of(found));
                if found.is_some() || without_removed(name.as_os_str()).is_none() {
                    let inside = mounts.name_on(mapping.device, name, pid);
                    self.add(mapping.device, inside.as_deref(), name, found.as_ref(), places);
                }
            }
        }
    }

    /// `found`: what is known of it already.
    fn add_opened(
        &mut self,
        opened: &Opened<'_>,
        found: Option<&Metadata>,
        places: &[Place],
        mounts: &mut Mounts,
    ) {
        let Opened { name, .. } = *opened;
        let Some(mount) = mounts.of(opened.mount, opened.pid).cloned() else {
            // Memory, as of memfd_create(2), is on a mount of the kernel's own; terminals come from outside.
            let is_known = without_removed(name.as_os_str()).is_some() || name.starts_with("/dev");
            self.is_lost |= !is_known && !lies_elsewhere(opened.file, places);
            return;
        };
        let is_its_name = without_removed(name.as_os_str()).is_none();
        let inside = mount.name_of(name).filter(|_| is_its_name);
        let Some(upper) = &mount.upper else {
            if places.iter().any(|place| place.device == mount.device) {
                let asked = found.is_none().then(|| fs::metadata(opened.file).ok()).flatten();
                self.add(mount.device, inside.as_deref(), name, found.or(asked.as_ref()), places);
            }
            return;
        };
        let uppers =
            uppers(upper, mount.name_of(name).as_deref().unwrap_or(name), opened.pid, mounts);
        // That of a container is named as its host sees it, and what we see from inside does not lie in it.
        self.is_lost |= uppers.is_empty() && !mounts.are_ours(mount.device);
        let before = self.places.len();
        for upper in uppers {
            let known = inside.is_some().then_some(upper.name.as_path());
            self.add_part(upper.device, known, name, upper.part, places);
        }
        if self.places.len() > before {
            self.why_not_adopted = Some(WHY_NOT_ADOPTED);
        }
    }

    /// A file that is in some of the places, by its name there or by another one, unless it has none any more.
    fn add(
        &mut self,
        on: Device,
        inside: Option<&Path>,
        name: &Path,
        found: Option<&Metadata>,
        places: &[Place],
    ) {
        if found.is_some_and(|found| found.nlink() == 0) {
            return;
        }
        let is_named_there = |place: &Place| place.device == on && place.may_have(inside);
        let has_others = found.is_some_and(|found| found.is_file() && found.nlink() > 1);
        let is_elsewhere = !places.iter().any(is_named_there);
        if is_elsewhere && !has_others {
            return;
        }
        let before = self.places.len();
        let inside = inside.filter(|_| !is_elsewhere);
        match found {
            Some(found) => self.add_part(on, inside, name, found.dev(), places),
            None => self.add_all(on, inside, name, |_| true, places),
        }
        if is_elsewhere && self.places.len() > before {
            let name = name.display();
            self.remark = Some(format!("{name} has another name, which may lie there"));
        }
    }

    fn add_part(
        &mut self,
        on: Device,
        inside: Option<&Path>,
        name: &Path,
        part: u64,
        places: &[Place],
    ) {
        self.add_all(on, inside, name, |place| place.is_on(part), places);
    }

    fn add_all(
        &mut self,
        on: Device,
        inside: Option<&Path>,
        name: &Path,
        is_part: impl Fn(&Place) -> bool,
        places: &[Place],
    ) {
        let mut is_any = false;
        for (index, place) in places.iter().enumerate() {
            if place.device == on && place.may_have(inside) && is_part(place) {
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

/// Is a file, whose mount nobody sees, on another file system than all of these? In a container its output may be such a
/// one, of the host. Its file system may have hung up, so it is asked aside.
fn lies_elsewhere(file: &Path, places: &[Place]) -> bool {
    let (tell, told) = mpsc::channel();
    let asked = file.to_owned();
    let ask = move || {
        let device = fs::metadata(&asked).map(|found| found.dev());
        // What is written to these is written to another one.
        let is_upper = statfs(&asked).map(|found| ABOVE_OTHERS.contains(&found.filesystem_type()));
        let _ = tell.send(device.ok().filter(|_| is_upper == Ok(false)));
    };
    let is_asked = std::thread::Builder::new().spawn(ask).is_ok();
    let device = if is_asked { told.recv_timeout(PATIENCE).ok().flatten() } else { None };
    device.is_some_and(|device| {
        let device = (major(device) as u32, minor(device) as u32);
        places.iter().all(|place| place.is_elsewhere(device))
    })
}

/// The process whose folder, or that of whose thread, this is.
fn number_of(process: &Path) -> u32 {
    let name = process.components().nth(2).map(|part| part.as_os_str().to_string_lossy());
    name.and_then(|name| name.parse().ok()).unwrap_or_default()
}
