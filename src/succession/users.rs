//! Who uses a file that carries the signature of a place: found by the kernel's lists, and believed no further
//! than they can be seen. See `stragglers`.

use crate::error::who::Straggler;
use crate::file::layout::FILE_SIZE;
use crate::file::open::{Identity, folder_of};
use crate::member::signature::elsewhere;
use crate::report::lock_table::{self, Lock};
use crate::system::standard;
use nix::libc;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One who uses a file, and the way by which he does.
pub(crate) struct User {
    pid: u32,
    way: PathBuf,
    /// Whether he can write to it by a map, as members do.
    writes: bool,
}

/// Who uses these files, as far as that can be seen from here.
pub(crate) fn users(files: &BTreeMap<Identity, bool>) -> BTreeMap<Identity, Vec<User>> {
    let mut users: BTreeMap<Identity, Vec<User>> =
        files.keys().map(|file| (*file, Vec::new())).collect();
    if files.is_empty() {
        return users;
    }
    let _standard = standard::keep();
    let pids: Vec<u32> = lock_table::processes().collect();
    let mut found = |of: fn(u32) -> Vec<(Identity, PathBuf, bool)>| {
        for pid in &pids {
            for (file, way, writes) in of(*pid) {
                let users = users.get_mut(&file);
                let is_new =
                    |users: &&mut Vec<User>| users.last().is_none_or(|user| user.pid != *pid);
                if let Some(users) = users.filter(is_new) {
                    users.push(User { pid: *pid, way, writes });
                }
            }
        }
        users.values().all(|users| !users.is_empty())
    };
    // What a command has inherited outlives the map of its wrapper; to look through all descriptors takes
    // much longer.
    let _ = found(maps) || found(descriptors);
    users
}

/// The files that a process has mapped to share, the way to each, and whether it can write to it.
fn maps(pid: u32) -> Vec<(Identity, PathBuf, bool)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let map = |line: &str| {
        let mut fields = line.split_whitespace();
        let (range, how) = (fields.next()?, fields.next().filter(|how| how.ends_with('s'))?);
        let (device, inode) = (fields.nth(1)?, fields.next()?);
        let file = lock_table::identity(&format!("{device}:{inode}"))?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let range = format!("{:x}-{:x}", number(start)?, number(end)?);
        Some((file, format!("/proc/{pid}/map_files/{range}").into(), how.contains('w')))
    };
    maps.lines().filter_map(map).collect()
}

/// The files on which a process has locks by its descriptors, and the way to each.
fn descriptors(pid: u32) -> Vec<(Identity, PathBuf, bool)> {
    let locked = |(entry, locks): (fs::DirEntry, Vec<Lock>)| {
        let lock = locks.iter().find(|lock| lock.is_of_description())?;
        Some((lock.file, Path::new(&format!("/proc/{pid}/fd")).join(entry.file_name()), false))
    };
    lock_table::of_descriptors(pid).filter_map(locked).collect()
}

impl User {
    /// The file that it uses, as something that can only be looked at; `None`: that is not allowed.
    pub(crate) fn file(&self) -> Option<File> {
        let _standard = standard::keep();
        File::options().read(true).custom_flags(libc::O_PATH).open(&self.way).ok()
    }

    fn meta(&self) -> Option<fs::Metadata> {
        self.file()?.metadata().ok()
    }

    /// Whether the file was cut or grown: it is no barrier any more, and no pause of it has a certificate.
    pub(crate) fn is_of_no_barrier(&self) -> bool {
        self.meta().is_some_and(|meta| meta.len() != u64::from(FILE_SIZE))
    }

    /// Whether that may once have been the barrier; `None`: that cannot be seen. One that was cut is still mapped by
    /// whoever has not found out, who may be inside; nobody maps a file to write who may not write to it.
    fn may_have_been(&self, makers: &Makers) -> Option<bool> {
        let meta = self.meta()?;
        let has_the_size = meta.len() == u64::from(FILE_SIZE);
        Some(meta.is_file() && (has_the_size || self.writes) && makers.include(meta.uid()))
    }

    /// Whether the path leads this process to the file that it uses; `None`: that cannot be seen.
    fn is_at(&self, path: &Path, file: Identity) -> Option<bool> {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid));
        let seen = match fs::symlink_metadata(root.join(path.strip_prefix("/").unwrap_or(path))) {
            Ok(meta) => Identity::of(&meta),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
            Err(_) => return None,
        };
        // The table has the devices of file systems, stat(2) those of subvolumes.
        match fs::metadata(&self.way) {
            Ok(meta) => Some(Identity::of(&meta) == seen),
            Err(_) => Some(seen.inode == file.inode),
        }
    }

    pub(crate) fn straggler(&self) -> Straggler {
        let comm = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        Straggler { pid: self.pid, comm: comm.trim_end().to_string() }
    }
}

/// Who may have made a barrier here. `None`: everybody whom the folder's group lets.
struct Makers(Option<[u32; 3]>);

impl Makers {
    fn of(path: &Path) -> Makers {
        let owner = |meta: io::Result<fs::Metadata>| meta.map_or(0, |meta| meta.uid());
        let folder = fs::metadata(folder_of(path));
        if folder.as_ref().is_ok_and(|meta| meta.mode() & 0o020 != 0) {
            return Makers(None);
        }
        Makers(Some([0, owner(folder), owner(fs::symlink_metadata(path))]))
    }

    fn include(&self, user: u32) -> bool {
        let this = nix::unistd::geteuid().as_raw();
        self.0.is_none_or(|makers| user == this || makers.contains(&user))
    }
}

/// What is known of the users of another file.
pub(crate) enum Known {
    /// They are where they should be; or have gone meanwhile.
    Strangers,
    Stragglers(Vec<User>),
    /// It may be strangers.
    Unseen,
}

/// `by_folder`: they say that they are in the same folder, under the same name.
pub(crate) fn known(path: &Path, file: Identity, by_folder: bool, mut users: Vec<User>) -> Known {
    if users.is_empty() && elsewhere(path, None).is_ok_and(|files| !files.contains_key(&file)) {
        return Known::Strangers;
    }
    let (makers, some) = (Makers::of(path), !users.is_empty());
    users.retain(|user| user.may_have_been(&makers) != Some(false));
    if some && users.is_empty() {
        return Known::Strangers;
    }
    if by_folder {
        return Known::Stragglers(users);
    }
    let unseen = users.is_empty() || users.iter().any(|user| user.is_at(path, file).is_none());
    users.retain(|user| user.is_at(path, file) == Some(false));
    match users.is_empty() {
        false => Known::Stragglers(users),
        true if unseen => Known::Unseen,
        true => Known::Strangers,
    }
}

/// The users of other files that can be named, or one who cannot.
pub(crate) fn named(users: &[User]) -> Vec<Straggler> {
    let _standard = standard::keep();
    let mut stragglers: Vec<Straggler> = users.iter().map(User::straggler).collect();
    if stragglers.is_empty() {
        stragglers.push(Straggler { pid: 0, comm: String::new() });
    }
    stragglers
}
