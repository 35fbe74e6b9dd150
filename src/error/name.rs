//! The names of barriers, and the paths that they stand for.

use crate::error::Error;
use crate::system::environment::variable;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The folder of the barriers that every user means by a name.
const FOLDER: &str = "/run/stillpoint";
/// With its ending, a name is that of a file.
const LONGEST_NAME: usize = 255 - ".barrier".len();

/// The path of a barrier: a name stands for `/run/stillpoint/NAME.barrier`, for every user, because a
/// root tool and a writer of another user must mean the same file. `$STILLPOINT_DIR` replaces the
/// folder, `user` means `$XDG_RUNTIME_DIR/stillpoint`; anything with a `/` is a path.
///
/// # Errors
/// [`Error::BadName`] if no file can have the name.
///
/// # Examples
/// ```
/// # use stillpoint::barrier_path;
/// let path = barrier_path("./spool.barrier".as_ref(), false)?;
/// assert_eq!(path, std::path::Path::new("./spool.barrier"));
/// # Ok::<(), stillpoint::Error>(())
/// ```
pub fn barrier_path(name: &OsStr, user: bool) -> Result<PathBuf, Error> {
    let bytes = name.as_bytes();
    let bad = |reason| Error::BadName { name: name.to_string_lossy().into_owned(), reason };
    if bytes.is_empty() {
        return Err(bad("it is empty"));
    }
    if bytes.contains(&0) {
        return Err(bad("it has a zero byte in it"));
    }
    if bytes.contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    if bytes.ends_with(b".barrier") {
        return Err(bad("a name is without that ending, and a path has a slash"));
    }
    if bytes.len() > LONGEST_NAME {
        return Err(bad("it is too long"));
    }
    if bytes[0] == b'.' || bytes[0] == b'-' || bytes.iter().any(u8::is_ascii_control) {
        return Err(bad("a name begins with a letter or digit and has no control characters"));
    }
    let mut file = name.to_os_string();
    file.push(".barrier");
    Ok(folder(user)?.join(file))
}

/// The folder in which names are looked up.
///
/// # Errors
/// [`Error::BadName`] if `user` is asked for and `$XDG_RUNTIME_DIR` is not set.
pub fn barrier_folder(user: bool) -> Result<PathBuf, Error> {
    folder(user)
}

fn folder(user: bool) -> Result<PathBuf, Error> {
    if user {
        let runtime = variable("XDG_RUNTIME_DIR").ok_or(Error::BadName {
            name: "--user".into(),
            reason: "XDG_RUNTIME_DIR is not set; set it, or give a path",
        })?;
        return Ok(Path::new(&runtime).join("stillpoint"));
    }
    Ok(variable("STILLPOINT_DIR").map_or_else(|| PathBuf::from(FOLDER), PathBuf::from))
}

/// The barrier at this path, as the command takes it: by its name, where it has one.
pub(crate) fn named(path: &Path) -> String {
    let by_name = |user: bool, option: &str| {
        let name = path.file_name()?.to_str()?.strip_suffix(".barrier")?;
        let found = barrier_path(name.as_ref(), user).ok()?;
        let is_it = found == path || std::path::absolute(&found).is_ok_and(|found| found == path);
        is_it.then(|| format!("{option}{name}"))
    };
    let named = by_name(false, "").or_else(|| by_name(true, "--user "));
    named.unwrap_or_else(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        let bad =
            |name: &str| matches!(barrier_path(name.as_ref(), false), Err(Error::BadName { .. }));
        assert!(bad("") && bad(".hidden") && bad("-s") && bad("a\nb") && bad("a\0b"));
        assert_eq!(barrier_path("a/b".as_ref(), false).unwrap(), Path::new("a/b"));
        let path = barrier_path("mail".as_ref(), false).unwrap();
        assert!(path.ends_with("mail.barrier"));
    }
}
