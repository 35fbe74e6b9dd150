//! Where the program `stillpoint-cluster` is, which is a package of its own.

use std::path::PathBuf;

use super::tool::{self, Lookup, look_up};

/// What it is called.
pub const PROGRAM: &str = "stillpoint-cluster";

/// First of all the one that was installed with this program.
pub fn find() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let folder = own.as_deref().and_then(|own| own.parent());
    let beside = folder.map(|folder| folder.join(PROGRAM));
    let libexec = folder.map(|folder| folder.join("../libexec/stillpoint").join(PROGRAM));
    let is_there = |path: &PathBuf| matches!(look_up(path.as_os_str()), Lookup::Found);
    beside.into_iter().chain(libexec).find(is_there).or_else(|| tool::find(PROGRAM, &[]))
}
