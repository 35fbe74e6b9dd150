//! Who must not be frozen: this process, and those that it descends from. They read what it says, and reap it; they
//! hold the terminal that it is ended from.

use std::collections::BTreeSet;

use crate::process::proc::Process;

/// This process or an ancestor, if one of them is among these.
pub fn among(members: &BTreeSet<u32>) -> Option<Process> {
    let this = Process::this();
    std::iter::once(this).chain(this.ancestors()).find(|process| members.contains(&process.0))
}
