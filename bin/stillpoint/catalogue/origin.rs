//! Where a source was: on which file system, and at which place in it.
//!
//! A path alone does not say what was read. When a file system is not mounted, the folder that it is mounted
//! on is there all the same, and empty. So a manifest remembers what its sources were on, by something that
//! is the same after a remount and in the next boot.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where one source was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The kind of file system, as mount(8) calls it.
    pub kind: String,
    /// Which one of its kind: its identifier, which on btrfs is the subvolume's too, or what was mounted if
    /// it has none. `null` where it cannot be told.
    pub id: Option<String>,
    /// The source's place in it.
    pub root: PathBuf,
    /// Where it was mounted; that may change.
    pub mounted_at: PathBuf,
}

/// What a series of its own is told by.
pub type Key<'a> = Vec<(Option<&'a str>, &'a Path)>;

pub fn key(origins: &[Origin]) -> Key<'_> {
    origins.iter().map(|origin| (origin.id.as_deref(), origin.root.as_path())).collect()
}

/// The sources of one snapshot, one by one, were where those of another were, as far as that can be told.
pub fn are_same(some: &[Origin], others: &[Origin]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| one.is_same(other))
}

impl Origin {
    pub fn is_same(&self, other: &Origin) -> bool {
        let same_file_system = match (&self.id, &other.id) {
            (Some(one), Some(other)) => one == other,
            _ => self.kind == other.kind,
        };
        same_file_system && self.root == other.root
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, mounted_at) = (self.root.display(), self.mounted_at.display());
        match &self.id {
            Some(id) => write!(f, "{root} of {} {id}, mounted at {mounted_at}", self.kind),
            None => write!(f, "{root} of {}, mounted at {mounted_at}", self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(kind: &str, id: Option<&str>, root: &str) -> Origin {
        let id = id.map(str::to_owned);
        Origin { kind: kind.into(), id, root: root.into(), mounted_at: "/".into() }
    }

    #[test]
    fn one_that_cannot_be_told_is_taken_for_any_of_its_kind() {
        let (a, b, unknown) = (
            origin("xfs", Some("a"), "/"),
            origin("xfs", Some("b"), "/"),
            origin("xfs", None, "/"),
        );
        assert!(a.is_same(&a) && !a.is_same(&b));
        assert!(a.is_same(&unknown) && unknown.is_same(&b));
        assert!(!unknown.is_same(&origin("ext4", Some("a"), "/")));
        assert!(!a.is_same(&origin("xfs", Some("a"), "/mail")));
        // Mounted as another kind, or elsewhere, it is the same.
        assert!(origin("ext3", Some("a"), "/").is_same(&origin("ext4", Some("a"), "/")));
        assert!(Origin { mounted_at: "/srv".into(), ..a.clone() }.is_same(&a));
        assert!(are_same(&[], &[]) && !are_same(&[a], &[]));
    }
}
