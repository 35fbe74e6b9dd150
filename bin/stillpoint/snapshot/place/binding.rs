//! A folder at a second place, where nothing can be written.
//!
//! Nothing is copied, and what is mounted in the folder is not taken along.

use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

/// Shows a folder at another place, read-only, and with further restrictions.
pub fn bind(folder: &Path, place: &Path, restricted: MsFlags) -> io::Result<()> {
    again(folder, place)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | restricted;
    Ok(mount(NONE, place, NONE, flags | restrictions(place)?, NONE)?)
}

/// Shows what is at a place at another one, as it is there: also read-only.
pub fn again(place: &Path, other: &Path) -> io::Result<()> {
    Ok(mount(Some(place), other, NONE, MsFlags::MS_BIND, NONE)?)
}

const NONE: Option<&str> = None;

/// What a container may not take off.
fn restrictions(place: &Path) -> io::Result<MsFlags> {
    let set = statvfs(place)?.flags();
    let known = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    Ok(known.into_iter().filter(|(is, _)| set.contains(*is)).map(|(_, flag)| flag).collect())
}
