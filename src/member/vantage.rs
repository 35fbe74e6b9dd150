//! From where a process sees paths: its root folder, its mounts, and who it is.
//!
//! A process that has changed one of these since it opened a barrier finds something else by the same path,
//! or nothing, or may not look. What it finds says nothing about the barrier then: it was not removed, and
//! whatever stands there has not replaced it.

use crate::file::open::Identity;
use crate::system::calls;
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::path::Path;

/// From where this process saw paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vantage {
    pub(crate) root: Option<Identity>,
    mounts: Mounts,
    user: (u32, u32),
}

/// A namespace of mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounts {
    /// By the mount of the root folder, of which each namespace has one of its own.
    OfRoot(u64),
    /// Where the kernel does not tell that; `None` without /proc, which also takes far longer to ask.
    Namespace(Option<Identity>),
}

impl Vantage {
    pub(crate) fn now() -> Vantage {
        let identity = |path| fs::metadata(Path::new(path)).ok().map(|meta| Identity::of(&meta));
        let namespace = || Mounts::Namespace(identity("/proc/self/ns/mnt"));
        let (root, mount) = match calls::root() {
            Ok(root) => (Some(Identity { device: root.device, inode: root.inode }), root.mount),
            Err(_) => (identity("/"), None),
        };
        Vantage {
            root,
            mounts: mount.map_or_else(namespace, Mounts::OfRoot),
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
        let mounts = Mounts::Namespace(None);
        for elsewhere in [Vantage { root: None, ..here }, Vantage { mounts, ..here }] {
            assert!(elsewhere != here && !elsewhere.sees_the_same());
        }
        let another = Vantage { user: (here.user.0 + 1, here.user.1), ..here };
        assert!(another != here && another.sees_the_same());
    }

    /// Even where all mounts are copies of the same.
    #[test]
    fn it_is_another_in_a_namespace_of_its_own() {
        use nix::sched::{CloneFlags, unshare};
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let here = Vantage::now();
        let there =
            std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNS).map(|()| Vantage::now()));
        // A container may not do so.
        if let Ok(there) = there.join().unwrap() {
            assert!(there.root == here.root && there.mounts != here.mounts);
        }
        assert!(here.sees_the_same());
    }
}
