//! Where the state of a barrier is kept: by its name, or as the caller says.
//!
//! Never by what the barrier file says, which the writers can change.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

pub const FOLDER: &str = "/var/lib/stillpoint";

/// Where the state of `barrier` is kept; `None`: nowhere. `given` is the value of `--state`.
pub fn path(
    barrier: &OsStr,
    user: bool,
    given: Option<&Path>,
) -> Result<Option<PathBuf>, stillpoint::Error> {
    // A name that is no name must not become a path of ours.
    let file = stillpoint::barrier_path(barrier, user)?;
    if let Some(given) = given {
        return Ok((given != Path::new("none")).then(|| given.to_path_buf()));
    }
    if user || (barrier.as_encoded_bytes().contains(&b'/') && !has_name(&file)) {
        return Ok(None);
    }
    let Some(folder) = folder() else {
        return Ok(None);
    };
    Ok(file.file_stem().map(|name| {
        let mut name = name.to_os_string();
        name.push(".state");
        folder.join(name)
    }))
}

/// The folder of the states of barriers with a name, if those have any.
pub fn folder() -> Option<PathBuf> {
    match set("STILLPOINT_STATE_DIR") {
        Some(folder) => Some(folder),
        None if set("STILLPOINT_DIR").is_some() => None,
        None => Some(PathBuf::from(FOLDER)),
    }
}

/// Where the records of jobs are kept, beside the states.
pub fn jobs() -> PathBuf {
    set("STILLPOINT_STATE_DIR").unwrap_or_else(|| PathBuf::from(FOLDER)).join("jobs")
}

/// Whether a path leads where a name does: it is the same barrier then.
fn has_name(file: &Path) -> bool {
    let Ok(names) = stillpoint::barrier_folder(false) else {
        return false;
    };
    let same = file.parent().is_some_and(|folder| {
        folder == names
            || folder
                .canonicalize()
                .ok()
                .is_some_and(|folder| names.canonicalize().ok() == Some(folder))
    });
    same && file.extension() == Some(OsStr::new("barrier"))
}

fn set(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
