//! Where the snapshots of a series are: is it the place that they were put into, and how many more have room there?
//!
//! How many is reckoned from the largest of the last ones, of those things that one snapshot takes and no other has; that
//! is known of copies, of volumes with a size, of ZFS, and of btrfs where quotas are on.

use std::path::Path;

use indicatif::BinaryBytes;
use nix::sys::statvfs::statvfs;

use super::finding::{Findings, Level};
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::volume::{System, Volume};
use crate::process::tool;
use crate::snapshot::provider::btrfs;

/// Less than this is free.
const TIGHT: f64 = 0.10;
const FULL: f64 = 0.03;
/// A snapshot of LVM that is as full as that will soon be of no use.
const FILLED: f64 = 80.0;
/// How many of the last are looked at.
const LAST: usize = 5;

/// What is left of a place.
struct Room {
    free: u64,
    /// Of all of it.
    share: f64,
    /// The same, or of its names if these are scarcer.
    scarcest: f64,
    /// What else there is to say of it.
    remark: String,
}

impl Room {
    fn new(free: u64, share: f64) -> Room {
        Room { free, share, scarcest: share, remark: String::new() }
    }
}

pub fn check(name: &str, one: &[&Manifest], findings: &mut Findings) {
    let complete = one.iter().rev().filter(|manifest| manifest.status == Status::Complete);
    let last: Vec<&Manifest> = complete.take(LAST).copied().collect();
    let Some(newest) = last.first() else { return };
    let (shown, room) = match (newest.path.as_deref().and_then(Path::parent), volume(newest)) {
        (Some(folder), _) => {
            let shown = folder.display().to_string();
            if newest.missing_folder().is_some() {
                let what = format!(
                    "{shown} is not the folder that {} was put into; is it mounted?",
                    newest.name
                );
                findings.add(Level::Critical, "target", name, what);
                return;
            }
            (shown, of_folder(folder))
        }
        (None, Some((System::Zfs, volume))) => {
            let dataset = volume.name.split('@').next().unwrap_or_default();
            (dataset.to_owned(), of_dataset(dataset))
        }
        (None, Some((System::Lvm, volume))) => {
            filled(name, &last, findings);
            let group = volume.name.split('/').next().unwrap_or_default();
            (group.to_owned(), of_group(volume))
        }
        (None, None) => return,
    };
    let Some(Room { free, share, scarcest, remark }) = room else {
        findings.add(Level::Unseen, "target", name, format!("{shown}: how much room there is"));
        return;
    };
    let each = last.iter().filter_map(|manifest| own(manifest)).max().filter(|each| *each > 0);
    let more = each.map(|each| free / each);
    let is_reserved = newest.provider == "lvm" && more.is_some();
    let level = match (scarcest, more) {
        (_, Some(0)) => Level::Critical,
        // What is set aside for it is there or not, however little else there is.
        _ if is_reserved => Level::Ok,
        (..FULL, _) => Level::Critical,
        (..TIGHT, _) | (_, Some(1)) => Level::Warning,
        _ => Level::Ok,
    };
    let more = match (each, more) {
        (Some(each), Some(more)) => {
            findings.measure(format!("further {name}"), more as f64, "");
            format!("; room for {more} more, as the last took up to {}", BinaryBytes(each))
        }
        _ => "; for how many more is not known".to_owned(),
    };
    let gibibytes = free as f64 / (1_u64 << 30) as f64;
    let advice = if level > Level::Ok { "; stillpoint prune makes room" } else { "" };
    let what = format!(
        "{shown} has {gibibytes:.1} GiB free, {:.0} %{remark}{more}{advice}",
        share * 100.0
    );
    findings.add(level, "room", name, what);
    findings.measure(format!("free {shown}"), free as f64, "B");
}

fn volume(manifest: &Manifest) -> Option<(System, &Volume)> {
    Some((System::of_provider(&manifest.provider)?, manifest.volumes.first()?))
}

/// What it takes that goes with it, now if that can be asked, else when it was made.
fn own(manifest: &Manifest) -> Option<u64> {
    match (&manifest.path, manifest.provider.as_str()) {
        (Some(path), btrfs::NAME) => btrfs::quota(path)?.own_bytes,
        (None, "zfs") => {
            let names = manifest.volumes.iter().map(|volume| &volume.name);
            names.map(|name| zfs(name, "used")).sum()
        }
        _ => manifest.size?.own_bytes,
    }
}

fn of_folder(folder: &Path) -> Option<Room> {
    let found = statvfs(folder).ok()?;
    #[allow(clippy::unnecessary_cast, reason = "their width differs between platforms")]
    let [free, all, names, all_names, unit] = [
        found.blocks_available() as u64,
        found.blocks() as u64,
        found.files_available() as u64,
        found.files() as u64,
        found.fragment_size() as u64,
    ];
    let mut room = Room::new(free * unit, share(free, all));
    let names = share(names, all_names);
    if names < room.share {
        (room.scarcest, room.remark) = (names, format!(", {:.0} % of its inodes", names * 100.0));
    }
    Some(room)
}

fn of_dataset(dataset: &str) -> Option<Room> {
    let free = zfs(dataset, "available")?;
    let pool = dataset.split('/').next()?;
    let all = zfs(pool, "available")?.checked_add(zfs(pool, "used")?)?;
    Some(Room::new(free, share(free, all)))
}

/// Of a thin pool what it has is free, else what no volume of the group has.
fn of_group(volume: &Volume) -> Option<Room> {
    let of_volume = lvs(&volume.name, "vg_free,vg_size,pool_lv")?;
    let mut fields = of_volume.split(',');
    let (free, all) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let Some(pool) = fields.next().filter(|pool| !pool.is_empty()) else {
        return Some(Room::new(free, share(free, all)));
    };
    let group = volume.name.split('/').next()?;
    let of_pool = lvs(&format!("{group}/{pool}"), "lv_size,data_percent")?;
    let (size, filled) = of_pool.split_once(',')?;
    let (size, filled): (u64, f64) = (size.parse().ok()?, filled.parse().ok()?);
    let share = (1.0 - filled / 100.0).clamp(0.0, 1.0);
    let room = Room::new((size as f64 * share) as u64, share);
    Some(Room { remark: format!(" of the thin pool {pool}"), ..room })
}

/// What was set aside for a snapshot of LVM fills up while it lives, and then it is of no use.
fn filled(name: &str, last: &[&Manifest], findings: &mut Findings) {
    for volume in last.iter().flat_map(|manifest| &manifest.volumes) {
        let fields = lvs(&volume.name, "pool_lv,data_percent").unwrap_or_default();
        let Some(("", filled)) = fields.split_once(',') else { continue };
        let Ok(filled) = filled.parse::<f64>() else { continue };
        if filled >= FILLED {
            let level = if filled >= 100.0 { Level::Critical } else { Level::Warning };
            let what = format!(
                "{} is {filled:.0} % full, and of no use once it is full: lvextend it, or give a larger size",
                volume.name
            );
            findings.add(level, "volume", name, what);
        }
    }
}

fn zfs(name: &str, property: &str) -> Option<u64> {
    let fields = ["get", "-H", "-p", "-o", "value", property, name];
    tool::ask_within("zfs", &fields, tool::PATIENCE).ok()?.trim().parse().ok()
}

fn lvs(volume: &str, fields: &str) -> Option<String> {
    let how = ["--noheadings", "--units", "b", "--nosuffix", "--separator", ",", "-o"];
    let words = [&how[..], &[fields, volume]].concat();
    Some(tool::ask_within("lvs", &words, tool::PATIENCE).ok()?.trim().to_owned())
}

fn share(free: u64, all: u64) -> f64 {
    if all == 0 { 1.0 } else { free as f64 / all as f64 }
}
