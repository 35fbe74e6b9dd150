//! Where a source was: on which file system, and at which place in it.
//!
//! A path alone does not say what was read. When a file system is not mounted, the folder that it is mounted
//! on is there all the same, and empty. So a manifest remembers what its sources were on, by something that
//! is the same after a remount and in the next boot. The same goes for what is mounted inside it, where that is
//! read too.

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
    /// What was mounted inside the source; `null` if that is not read, or nobody looked.
    #[serde(default)]
    pub inside: Option<Vec<Origin>>,
}

/// What a series of its own is told by.
pub type Key<'a> = Vec<(Option<&'a str>, &'a Path)>;

pub fn key(origins: &[Origin]) -> Key<'_> {
    let mut key = Vec::new();
    for origin in origins {
        key.push((origin.id.as_deref(), origin.root.as_path()));
        let inside = origin.inside.iter().flatten();
        key.extend(inside.map(|one| (one.id.as_deref(), one.mounted_at.as_path())));
    }
    key
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
        same_file_system && self.root == other.root && self.differences(other).is_empty()
    }

    /// Is it itself the same, whatever is mounted inside it?
    pub fn is_same_outside(&self, other: &Origin) -> bool {
        Origin { inside: None, ..self.clone() }.is_same(other)
    }

    /// What is mounted inside the source, and is not the same here and there: each as it is here and there.
    pub fn differences<'a>(&'a self, other: &'a Origin) -> Vec<[Option<&'a Origin>; 2]> {
        let (Some(ours), Some(theirs)) = (&self.inside, &other.inside) else {
            return Vec::new();
        };
        let find = |all: &'a [Origin], place: &Path| all.iter().find(|one| one.mounted_at == place);
        let changed = ours.iter().map(|one| [Some(one), find(theirs, &one.mounted_at)]);
        let changed = changed.filter(|[one, other]| match (one, other) {
            (Some(one), Some(other)) => !one.is_same(other),
            _ => true,
        });
        let gone = theirs.iter().filter(|one| find(ours, &one.mounted_at).is_none());
        changed.chain(gone.map(|one| [None, Some(one)])).collect()
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
        Origin { kind: kind.into(), id, root: root.into(), mounted_at: "/".into(), inside: None }
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
        // What is mounted inside it must be the same, if it was looked for.
        let with = |inside: &[&Origin]| Origin {
            inside: Some(inside.iter().map(|&origin| origin.clone()).collect()),
            ..a.clone()
        };
        assert!(with(&[&b]).is_same(&with(&[&b])) && with(&[&b]).is_same(&with(&[&unknown])));
        assert!(with(&[&b]).is_same(&a) && a.is_same(&with(&[])));
        for other in
            [with(&[]), with(&[&a]), with(&[&b, &Origin { mounted_at: "/x".into(), ..a.clone() }])]
        {
            assert!(!with(&[&b]).is_same(&other) && !other.is_same(&with(&[&b])));
            assert!(with(&[&b]).is_same_outside(&other));
        }
        assert!(are_same(&[], &[]) && !are_same(&[a], &[]));
    }
}
