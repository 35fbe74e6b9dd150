//! What is asked of a process that has files open: what its program is, what it may do, and whose it is.
//!
//! What cannot be read any more, as the process has ended, is no error. What may not be read is one.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::process::descriptors::are_shared;
use crate::process::proc::text::without_removed;
pub use crate::process::proc::{Process, all, read};

/// What proc_pid_stat(5) counts times in, per second: `USER_HZ`.
const TICKS: f64 = 100.0;

impl Process {
    /// When it was started, as today's clock has it. A process that was forked off has what its parent had read: then
    /// when the oldest of them was, that runs the same program.
    pub fn started(self) -> Option<SystemTime> {
        let uptime = String::from_utf8(read("/proc/uptime").ok()?).ok()?;
        let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
        let image = self.image();
        let family = self.ancestors().take_while(|one| image.is_some() && one.image() == image);
        let since_boot = std::iter::once(self)
            .chain(family)
            .filter_map(|one| Some(one.stat()?.started))
            .min()?;
        let age = uptime - since_boot as f64 / TICKS;
        SystemTime::now().checked_sub(Duration::try_from_secs_f64(age.max(0.0)).ok()?)
    }

    /// Where its program is. What runs on after its file was replaced has the name that the file had.
    pub fn program(self) -> Option<PathBuf> {
        let path = fs::read_link(self.file("exe")).ok()?;
        let removed = without_removed(path.as_os_str()).map(PathBuf::from);
        Some(removed.unwrap_or(path))
    }

    /// The file of its program, whatever that is called now.
    pub fn image(self) -> Option<(u64, u64)> {
        fs::metadata(self.file("exe")).ok().map(|found| (found.dev(), found.ino()))
    }

    /// A variable of the environment that its program was started with.
    pub fn variable(self, name: &str) -> Option<OsString> {
        let environment = read(self.file("environ")).ok()?;
        let mut entries = environment.split(|byte| *byte == 0);
        let value = |entry: &[u8]| {
            Some(entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_owned())
        };
        entries.find_map(value).map(OsString::from_vec)
    }

    /// Whether it was started with more than its starter may: `AT_SECURE`, getauxval(3).
    pub fn is_secure(self) -> bool {
        const SECURE: usize = 23;
        let (size, vector) = (size_of::<usize>(), read(self.file("auxv")).unwrap_or_default());
        let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).unwrap_or_default();
        vector
            .chunks_exact(2 * size)
            .any(|entry| word(&entry[..size]) == SECURE && word(&entry[size..]) != 0)
    }

    pub fn threads(self) -> impl Iterator<Item = u32> {
        let threads = fs::read_dir(self.file("task")).into_iter().flatten().flatten();
        threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok())
    }

    /// As a folder in which there is one other: its links are counted, and that costs less than to list it.
    fn is_one_thread(self) -> bool {
        fs::metadata(self.file("task")).is_ok_and(|task| task.nlink() == 3)
    }

    /// Those of its threads that have all its descriptors between them: as a rule the first.
    pub fn tables(self) -> Vec<u32> {
        let (mut found, mut known) = (vec![self.0], vec![self.0]);
        if self.is_one_thread() {
            return found;
        }
        for thread in self.threads().filter(|thread| *thread != self.0) {
            let shared: Vec<_> = known.iter().map(|one| are_shared(*one, thread)).collect();
            if shared.contains(&Some(true)) {
                continue;
            }
            found.push(thread);
            if !shared.contains(&None) {
                known.push(thread);
            }
        }
        found
    }

    /// A path as the process has it.
    pub fn inside(self, path: &Path) -> PathBuf {
        self.file("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    pub fn is_root(self) -> bool {
        self.numbers("Uid:").get(1) == Some(&0)
    }

    /// Whether its user may read and write a file. `None`: that cannot be told.
    pub fn may_write(self, file: &Metadata) -> Option<bool> {
        let user = *self.numbers("Uid:").get(1)?;
        let groups = [self.numbers("Gid:").get(1..2)?.to_vec(), self.numbers("Groups:")].concat();
        let mode = file.permissions().mode();
        let bits = match () {
            () if user == 0 => return Some(true),
            () if user == file.uid() => mode >> 6,
            () if groups.contains(&file.gid()) => mode >> 3,
            () => mode,
        };
        Some(bits & 0o6 == 0o6)
    }

    /// A line of proc_pid_status(5).
    fn numbers(self, key: &str) -> Vec<u32> {
        let status = read(self.file("status")).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
    }

    /// The unit of systemd that its control group belongs to.
    pub fn unit(self) -> Option<String> {
        unit(&String::from_utf8_lossy(&read(self.file("cgroup")).ok()?))
    }
}

fn unit(groups: &str) -> Option<String> {
    let of_systemd = groups.lines().filter_map(|line| {
        let (_, group) = line.split_once(':')?;
        let (controllers, path) = group.split_once(':')?;
        matches!(controllers, "" | "name=systemd").then_some(path)
    });
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    of_systemd.flat_map(|path| path.rsplit('/')).find(is_unit).map(str::to_owned)
}

/// The process itself, and whom it has started, and who waits for it to end in place of it.
pub struct Ourselves {
    this: Process,
    image: Option<(u64, u64)>,
}

impl Ourselves {
    pub fn new() -> Ourselves {
        let this = Process::this();
        Ourselves { this, image: this.image() }
    }

    pub fn are(&self, process: Process) -> bool {
        let stands_in = || {
            self.this.parent() == Some(process)
                && self.image.is_some()
                && process.image() == self.image
        };
        process == self.this || process.ancestors().any(|one| one == self.this) || stands_in()
    }
}

/// Is what a process has open not to be read, rather than not there?
pub fn is_denied(error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}

/// Whether other users' processes are not to be seen at all, as `hidepid` of proc(5) has it: the first one is always
/// there.
pub fn are_hidden() -> bool {
    !Path::new("/proc/1").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_innermost_one() {
        let of = |text: &str| unit(text);
        assert_eq!(of("0::/system.slice/dovecot.service\n").as_deref(), Some("dovecot.service"));
        let version_1 =
            "3:freezer:/x.service\n1:name=systemd:/user.slice/user@1.service/a.scope/b\n";
        assert_eq!(of(version_1).as_deref(), Some("a.scope"));
        assert_eq!(of("0::/\n"), None);
    }
}
