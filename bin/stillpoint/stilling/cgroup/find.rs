//! From what the user has named to groups that can be frozen. All that can be refused is refused here, with one line
//! that says what to do.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::group::Group;
use super::hierarchy::{Hierarchy, Version, is_folder};
use super::{kin, unit};
use crate::words::exit::{Exit, Failure, reason};

/// The group of a unit of systemd.
pub fn of_unit(name: &OsStr, all: &[Hierarchy]) -> Result<Group, Failure> {
    let unit = name.to_string_lossy();
    require_any(all)?;
    let groups = unit::groups(name)?;
    let group = open(all, &groups, &unit)?;
    group.ok_or_else(|| {
        let places: Vec<_> = groups.iter().map(|group| group.display().to_string()).collect();
        let message = format!(
            "{unit}: has no control group that can be frozen ({} is in no hierarchy that can); is it running? see cgroups(7)",
            places.join(" or ")
        );
        Failure::new(Exit::MISSING, message)
    })
}

/// A group by its folder, or by the name that the kernel has for it.
pub fn of_path(path: &Path, all: &[Hierarchy]) -> Result<Group, Failure> {
    let name = path.display().to_string();
    require_any(all)?;
    if let Ok(folder) = fs::canonicalize(path) {
        if let Some(hierarchy) = Hierarchy::of(all, &folder) {
            return checked(&folder, hierarchy, &name);
        }
    }
    if let Some(group) = open(all, &[path.to_owned()], &name)? {
        return Ok(group);
    }
    Err(match path.exists() {
        true => Failure::new(
            Exit::UNAVAILABLE,
            format!(
                "{name}: is in no hierarchy of control groups that can freeze; name it in one that can: {}",
                places(all)
            ),
        ),
        false => Failure::new(
            Exit::MISSING,
            format!(
                "{name}: there is no such control group; name its folder, or its path as /proc/PID/cgroup has it"
            ),
        ),
    })
}

fn require_any(all: &[Hierarchy]) -> Result<(), Failure> {
    if all.is_empty() {
        let message = "control groups cannot be frozen here: no hierarchy that can is mounted (is this a container?); take the snapshot on the host";
        return Err(Failure::new(Exit::UNAVAILABLE, message));
    }
    Ok(())
}

fn places(all: &[Hierarchy]) -> String {
    let roots: Vec<_> = all.iter().map(|found| found.root.display().to_string()).collect();
    roots.join(" or ")
}

/// The first of these that there is, in the first hierarchy that has it; one with processes in it before one without.
fn open(all: &[Hierarchy], groups: &[PathBuf], name: &str) -> Result<Option<Group>, Failure> {
    let mut empty = None;
    for hierarchy in all {
        for group in groups {
            let folder = hierarchy.folder(group);
            if !is_folder(&folder).map_err(|error| Failure::system(folder.display(), error))? {
                continue;
            }
            let group = checked(&folder, hierarchy, name)?;
            if group.members().is_ok_and(|members| !members.is_empty()) {
                return Ok(Some(group));
            }
            empty = empty.or(Some(group));
        }
    }
    Ok(empty)
}

/// Opens a group that may be frozen.
fn checked(folder: &Path, hierarchy: &Hierarchy, name: &str) -> Result<Group, Failure> {
    if folder == hierarchy.root {
        let message = format!(
            "{name}: is the first group of all, with everything in it; name the group of the writers"
        );
        return Err(Failure::usage(message));
    }
    let group = Group::open(folder, hierarchy.version)
        .map_err(|error| unavailable(error, name, hierarchy.version))?;
    let failed = |error| Failure::system(folder.display(), error);
    if group.has_threads_only().map_err(failed)? {
        let message = format!(
            "{name}: is a group of threads, whose processes have others elsewhere; name the group above it that has them whole"
        );
        return Err(Failure::usage(message));
    }
    if let Some(pid) = group.one_with_threads_elsewhere().map_err(failed)? {
        let message = format!(
            "{name}: process {pid} has threads in it and others elsewhere, which would go on; move it whole, by cgroup.procs"
        );
        return Err(Failure::usage(message));
    }
    let members = group.members().map_err(failed)?;
    if let Some(kin) = kin::among(&members) {
        let (pid, comm) = (kin.0, kin.comm());
        let message = format!(
            "{name}: {comm}[{pid}] is in it, which is this tool or what it was started by, and would be frozen; start it from elsewhere, as from a unit of its own"
        );
        return Err(Failure::usage(message));
    }
    Ok(group)
}

fn unavailable(error: io::Error, name: &str, version: Version) -> Failure {
    let (exit, what) = match error.kind() {
        io::ErrorKind::NotFound => {
            let control = version.control();
            let what = format!("this kernel has no {control}, which came with Linux 5.2");
            (Exit::UNAVAILABLE, what)
        }
        io::ErrorKind::ReadOnlyFilesystem => (
            Exit::UNAVAILABLE,
            "control groups are read-only here (is this a container?); take the snapshot on the host"
                .to_owned(),
        ),
        io::ErrorKind::PermissionDenied => {
            (Exit::DENIED, "only root may, or whom it was delegated to".to_owned())
        }
        _ => (Exit::SYSTEM, reason(&error)),
    };
    Failure::new(exit, format!("{name}: cannot be frozen: {what}"))
}
