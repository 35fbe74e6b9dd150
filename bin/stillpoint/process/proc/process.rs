//! One process, and which there are.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::stat::Stat;
use super::text::read;

/// A process by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// Starts all threads of the kernel, where those are to be seen.
const STARTER: Process = Process(2);

/// All that are to be seen, but for threads of the kernel, as far as that lists them. An error: there is no /proc.
pub fn all() -> io::Result<Vec<Process>> {
    let of_kernel = of_kernel();
    let names = fs::read_dir("/proc")?.flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    Ok(numbers.filter(|number| !of_kernel.contains(number)).map(Process).collect())
}

/// Read before the processes are listed: a number that is given away again meanwhile is that of one that came later.
fn of_kernel() -> HashSet<u32> {
    if !STARTER.is_of_kernel() {
        return HashSet::new();
    }
    let listed = read(STARTER.file("task/2/children")).unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed);
    let children = listed.split_ascii_whitespace().filter_map(|number| number.parse().ok());
    children.chain([STARTER.0]).collect()
}

impl Process {
    pub fn this() -> Process {
        Process(std::process::id())
    }

    pub fn file(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.0).into()
    }

    pub fn comm(self) -> String {
        let comm = read(self.file("comm")).unwrap_or_default();
        String::from_utf8_lossy(comm.trim_ascii_end()).into_owned()
    }

    pub fn stat(self) -> Option<Stat> {
        Stat::read(&self.file(""))
    }

    pub fn parent(self) -> Option<Process> {
        self.stat().map(|stat| Process(stat.parent)).filter(|parent| parent.0 != 0)
    }

    /// Its ancestors, the nearest first. Those outside of our pid namespace have no number here.
    pub fn ancestors(self) -> impl Iterator<Item = Process> {
        // A number that is given away again meanwhile could lead round in a circle.
        std::iter::successors(self.parent(), |process| process.parent()).take(1000)
    }

    pub fn is_of_kernel(self) -> bool {
        self.stat().is_some_and(|stat| stat.is_of_kernel())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the kernel too, where they are not listed or cannot be told apart.
    #[test]
    fn all_that_have_memory_are_found() {
        let found = all().unwrap();
        assert!(found.contains(&Process::this()));
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(process) = number.map(Process).filter(|one| !found.contains(one)) else {
                continue;
            };
            // Or has come since then.
            let shown = process
                .stat()
                .filter(|stat| stat.started < Process::this().stat().unwrap().started);
            assert!(shown.is_none_or(|stat| stat.is_of_kernel()), "{process:?}");
        }
    }
}
