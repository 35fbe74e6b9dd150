//! Who must not be frozen: this process, and those that it descends from. They read what it says, and reap it; they
//! hold the terminal that it is ended from.

use std::collections::BTreeSet;
use std::fs;

/// This process or an ancestor, if one of them is among these: its number, and what it is called.
pub fn among(members: &BTreeSet<u32>) -> Option<(u32, String)> {
    let found = ancestry().into_iter().find(|pid| members.contains(pid))?;
    let name = fs::read_to_string(format!("/proc/{found}/comm")).unwrap_or_default();
    Some((found, name.trim_end().to_owned()))
}

/// This process first. Those outside of its pid namespace have no number here, nor in the lists of groups.
fn ancestry() -> Vec<u32> {
    let mut pid = std::process::id();
    let mut found = Vec::new();
    while pid > 0 && !found.contains(&pid) {
        found.push(pid);
        pid = parent(pid).unwrap_or(0);
    }
    found
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: the state, then the parent.
    String::from_utf8_lossy(&stat).rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
