//! From where a process sees paths: its root folder, its mounts, and who it is.
//!
//! A process that has changed one of these since it opened a barrier finds something else by the same path,
//! or nothing, or may not look. What it finds says nothing about the barrier then: it was not removed, and
//! whatever stands there has not replaced it.

use crate::file::open::Identity;
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::path::Path;

/// From where this process saw paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vantage {
    root: Option<Identity>,
    /// The namespace of mounts; `None` without /proc.
    mounts: Option<Identity>,
    user: (u32, u32),
}

impl Vantage {
    pub(crate) fn now() -> Vantage {
        let identity = |path| fs::metadata(Path::new(path)).ok().map(|meta| Identity::of(&meta));
        Vantage {
            root: identity("/"),
            mounts: identity("/proc/self/ns/mnt"),
            user: (geteuid().as_raw(), getegid().as_raw()),
        }
    }

    /// Whether the same paths lead from here to the same files.
    pub(crate) fn sees_the_same(&self) -> bool {
        let now = Vantage::now();
        (self.root, self.mounts) == (now.root, now.mounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same_until_something_changes() {
        let here = Vantage::now();
        assert!(here == Vantage::now() && here.sees_the_same());
        for elsewhere in [Vantage { root: None, ..here }, Vantage { mounts: None, ..here }] {
            assert!(elsewhere != here && !elsewhere.sees_the_same());
        }
        let another = Vantage { user: (here.user.0 + 1, here.user.1), ..here };
        assert!(another != here && another.sees_the_same());
    }
}
