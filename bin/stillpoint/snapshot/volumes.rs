//! Giving and taking the names of snapshots that are no folders, by their tools.
//!
//! The counterparts of renaming and removing a folder. Each can be done again after a run that died in
//! the middle: what has its new name already, or is gone already, is left alone.

use std::io;

use super::zfs;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::volume::{System, Volume};
use crate::exit::{Exit, Failure};
use crate::tool;

/// The snapshot's volumes, and the tool for them; `None` if it is a folder, or nothing of ours.
fn of(manifest: &Manifest) -> Option<(System, &[Volume])> {
    let system = System::of_provider(&manifest.provider)?;
    (!manifest.volumes.is_empty()).then_some((system, &manifest.volumes))
}

/// Refuses a volume whose name, or the one it has until it is published, is taken.
pub fn check_free(system: System, volume: &Volume) -> Result<(), Failure> {
    for name in [&volume.name, &volume.partial] {
        let taken = exists(system, name).map_err(|error| {
            Failure::new(Exit::UNAVAILABLE, format!("{name}: cannot be looked up: {error}"))
        })?;
        if taken {
            let message = format!("{name}: exists already; give another --name");
            return Err(Failure::new(Exit::CANNOT_CREATE, message));
        }
    }
    Ok(())
}

/// Gives each volume the name that readers look for. `NotFound` when one is gone; then none is given one.
pub fn publish(manifest: &Manifest) -> io::Result<()> {
    let has_its_name = |system, volume: &Volume| match exists(system, &volume.partial)? {
        true => Ok(false),
        false if exists(system, &volume.name)? => Ok(true),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    for_each(manifest, |system, volume| has_its_name(system, volume).map(drop))?;
    for_each(manifest, |system, volume| match has_its_name(system, volume)? {
        true => Ok(()),
        false => rename(system, &volume.partial, &volume.name),
    })
}

/// Destroys what has not got its name yet. A tool that was killed may have left its origin suspended.
pub fn discard(manifest: &Manifest) -> io::Result<()> {
    for_each(manifest, |system, volume| {
        if system == System::Lvm
            && let Some(origin) = volume.name.strip_suffix(&format!("-{}", manifest.name))
        {
            // It does no harm to one that is not, and says nothing that could be acted on.
            let _ = tool::ask("lvchange", &["--refresh", origin]);
        }
        destroy(system, &volume.partial)
    })
}

/// Is there anything that has a name for good? Of one that failed, only what was kept is its own.
pub fn are_left(manifest: &Manifest) -> bool {
    match manifest.status {
        Status::Failed | Status::Revoked => are_kept(manifest),
        _ => !manifest.volumes.is_empty(),
    }
}

fn are_kept(manifest: &Manifest) -> bool {
    manifest.volumes.iter().any(|volume| volume.kept.is_some())
}

/// Destroys all that [`are_left`]. Each loses the name that readers look for first.
pub fn remove(manifest: &Manifest) -> io::Result<()> {
    for_each(manifest, |system, volume| {
        destroy(system, &volume.partial)?;
        let place = if are_kept(manifest) { volume.kept.as_ref() } else { Some(&volume.name) };
        if let Some(place) = place
            && exists(system, place)?
        {
            rename(system, place, &volume.partial)?;
        }
        destroy(system, &volume.partial)
    })
}

/// Gives what there is names that cannot be taken for a snapshot's, and says which.
pub fn keep(manifest: &mut Manifest, how: &str) -> io::Result<Vec<String>> {
    let Some((system, volumes)) = of(manifest) else {
        return Ok(Vec::new());
    };
    let (mut volumes, mut kept) = (volumes.to_vec(), Vec::new());
    for volume in &mut volumes {
        if exists(system, &volume.partial)? {
            rename(system, &volume.partial, &volume.failed(how))?;
            volume.kept = Some(volume.failed(how));
            kept.extend(volume.kept.clone());
        }
    }
    manifest.volumes = volumes;
    Ok(kept)
}

fn for_each(
    manifest: &Manifest,
    work: impl Fn(System, &Volume) -> io::Result<()>,
) -> io::Result<()> {
    let Some((system, volumes)) = of(manifest) else {
        return Ok(());
    };
    volumes.iter().try_for_each(|volume| work(system, volume))
}

/// Is there a snapshot of this name? ZFS says the same of one whose pool is not imported, which is not
/// the end of it.
fn exists(system: System, name: &str) -> io::Result<bool> {
    let (program, arguments, unknown): (_, &[&str], _) = match system {
        System::Zfs => {
            ("zfs", &["list", "-H", "-t", "snapshot", "-o", "name", name], "does not exist")
        }
        System::Lvm => {
            ("lvs", &["--noheadings", "-o", "lv_name", name], "Failed to find logical volume")
        }
    };
    match tool::ask(program, arguments) {
        Ok(_) => Ok(true),
        Err(failure) if failure.to_string().contains(unknown) => match system {
            System::Zfs => zfs::check_pool(name).map(|()| false).map_err(|failure| other(&failure)),
            System::Lvm => Ok(false),
        },
        Err(failure) => Err(other(&failure)),
    }
}

fn rename(system: System, from: &str, to: &str) -> io::Result<()> {
    let done = match system {
        System::Zfs => tool::ask("zfs", &["rename", from, to]),
        System::Lvm => tool::ask("lvrename", &[from, to]),
    };
    done.map(drop).map_err(|failure| other(&failure))
}

fn destroy(system: System, name: &str) -> io::Result<()> {
    if !exists(system, name)? {
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
