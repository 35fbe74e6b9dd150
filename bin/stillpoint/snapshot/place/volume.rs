//! Snapshots that are no folders: looked up, renamed and destroyed by the tools of ZFS and LVM.

use std::io;

use crate::catalogue::volume::{System, Volume};
use crate::process::tool;
use crate::words::exit::{Exit, Failure};

/// Refuses a volume whose name, or the one it has until it is published, is taken.
pub fn check_free(system: System, volume: &Volume) -> Result<(), Failure> {
    for name in [&volume.name, &volume.partial] {
        let taken = look_up(system, name).map_err(|error| {
            Failure::new(Exit::UNAVAILABLE, format!("{name}: cannot be looked up: {error}"))
        })?;
        if taken.is_some() {
            return Err(Failure::taken(format!("{name}: exists already; give another --name")));
        }
    }
    Ok(())
}

/// Is it this volume that has the name?
pub fn is_at(system: System, volume: &Volume, name: &str) -> io::Result<bool> {
    let found = look_up(system, name)?;
    Ok(found.is_some() && (volume.identity.is_none() || volume.identity == found))
}

/// What the snapshot of this name is known by, if there is one. ZFS says the same of one whose pool is
/// not imported, which is not the end of it.
pub fn look_up(system: System, name: &str) -> io::Result<Option<String>> {
    let (program, arguments, unknown): (_, &[&str], _) = match system {
        System::Zfs => {
            ("zfs", &["list", "-H", "-t", "snapshot", "-o", "guid", name], "does not exist")
        }
        System::Lvm => {
            ("lvs", &["--noheadings", "-o", "lv_uuid", name], "Failed to find logical volume")
        }
    };
    match tool::ask(program, arguments) {
        Ok(identity) => Ok(Some(identity.trim().to_owned())),
        Err(failure) if failure.to_string().contains(unknown) => match system {
            System::Zfs => check_pool(name).map(|()| None).map_err(|failure| other(&failure)),
            System::Lvm => Ok(None),
        },
        Err(failure) => Err(other(&failure)),
    }
}

pub fn rename(system: System, from: &str, to: &str) -> io::Result<()> {
    let done = match system {
        System::Zfs => tool::ask("zfs", &["rename", from, to]),
        System::Lvm => tool::ask("lvrename", &[from, to]),
    };
    done.map(drop).map_err(|failure| other(&failure))
}

/// Destroys a volume that has its temporary name.
pub fn destroy(system: System, volume: &Volume) -> io::Result<()> {
    let name = &volume.partial;
    if !is_at(system, volume, name)? {
        return Ok(());
    }
    let done = match system {
        System::Zfs => tool::ask("zfs", &["destroy", name]),
        System::Lvm => tool::ask("lvremove", &["-f", "-y", name]),
    };
    done.map(drop).map_err(|failure| other(&failure))
}

fn other(failure: &Failure) -> io::Error {
    io::Error::other(failure.to_string())
}

/// The pool of a dataset or snapshot is there and can be written.
pub fn check_pool(name: &str) -> Result<(), Failure> {
    let pool = pool(name);
    let health = tool::ask("zpool", &["list", "-H", "-o", "health,readonly", pool])?;
    let wrong = match health.trim().split_once('\t') {
        Some(("ONLINE" | "DEGRADED", "off")) => return Ok(()),
        Some((_, "on")) => "read-only",
        Some((health, _)) => health,
        None => "in a state that cannot be read",
    };
    let message = format!("{pool}: the pool is {wrong}; see `zpool status {pool}`");
    Err(Failure::new(Exit::UNAVAILABLE, message))
}

/// The name of its pool.
pub fn pool(name: &str) -> &str {
    name.split(['/', '@']).next().unwrap_or_default()
}
