//! The mounts that a process sees, from proc_pid_mountinfo(5).

use std::io;
use std::path::{Path, PathBuf};

use super::process::Process;
use super::text::{Device, device, path, read};

/// One of them.
#[derive(Clone, Debug)]
pub struct Mount {
    /// No two mounts have one number, in whatever namespace they are.
    pub number: u64,
    pub device: Device,
    /// What of the file system is mounted.
    pub root: PathBuf,
    pub target: PathBuf,
    pub kind: String,
    /// Of an overlay: the folder that what is written goes to.
    pub upper: Option<PathBuf>,
    /// Of a hierarchy of control groups: it has the freezer of the first version.
    pub has_freezer: bool,
}

impl Mount {
    /// What a path that lies on it is called in its file system.
    pub fn name_of(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.target).ok()?;
        // Without a slash at the end for the root of the mount itself.
        Some(self.root.join(below).components().collect())
    }
}

/// Where they are listed.
pub fn list_of(process: Process) -> PathBuf {
    process.file("mountinfo")
}

/// Those of a process.
pub fn seen_by(process: Process) -> io::Result<Vec<Mount>> {
    Ok(parse(&read(list_of(process))?).collect())
}

/// `36 35 0:30 / /sys/fs/cgroup rw - cgroup2 none rw`.
pub fn parse(text: &[u8]) -> impl Iterator<Item = Mount> + '_ {
    text.split(|byte| *byte == b'\n').filter_map(line)
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = device(std::str::from_utf8(fields.nth(1)?).ok()?, 10)?;
    let (root, target) = (path(fields.next()?), path(fields.next()?));
    let mut of_system = fields.skip_while(|field| field != b"-");
    let kind = String::from_utf8_lossy(of_system.nth(1)?).into_owned();
    let mut options = of_system.nth(1).unwrap_or_default().split(|byte| *byte == b',');
    let upper = options.clone().find_map(|option| option.strip_prefix(b"upperdir=")).map(path);
    let upper = upper.filter(|_| kind == "overlay");
    let has_freezer = kind == "cgroup" && options.any(|option| option == b"freezer");
    Some(Mount { number, device, root, target, kind, upper, has_freezer })
}
