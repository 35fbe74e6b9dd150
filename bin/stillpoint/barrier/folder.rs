//! The folder of names.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

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
