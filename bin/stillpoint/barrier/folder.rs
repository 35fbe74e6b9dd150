//! The folder of names.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use super::state::{State, place};
use crate::words::exit::Failure;

/// All barriers in it, in their order.
pub fn all(user: bool) -> anyhow::Result<Vec<PathBuf>> {
    let folder = stillpoint::barrier_folder(user)?;
    let cannot =
        |error| Failure::system(format_args!("cannot read the folder {}", folder.display()), error);
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot(error).into()),
        Ok(entries) => entries,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        if path.extension() == Some(OsStr::new("barrier")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The same, and those that should be there: a state says that they were never retired.
pub fn expected(user: bool) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::from_iter(all(user)?);
    if !user {
        let open = open_names()?;
        paths.extend(open.iter().filter_map(|name| stillpoint::barrier_path(name, user).ok()));
    }
    Ok(paths)
}

fn open_names() -> Result<Vec<OsString>, Failure> {
    let Some(folder) = place::folder() else {
        return Ok(Vec::new());
    };
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::system(folder.display(), error)),
        Ok(entries) => entries,
    };
    let states = entries.flatten().map(|entry| entry.path());
    let states = states.filter(|path| path.extension() == Some(OsStr::new("state")));
    let is_open = |path: &PathBuf| matches!(State::load(path), Ok(Some(state)) if state.is_open());
    Ok(states.filter(is_open).filter_map(|path| Some(path.file_stem()?.to_owned())).collect())
}
