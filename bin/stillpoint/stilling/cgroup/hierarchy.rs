//! Where control groups are that can be frozen.
//!
//! Version 2 freezes any group, since Linux 5.2; version 1 those in the hierarchy of its freezer. A machine may have
//! both, and then a group of one path may be in either, or in both. The first is asked first: systemd keeps its units
//! there, and in none of the freezer's.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::process::proc::Process;
use crate::process::proc::mounts::{self, Mount};
use crate::words::exit::Failure;

/// Of the kernel's interface, see cgroups(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

impl Version {
    /// The file that a group is frozen by.
    pub fn control(self) -> &'static str {
        match self {
            Version::One => "freezer.state",
            Version::Two => "cgroup.freeze",
        }
    }
}

/// One tree of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where its first group is, as far as this namespace sees.
    pub root: PathBuf,
    pub version: Version,
}

impl Hierarchy {
    /// Those that can freeze, the second version first.
    pub fn all() -> Result<Vec<Hierarchy>, Failure> {
        let this = Process::this();
        let seen = mounts::seen_by(this);
        let failed = |error| Failure::system(mounts::list_of(this).display(), error);
        Ok(those_among(seen.map_err(failed)?))
    }

    /// The one that this folder lies in.
    pub fn of<'a>(all: &'a [Hierarchy], folder: &Path) -> Option<&'a Hierarchy> {
        let around = all.iter().filter(|found| folder.starts_with(&found.root));
        around.max_by_key(|found| found.root.components().count())
    }

    /// Has this process in the first group, from now on. Not if it is there already: while any process is moved, all
    /// that start others wait.
    pub fn move_to_root(&self) -> io::Result<()> {
        match self.group_of_this_process() {
            Some(group) if group == b"/" => Ok(()),
            _ => fs::write(self.root.join("cgroup.procs"), "0"),
        }
    }

    /// As proc_pid_cgroup(5) has it: `0::/a` for version 2, `6:freezer:/a` for version 1.
    fn group_of_this_process(&self) -> Option<Vec<u8>> {
        let groups = fs::read("/proc/self/cgroup").ok()?;
        groups.split(|byte| *byte == b'\n').find_map(|line| {
            let mut fields = line.splitn(3, |byte| *byte == b':').skip(1);
            let (controllers, group) = (fields.next()?, fields.next()?);
            let is_it = match self.version {
                Version::One => has(controllers, b"freezer"),
                Version::Two => controllers.is_empty(),
            };
            is_it.then(|| group.to_owned())
        })
    }

    /// Where a group is, by the name that the kernel and systemd have for it.
    pub fn folder(&self, group: &Path) -> PathBuf {
        let names = group.components().filter(|part| matches!(part, Component::Normal(_)));
        self.root.join(names.collect::<PathBuf>())
    }
}

/// Whether there is such a folder.
pub fn is_folder(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Those that are mounted. What is mounted twice is found at its first place.
fn those_among(mounts: Vec<Mount>) -> Vec<Hierarchy> {
    let (mut devices, mut found) = (Vec::new(), Vec::new());
    for mount in mounts {
        let version = match mount.kind.as_str() {
            "cgroup2" => Version::Two,
            "cgroup" if mount.has_freezer => Version::One,
            _ => continue,
        };
        if !devices.contains(&mount.device) {
            devices.push(mount.device);
            found.push(Hierarchy { root: mount.target, version });
        }
    }
    found.sort_by_key(|hierarchy| hierarchy.version == Version::One);
    found
}

fn has(options: &[u8], wanted: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|option| option == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
21 1 0:20 / / rw - ext4 /dev/vda rw
30 21 0:27 / /sys/fs/cgroup/freezer rw,nosuid - cgroup cgroup rw,freezer
31 21 0:28 / /sys/fs/cgroup/systemd rw shared:9 - cgroup systemd rw,xattr,name=systemd
32 21 0:29 / /sys/fs/cgroup/my\\040groups rw shared:10 master:1 - cgroup2 none rw,nsdelegate
33 21 0:29 /a /mnt/again rw - cgroup2 none rw
34 21 0:33 / /freezer rw - tmpfs freezer rw
garbage
";

    #[test]
    fn what_is_mounted() {
        let hierarchy = |root: &str, version| Hierarchy { root: root.into(), version };
        let found = those_among(mounts::parse(TABLE).collect());
        let two = hierarchy("/sys/fs/cgroup/my groups", Version::Two);
        let one = hierarchy("/sys/fs/cgroup/freezer", Version::One);
        assert_eq!(found, [two.clone(), one.clone()]);
        let of = |folder: &str| Hierarchy::of(&found, Path::new(folder));
        assert_eq!(of("/sys/fs/cgroup/my groups/a/b"), Some(&two));
        assert_eq!(of("/sys/fs/cgroup/freezer"), Some(&one));
        assert_eq!(of("/sys/fs/cgroup/systemd/a"), None);
        let folder = |group: &str| one.folder(Path::new(group));
        let expected = Path::new("/sys/fs/cgroup/freezer/system.slice/x");
        assert_eq!(folder("/system.slice/x"), expected);
        assert_eq!(folder("system.slice/../x/."), expected);
    }
}
