//! Who keeps a group from standing still: a thread in a system call that nothing interrupts.

use std::collections::BTreeSet;
use std::fs;

/// One of these that is in such a call, and what it waits for, as far as the kernel tells.
pub fn one_of(members: &BTreeSet<u32>) -> Option<String> {
    let tasks = members.iter().flat_map(|pid| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks.map(|task| task.path())
    });
    tasks.into_iter().find_map(|task| {
        let stat = fs::read(task.join("stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let (name, rest) = stat.rsplit_once(") ")?;
        let wait = fs::read_to_string(task.join("wchan")).unwrap_or_default();
        // Who is frozen by version 1 looks the same.
        if !rest.starts_with('D') || wait.contains("refrigerator") {
            return None;
        }
        let (pid, name) = name.split_once(" (")?;
        let at =
            if matches!(wait.as_str(), "" | "0") { String::new() } else { format!(" in {wait}") };
        Some(format!("{name}[{pid}]{at}"))
    })
}
