//! The mounts that processes see, from proc_pid_mountinfo(5).
//!
//! An open file says by number which mount it was opened on, and no two mounts have one number, in whatever
//! namespace they are. So a file has a name that is the same for all: that in its file system, which has one device, as
//! also a btrfs with its subvolumes does here.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::process::all;
use super::shown::{Device, device, path};

#[derive(Clone, Debug)]
pub struct Mount {
    pub device: Device,
    /// What of the file system is mounted.
    root: PathBuf,
    pub target: PathBuf,
    pub kind: String,
    /// Of an overlay: the folder that what is written goes to.
    pub upper: Option<PathBuf>,
}

impl Mount {
    /// What a path that lies on it is called in its file system.
    pub fn name_of(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.target).ok()?;
        // Without a slash at the end for the root of the mount itself.
        Some(self.root.join(below).components().collect())
    }
}

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
            let text = std::fs::read(format!("/proc/{pid}/mountinfo")).ok()?;
            let found: Vec<(u64, Mount)> = parse(&text).collect();
            let numbers = found.iter().map(|(number, _)| *number).collect();
            self.namespaces.insert(namespace.clone(), numbers);
            self.all.extend(found);
        }
        self.namespaces.get(&namespace).map(Vec::as_slice)
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
                let text = std::fs::read(process.file("mountinfo")).unwrap_or_default();
                self.all.extend(parse(&text));
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

fn parse(text: &[u8]) -> impl Iterator<Item = (u64, Mount)> + '_ {
    text.split(|byte| *byte == b'\n').filter_map(line)
}

fn line(line: &[u8]) -> Option<(u64, Mount)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = device(std::str::from_utf8(fields.nth(1)?).ok()?, 10)?;
    let (root, target) = (path(fields.next()?), path(fields.next()?));
    let mut of_system = fields.skip_while(|field| field != b"-");
    let kind = String::from_utf8_lossy(of_system.nth(1)?).into_owned();
    let mut options = of_system.nth(1).unwrap_or_default().split(|byte| *byte == b',');
    let upper = options.find_map(|option| option.strip_prefix(b"upperdir=")).map(path);
    let upper = upper.filter(|_| kind == "overlay");
    Some((number, Mount { device, root, target, kind, upper }))
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
        let all: HashMap<u64, Mount> = parse(text).collect();
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
