//! Whether the settings can work: what adopted programs would meet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stillpoint::Status;

use super::library::Library;
use super::settings::Settings;
use crate::stilling::cover::are_on_one_file_system;
use crate::words::exit::Failure;

/// What is wrong.
pub fn faults(
    path: &Path,
    settings: &Result<Settings, Failure>,
    library: &Result<Library, Failure>,
) -> Vec<String> {
    let mut faults = Vec::new();
    match library {
        Err(failure) => faults.push(failure.to_string()),
        Ok(library) => faults.extend(unreadable(library)),
    }
    let settings = match settings {
        Err(failure) => {
            faults.push(failure.to_string());
            return faults;
        }
        Ok(settings) => settings,
    };
    faults.extend(settings.faults.iter().cloned());
    let file = settings.file.display();
    let protected = &settings.said.protected;
    if !protected.is_empty() && !protected.iter().any(|one| are_on_one_file_system(one, path)) {
        let path = path.display();
        faults.push(format!(
            "{file}: protects nothing on the file system of {path}; add: protect {path}"
        ));
    }
    if fs::metadata(&settings.file).is_ok_and(|found| found.permissions().mode() & 0o004 == 0) {
        faults.push(format!("{file}: not everybody may read it, so that not every program is adopted; chmod 644 {file}"));
    }
    let Some(barrier) = &settings.said.barrier else {
        return faults;
    };
    if let Err(error) = Status::read(barrier) {
        faults.push(error.to_string());
    }
    if let Some(one) = protected.iter().find(|one| are_on_one_file_system(one, barrier)) {
        let (barrier, one) = (barrier.display(), one.display());
        faults.push(format!(
            "{barrier}: lies on the file system of {one}, which is protected: programs refuse it; keep it in /run/stillpoint"
        ));
    }
    faults
}

fn unreadable(library: &Library) -> Option<String> {
    let mode = fs::metadata(&library.path).ok()?.permissions().mode();
    let path = library.path.display();
    (mode & 0o004 == 0).then(|| format!("{path}: not everybody may read it; chmod o+r {path}"))
}
