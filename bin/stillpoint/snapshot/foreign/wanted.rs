//! What is to be locked, and how: `--also`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How a file is locked. The two kinds do not see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As [`Kind::Fcntl`], on a file that is made if it is missing.
    Cyrus,
    /// fcntl(2), for writing, all of the file. Of the description: closing the file elsewhere in this
    /// process does not lose it, and it excludes the locks of processes.
    Fcntl,
    /// flock(2), exclusive.
    Flock,
}

impl Kind {
    /// For the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Cyrus => "cyrus",
            Kind::Fcntl => "fcntl",
            Kind::Flock => "flock",
        }
    }
}

/// A value of `--also`, or Cyrus's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Also {
    pub kind: Kind,
    pub path: PathBuf,
}

/// As `fcntl:PATH` or `flock:PATH`.
pub fn parse_also(text: &OsStr) -> Result<Also, String> {
    let bytes = text.as_bytes();
    let kinds = [(Kind::Fcntl, &b"fcntl:"[..]), (Kind::Flock, &b"flock:"[..])];
    let found =
        kinds.into_iter().find_map(|(kind, prefix)| Some((kind, bytes.strip_prefix(prefix)?)));
    match found {
        Some((kind, path)) if !path.is_empty() => {
            Ok(Also { kind, path: OsStr::from_bytes(path).into() })
        }
        _ => Err("expected fcntl:PATH or flock:PATH".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_paths() {
        let parse = |text: &str| parse_also(OsStr::new(text));
        assert_eq!(parse("fcntl:/a:b"), Ok(Also { kind: Kind::Fcntl, path: "/a:b".into() }));
        assert_eq!(parse("flock:x"), Ok(Also { kind: Kind::Flock, path: "x".into() }));
        for garbage in ["", "x", "fcntl", "fcntl:", "lockf:/a", "FLOCK:/a"] {
            assert!(parse(garbage).is_err(), "{garbage}");
        }
    }
}
