//! Flags of files, as chattr(1) sets them: immutable, append-only, without copy-on-write and others.
//!
//! A subvolume that becomes a writable one keeps them. A copy has none, and one that had would not be whole before it could
//! not be changed any more; so they are counted where it was taken from, and who restores is told to set them again.

use std::fs::File;
use std::path::Path;

use crate::files::handle;
use crate::process::tool;

/// What a file system sets by itself, or a file is only born with: how blocks are kept, that a folder has an index, that
/// it is encrypted, sealed, or holds its data itself.
const OF_THE_FILE_SYSTEM: &str = "-eINEVhB";

/// How many have flags of those that are copied: this, and all that is in it. None where nobody can tell.
pub fn count(folder: &File, what: &Path) -> usize {
    let list = |option: &str| {
        let mut command = tool::command("lsattr");
        command.args([option, "--"]).arg(what).current_dir(handle::path(folder));
        // What has no flags, as a link, it complains of.
        let output = command.output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).lines().filter(|line| is_flagged(line)).count()
    };
    let is_folder = handle::path(folder).join(what).symlink_metadata().is_ok_and(|it| it.is_dir());
    list("-d") + if is_folder { list("-Ra") } else { 0 }
}

/// One line: the flags, and the name.
fn is_flagged(line: &str) -> bool {
    let Some((flags, name)) = line.split_once(' ') else { return false };
    let are_flags = flags.len() >= 16 && flags.chars().all(|c| c == '-' || c.is_ascii_alphabetic());
    // A folder is listed in the one that it is in.
    let is_listed_elsewhere = name.ends_with("/.") || name.ends_with("/..");
    are_flags && !is_listed_elsewhere && flags.contains(|c| !OF_THE_FILE_SYSTEM.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_set_is_told_from_what_the_file_system_has() {
        for line in [
            "----i---------e------- ./a",
            "-----a---------------- ./a b",
            "---------------C------ ./x",
        ] {
            assert!(is_flagged(line), "{line}");
        }
        for line in [
            "--------------e------- ./a",
            "-----------I--e------- ./b",
            "",
            "./folder:",
            "a b",
            "----i---------e------- ./a/.",
            "----i---------e------- ./a/..",
        ] {
            assert!(!is_flagged(line), "{line}");
        }
    }
}
