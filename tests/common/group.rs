//! Control groups that can be frozen, see cgroups(7), with processes in them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::skip::{is_root, skip};
use super::time::until;

/// Which kernel interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// A group that is made here. At the end whoever is in it is thawed and killed, and it is removed.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
    version: Version,
}

impl Group {
    /// One of each version that this machine can freeze; if there is none, that has been said.
    pub fn each() -> Vec<Group> {
        if !is_root() {
            return Vec::new();
        }
        let made = [Version::Two, Version::One].into_iter().filter_map(|version| {
            let group = Group::at(Path::new(&Group::name()), version)?;
            group.folder.join(group.control()).exists().then_some(group)
        });
        let groups: Vec<Group> = made.collect();
        if groups.is_empty() {
            skip("no control group can be frozen");
        }
        groups
    }

    /// One, of the second version if there is that.
    pub fn any() -> Option<Group> {
        Group::each().into_iter().next()
    }

    pub fn of(version: Version) -> Option<Group> {
        let found = Group::each().into_iter().find(|group| group.version == version);
        if found.is_none() {
            skip(&format!("no control groups of version {version:?} here"));
        }
        found
    }

    /// One with this path below the first group, and those above it.
    pub fn at(path: &Path, version: Version) -> Option<Group> {
        let folder = root(version)?.join(path);
        fs::create_dir_all(&folder).ok()?;
        Some(Group { folder, version })
    }

    /// One in it.
    pub fn below(&self, name: &str) -> Group {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).unwrap();
        Group { folder, version: self.version }
    }

    /// A name that nothing else has.
    pub fn name() -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        format!("stillpoint-test-{}-{number}", std::process::id())
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// As /proc/PID/cgroup has it.
    pub fn path(&self) -> PathBuf {
        let below = self.folder.strip_prefix(root(self.version).unwrap()).unwrap();
        Path::new("/").join(below)
    }

    /// The file that it is frozen by.
    pub fn control(&self) -> &'static str {
        match self.version {
            Version::One => "freezer.state",
            Version::Two => "cgroup.freeze",
        }
    }

    /// What is to be written there.
    pub fn word(&self, frozen: bool) -> &'static str {
        match (self.version, frozen) {
            (Version::One, true) => "FROZEN",
            (Version::One, false) => "THAWED",
            (Version::Two, true) => "1",
            (Version::Two, false) => "0",
        }
    }

    /// A program that starts in it.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
        command.arg(self.folder.join("cgroup.procs")).arg(program);
        command
    }

    pub fn take_in(&self, pid: Pid) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    pub fn freeze(&self) {
        until("it is frozen", || {
            // Version 1 forgets whoever was about to wait for a child of vfork(2): it is asked again.
            fs::write(self.folder.join(self.control()), self.word(true)).unwrap();
            self.is_frozen()
        });
    }

    pub fn thaw(&self) {
        fs::write(self.folder.join(self.control()), self.word(false)).unwrap();
    }

    /// All of it stands still.
    pub fn is_frozen(&self) -> bool {
        match self.version {
            Version::One => self.read("freezer.state").trim() == "FROZEN",
            Version::Two => self.read("cgroup.events").contains("frozen 1"),
        }
    }

    /// Nobody asks it to stand still.
    pub fn is_thawed(&self) -> bool {
        match self.version {
            Version::One => self.read("freezer.state").trim() == "THAWED",
            Version::Two => self.read("cgroup.freeze").trim() == "0" && !self.is_frozen(),
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    pub fn pids(&self) -> Vec<Pid> {
        self.read("cgroup.procs").lines().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// Ends everybody in it, and it.
    pub fn remove(&self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    for (control, word) in [("cgroup.freeze", "0"), ("freezer.state", "THAWED")] {
        let control = folder.join(control);
        if control.exists() {
            let _ = fs::write(control, word);
        }
    }
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.path().is_dir()) {
        remove(&entry.path());
    }
    until("the group is empty", || {
        let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        for pid in list.lines() {
            let _ = kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL);
        }
        fs::remove_dir(folder).is_ok() || !folder.exists()
    });
}

impl Drop for Group {
    fn drop(&mut self) {
        self.remove();
        // Those that were made with it.
        let root = root(self.version).unwrap();
        let above = self.folder.ancestors().skip(1).take_while(|above| **above != *root);
        for folder in above {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Where a hierarchy that can freeze is mounted.
pub fn root(version: Version) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let found = match version {
            Version::Two => words[2] == "cgroup2",
            Version::One => {
                words[2] == "cgroup" && words[3].split(',').any(|option| option == "freezer")
            }
        };
        found.then(|| PathBuf::from(words[1]))
    })
}
