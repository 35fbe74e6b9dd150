//! Who keeps a group from standing still: a thread in a system call that nothing interrupts.

use std::collections::BTreeSet;
use std::fs;

use crate::process::proc::{Process, Stat, read};

/// One of these that is in such a call, and what it waits for, as far as the kernel tells.
pub fn one_of(members: &BTreeSet<u32>) -> Option<String> {
    let tasks = members.iter().flat_map(|pid| {
        let tasks = fs::read_dir(Process(*pid).file("task")).into_iter().flatten().flatten();
        tasks.map(|task| task.path())
    });
    tasks.into_iter().find_map(|task| {
        let stat = Stat::read(&task)?;
        let wait = read(task.join("wchan")).unwrap_or_default();
        let wait = String::from_utf8_lossy(&wait);
        // Who is frozen by version 1 looks the same.
        if stat.state != 'D' || wait.contains("refrigerator") {
            return None;
        }
        let at = match &*wait {
            "" | "0" => String::new(),
            wait => format!(" in {wait}"),
        };
        Some(format!("{}[{}]{at}", stat.comm, stat.number))
    })
}
