//! Giving and taking the names of snapshots that are no folders, by their tools.
//!
//! The counterparts of renaming and removing a folder. Each can be done again after a run that died in
//! the middle: what has its new name already, or is gone already, is left alone.

use std::io;

use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::volume::{System, Volume};
use crate::process::tool;
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::showing::shows;
use crate::snapshot::place::volume::{destroy, is_at, look_up, rename};

/// The snapshot's volumes, and the tool for them; `None` if it is a folder, or nothing of ours.
fn of(manifest: &Manifest) -> Option<(System, &[Volume])> {
    let system = System::of_provider(&manifest.provider)?;
    (!manifest.volumes.is_empty()).then_some((system, &manifest.volumes))
}

/// Notes what each volume, which still has its temporary name, is known by.
pub fn identify(manifest: &mut Manifest) -> io::Result<()> {
    let Some((system, volumes)) = of(manifest) else {
        return Ok(());
    };
    let mut volumes = volumes.to_vec();
    for volume in &mut volumes {
        volume.identity = look_up(system, &volume.partial)?;
    }
    manifest.volumes = volumes;
    Ok(())
}

/// Gives each volume the name that readers look for. `NotFound` when one is gone; then none is given one.
pub fn publish(manifest: &Manifest) -> io::Result<()> {
    let has_its_name = |system, volume: &Volume| match is_at(system, volume, &volume.partial)? {
        true => Ok(false),
        false if is_at(system, volume, &volume.name)? => Ok(true),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    for_each(manifest, |system, volume| has_its_name(system, volume).map(drop))?;
    for_each(manifest, |system, volume| match has_its_name(system, volume)? {
        true => Ok(()),
        false => rename(system, &volume.partial, &volume.name),
    })
}

/// Destroys what has not got its name yet. A tool that was killed may have left its origin suspended. What
/// has the name, but need not be what the run made, is left.
pub fn discard(manifest: &Manifest) -> io::Result<()> {
    for_each(manifest, |system, volume| {
        if !volume.is_told() {
            return Ok(());
        }
        let origin = volume.name.strip_suffix(&format!("-{}", manifest.name));
        if let Some(origin) = origin.filter(|_| system == System::Lvm) {
            // It does no harm to one that is not, and says nothing that could be acted on.
            let _ = tool::ask("lvchange", &["--refresh", origin]);
        }
        destroy(system, volume)
    })
}

/// What has a temporary name, and need not be what the run made.
pub fn strangers(manifest: &Manifest) -> io::Result<Vec<String>> {
    let Some((system, volumes)) = of(manifest) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for volume in volumes.iter().filter(|volume| !volume.is_told()) {
        if look_up(system, &volume.partial)?.is_some() {
            found.push(volume.partial.clone());
        }
    }
    Ok(found)
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
        destroy(system, volume)?;
        let place = if are_kept(manifest) { volume.kept.as_ref() } else { Some(&volume.name) };
        match place {
            Some(place) if is_at(system, volume, place)? => {
                rename(system, place, &volume.partial)?;
            }
            _ => {}
        }
        destroy(system, volume)
    })
}

/// Gives what there is names that cannot be taken for a snapshot's, and says which.
pub fn keep(manifest: &mut Manifest, how: &str) -> io::Result<Vec<String>> {
    let Some((system, volumes)) = of(manifest) else {
        return Ok(Vec::new());
    };
    let (mut volumes, mut kept) = (volumes.to_vec(), Vec::new());
    for volume in &mut volumes {
        if let Some(identity) = look_up(system, &volume.partial)? {
            volume.identity = Some(identity);
            rename(system, &volume.partial, &volume.failed(how))?;
            volume.kept = Some(volume.failed(how));
            kept.extend(volume.kept.clone());
        }
    }
    manifest.volumes = volumes;
    Ok(kept)
}

/// `WouldBlock` while one is mounted: who reads it there may have lost the process that keeps the pin.
pub fn refuse_mounts(manifest: &Manifest) -> io::Result<()> {
    if of(manifest).is_none() {
        return Ok(());
    }
    let mounts = Mounts::read().map_err(|failure| io::Error::other(failure.to_string()))?;
    match mounts.all().find(|mount| shows(mount, manifest)) {
        None => Ok(()),
        Some(mount) => {
            let message = format!(
                "nothing of it is removed, as it is mounted at {}; unmount it",
                mount.target.display()
            );
            Err(io::Error::new(io::ErrorKind::WouldBlock, message))
        }
    }
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
