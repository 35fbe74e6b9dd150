//! The mounts that processes see, each list of them read once.
//!
//! An open file says by number which mount it was opened on, and no two mounts have one number, in whatever
//! namespace they are. So a file has a name that is the same for all: that in its file system, which has one device, as
//! also a btrfs with its subvolumes does here.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::process::proc::mounts::{self, Mount};
use crate::process::proc::text::Device;
use crate::process::proc::{Process, all};

/// Those that have been looked at.
pub struct Mounts {
    all: HashMap<u64, Mount>,
    /// By namespace, the numbers of those in it.
    namespaces: HashMap<OsString, Vec<u64>>,
    ours: OsString,
    /// All processes were asked.
    is_all: bool,
}

impl Mounts {
    /// Those of this process. `None`: there is no /proc.
    pub fn read() -> Option<Mounts> {
        let ours = namespace(std::process::id())?;
        let (all, namespaces) = (HashMap::new(), HashMap::new());
        let mut mounts = Mounts { all, namespaces, ours, is_all: false };
        mounts.add(std::process::id())?;
        Some(mounts)
    }

    /// Those that a process sees; once for all of its namespace.
    fn add(&mut self, pid: u32) -> Option<&[u64]> {
        let namespace = namespace(pid)?;
        if !self.namespaces.contains_key(&namespace) {
            let found = mounts::seen_by(Process(pid)).ok()?;
            let numbers = found.iter().map(|mount| mount.number).collect();
            self.namespaces.insert(namespace.clone(), numbers);
            self.extend(found);
        }
        self.namespaces.get(&namespace).map(Vec::as_slice)
    }

    fn extend(&mut self, found: Vec<Mount>) {
        self.all.extend(found.into_iter().map(|mount| (mount.number, mount)));
    }

    /// The mount of this number, which a process has a file open on. `None`: nobody sees it, as after `umount -l`.
    pub fn of(&mut self, number: u64, pid: u32) -> Option<&Mount> {
        if !self.all.contains_key(&number) {
            self.add(pid);
        }
        if !self.all.contains_key(&number) && !self.is_all {
            self.add_all();
        }
        self.all.get(&number)
    }

    /// A process has files from where it was before, and sees no mounts outside of its root: those of all.
    fn add_all(&mut self) {
        self.is_all = true;
        let mut seen = HashSet::new();
        for process in all().into_iter().flatten() {
            let root = std::fs::read_link(process.file("root")).ok();
            if seen.insert((namespace(process.0), root)) {
                self.extend(mounts::seen_by(process).unwrap_or_default());
            }
        }
    }

    /// Whether this is an overlay that a process sees: it has files of another file system.
    pub fn is_overlay(&mut self, device: Device, pid: u32) -> bool {
        self.add(pid);
        self.all.values().any(|mount| mount.device == device && mount.upper.is_some())
    }

    /// Whether we see a mount of it.
    pub fn are_ours(&self, device: Device) -> bool {
        let numbers = self.namespaces.get(&self.ours).into_iter().flatten();
        numbers.filter_map(|number| self.all.get(number)).any(|mount| mount.device == device)
    }

    /// Whether a process sees the mounts that we see.
    pub fn are_those_of(&self, pid: u32) -> bool {
        namespace(pid).is_some_and(|namespace| namespace == self.ours)
    }

    /// What a path that a process sees is called in this file system, by the innermost mount of it that the path
    /// lies in.
    pub fn name_on(&mut self, device: Device, path: &Path, pid: u32) -> Option<PathBuf> {
        let numbers = self.add(pid)?.to_owned();
        let on_it = numbers.iter().filter_map(|number| self.all.get(number));
        let around =
            on_it.filter(|mount| mount.device == device && path.starts_with(&mount.target));
        around.max_by_key(|mount| mount.target.components().count())?.name_of(path)
    }

    /// What is mounted inside of a folder that we see.
    pub fn inside(&self, folder: &Path) -> Vec<PathBuf> {
        let numbers = self.namespaces.get(&self.ours).into_iter().flatten();
        let targets = numbers.filter_map(|number| self.all.get(number)).map(|mount| &mount.target);
        targets.filter(|target| *target != folder && target.starts_with(folder)).cloned().collect()
    }
}

fn namespace(pid: u32) -> Option<OsString> {
    Some(std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?.into_os_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_by_the_mount_that_it_lies_on() {
        let text = br"30 1 8:1 / / rw - ext4 /dev/sda1 rw
31 30 0:40 /@home /home rw,relatime shared:5 - btrfs /dev/sdb rw
32 31 8:1 /srv/a\040b /home/a\040b rw - ext4 /dev/sda1 rw
33 30 0:50 / /merged rw - overlay o rw,lowerdir=/l,upperdir=/up\040\054per,workdir=/w
";
        let all: HashMap<u64, Mount> =
            mounts::parse(text).map(|mount| (mount.number, mount)).collect();
        let (own, ours) = (std::process::id(), namespace(std::process::id()).unwrap());
        let namespaces = HashMap::from([(ours.clone(), all.keys().copied().collect())]);
        let mut mounts = Mounts { all, namespaces, ours, is_all: true };
        let mut name = |device, path: &str| mounts.name_on(device, Path::new(path), own);
        assert_eq!(name((8, 1), "/srv/x"), Some("/srv/x".into()));
        assert_eq!(name((8, 1), "/home/a b/c"), Some("/srv/a b/c".into()));
        assert_eq!(name((0, 40), "/home"), Some("/@home".into()));
        assert_eq!(name((0, 40), "/srv"), None);
        assert_eq!(mounts.inside(Path::new("/home")), [PathBuf::from("/home/a b")]);
        assert_eq!(mounts.all[&31].kind, "btrfs");
        assert_eq!(mounts.all[&33].upper.as_deref(), Some(Path::new("/up ,per")));
        assert!(mounts.is_overlay((0, 50), own) && mounts.are_ours((0, 50)));
        assert!(!mounts.is_overlay((8, 1), own) && !mounts.are_ours((8, 3)));
    }
}
