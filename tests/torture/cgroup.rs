//! Control groups, of either version, where the machine has them: see cgroups(7).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the kernel does to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    /// Version 2: `cgroup.freeze`.
    Freeze,
    /// Version 1: `freezer.state`.
    Freezer,
    /// Version 2: `memory.max`.
    MemoryMax,
    /// Version 1: `memory.limit_in_bytes`.
    MemoryLimit,
}

/// A group of processes, made here and removed when dropped.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
    control: Control,
    /// Where the memory controller was turned on for it.
    turned_on: Option<PathBuf>,
}

impl Group {
    /// Groups that can be frozen, two of each version that there is.
    pub fn freezers() -> Vec<Group> {
        let mut groups = Vec::new();
        for number in 0..2 {
            let name = format!("freeze-{number}");
            if let Some(root) = mounted("cgroup2", "") {
                groups.extend(Group::make(&root, &name, Control::Freeze));
            }
            if let Some(root) = mounted("cgroup", "freezer") {
                groups.extend(Group::make(&root, &name, Control::Freezer));
            }
        }
        groups
    }

    /// A group that may use so much memory, and no swap space.
    pub fn with_memory(bytes: u64) -> Option<Group> {
        let mut group = if let Some(root) = mounted("cgroup", "memory") {
            Group::make(&root, "memory", Control::MemoryLimit)?
        } else {
            let root = mounted("cgroup2", "")?;
            let switch = root.join("cgroup.subtree_control");
            let is_on =
                fs::read_to_string(&switch).ok()?.split_whitespace().any(|word| word == "memory");
            if !is_on {
                fs::write(&switch, "+memory").ok()?;
            }
            let mut group = Group::make(&root, "memory", Control::MemoryMax)?;
            group.turned_on = (!is_on).then_some(switch);
            group
        };
        let files = match group.control {
            Control::MemoryLimit => ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
            _ => ["memory.max", "memory.swap.max"],
        };
        let limited = group.write(files[0], &bytes.to_string());
        // Neither is there without swap space.
        let swap = if group.control == Control::MemoryLimit { bytes } else { 0 };
        let _ = group.write(files[1], &swap.to_string());
        if limited.is_err() {
            group.remove();
            return None;
        }
        Some(group)
    }

    fn make(root: &Path, name: &str, control: Control) -> Option<Group> {
        let folder = root.join(format!("stillpoint-torture-{}-{name}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let group = Group { folder, control, turned_on: None };
        let file = match control {
            Control::Freeze => "cgroup.freeze",
            Control::Freezer => "freezer.state",
            Control::MemoryMax => "memory.max",
            Control::MemoryLimit => "memory.limit_in_bytes",
        };
        group.folder.join(file).exists().then_some(group)
    }

    fn write(&self, file: &str, text: &str) -> std::io::Result<()> {
        fs::write(self.folder.join(file), text)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    /// The number after a word.
    fn number(&self, file: &str, word: &str) -> u32 {
        let text = self.read(file);
        let mut words = text.split_whitespace().skip_while(|found| *found != word);
        words.nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Where processes go in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn freeze(&self) {
        self.set_frozen(true);
    }

    pub fn thaw(&self) {
        self.set_frozen(false);
    }

    fn set_frozen(&self, frozen: bool) {
        let done = match self.control {
            Control::Freeze => self.write("cgroup.freeze", if frozen { "1" } else { "0" }),
            Control::Freezer => {
                self.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" })
            }
            Control::MemoryMax | Control::MemoryLimit => Ok(()),
        };
        done.expect("the group can be frozen and thawed");
    }

    /// Whether all of it stands still.
    pub fn is_frozen(&self) -> bool {
        match self.control {
            Control::Freeze => self.number("cgroup.events", "frozen") == 1,
            Control::Freezer => self.read("freezer.state").trim() == "FROZEN",
            Control::MemoryMax | Control::MemoryLimit => false,
        }
    }

    /// Has the kernel take back all memory that it can: caches, and the pages of mapped files.
    pub fn reclaim(&self) {
        // Version 2 says that it could not take back as much as asked for: it never can.
        let _ = match self.control {
            Control::MemoryMax => self.write("memory.reclaim", "1G"),
            _ => self.write("memory.force_empty", "0"),
        };
    }

    /// How many of it the kernel has killed for lack of memory.
    pub fn killed(&self) -> u32 {
        match self.control {
            Control::MemoryMax => self.number("memory.events", "oom_kill"),
            _ => self.number("memory.oom_control", "oom_kill"),
        }
    }

    fn remove(&mut self) {
        if matches!(self.control, Control::Freeze | Control::Freezer) {
            self.thaw();
        }
        let started = Instant::now();
        // The kernel takes a moment to forget the dead.
        while let Err(error) = fs::remove_dir(&self.folder) {
            if error.kind() == std::io::ErrorKind::NotFound {
                break;
            }
            if started.elapsed() > Duration::from_secs(10) {
                eprintln!("torture: {} is left behind: {error}", self.folder.display());
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(switch) = self.turned_on.take() {
            let _ = fs::write(switch, "-memory");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Where a hierarchy is mounted, by its type and, for version 1, its controller.
fn mounted(kind: &str, controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (folder, found, options) = (words.next()?, words.next()?, words.next()?);
        let has = controller.is_empty() || options.split(',').any(|option| option == controller);
        (found == kind && has).then(|| PathBuf::from(folder))
    })
}
