//! What is in a snapshot that is no folder: its volumes, mounted so that nothing is written to them.
//!
//! LVM has a file system frozen while its snapshot is taken, so its journal has nothing to tell, and must not be
//! replayed: the snapshot cannot be written. XFS is also told not to mind that its origin, which has the same
//! identifier, is mounted. Btrfs cannot be told: it would take the one for the other. Several volumes are
//! mounted in a folder that lies in memory, each under the last part of its origin's name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::binding::bind;
use super::mounts::{Mount, Mounts};
use crate::catalogue::manifest::Manifest;
use crate::catalogue::volume::{System, Volume};
use crate::files::handle;
use crate::process::tool;
use crate::words::exit::{Exit, Failure, reason};

/// What is restricted wherever one is mounted.
const OPTIONS: &str = "ro,nosuid,nodev";

/// The volumes of a snapshot, mounted where only this process finds them: in a mount namespace that is nobody's, and
/// ends with it.
pub struct Apart {
    pub root: File,
    _namespace: File,
}

impl Apart {
    pub fn mount(manifest: &Manifest) -> Result<Apart, Failure> {
        let mount = || {
            let cannot = |error: io::Error| refused(&manifest.name, &error);
            leave().map_err(cannot)?;
            // Whatever it covers, nobody else is here. What is mounted on it needs no folder of its own.
            let folder = std::env::temp_dir();
            in_memory(&folder, &manifest.name).map_err(cannot)?;
            let inside = folder.join("snapshot");
            fs::create_dir(&inside).map_err(cannot)?;
            mount_all(manifest, &inside)?;
            let root = handle::itself(&inside).map_err(cannot)?;
            let namespace = File::open("/proc/thread-self/ns/mnt").map_err(cannot)?;
            Ok(Apart { root, _namespace: namespace })
        };
        aside(mount)?
    }
}

/// Does something that sees a folder as one that cannot be written to, as do those whom it starts. It is told why if that
/// could not be done. Nobody else sees anything of it.
pub fn read_only<T: Send>(
    folder: &Path,
    work: impl FnOnce(io::Result<()>) -> T + Send,
) -> Result<T, Failure> {
    aside(|| work(leave().and_then(|()| bind(folder, folder, MsFlags::empty()))))
}

/// By a thread of its own, which may leave our mount namespace so that we need not.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, work);
        let thread = thread.map_err(|error| Failure::system("cannot start a thread", error))?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// From now on others do not see what is mounted here, but we see what they mount.
pub fn leave() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    Ok(mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?)
}

const NONE: Option<&str> = None;

/// Mounts all volumes of a snapshot at a folder: the one there, several in it.
pub fn mount_all(manifest: &Manifest, folder: &Path) -> Result<(), Failure> {
    let Some(system) = System::of_provider(&manifest.provider) else {
        let message = format!("{}: has no data of its own to read", manifest.name);
        return Err(Failure::new(Exit::UNAVAILABLE, message));
    };
    if let [volume] = manifest.volumes.as_slice() {
        return mount_one(system, volume, folder);
    }
    let names: Vec<_> = manifest.sources.iter().filter_map(|source| source.file_name()).collect();
    let is_twice = |index: usize| names[..index].contains(&names[index]);
    if names.len() != manifest.volumes.len() || (0..names.len()).any(is_twice) {
        let places = manifest.places().join(", ");
        let message = format!(
            "{}: two of {places} would have one name; mount them yourself, while `stillpoint use --while` keeps them",
            manifest.name
        );
        return Err(Failure::new(Exit::UNAVAILABLE, message));
    }
    let cannot = |error: io::Error| refused(&manifest.name, &error);
    in_memory(folder, &manifest.name).map_err(cannot)?;
    for (name, volume) in names.iter().zip(&manifest.volumes) {
        let place = folder.join(name);
        fs::create_dir(&place).map_err(cannot)?;
        mount_one(system, volume, &place)?;
    }
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(NONE, folder, NONE, flags, NONE).map_err(io::Error::from).map_err(cannot)
}

/// Unmounts what [`mount_all`] has mounted, the last first.
pub fn unmount_all(folder: &Path) -> nix::Result<()> {
    let mounts = Mounts::read().ok();
    let inside = mounts.iter().flat_map(|mounts| mounts.inside(folder));
    let inside: Vec<&Path> = inside.map(|mount| mount.target.as_path()).collect();
    for place in inside.into_iter().rev().chain([folder]) {
        umount2(place, MntFlags::UMOUNT_NOFOLLOW)?;
    }
    Ok(())
}

/// An empty folder in memory, which says in the table of mounts whose it is.
fn in_memory(place: &Path, name: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(Some(&*source(name)), place, Some("tmpfs"), flags, Some("mode=755,size=64k"))?)
}

fn source(name: &str) -> String {
    format!("stillpoint:{name}")
}

fn mount_one(system: System, volume: &Volume, place: &Path) -> Result<(), Failure> {
    let shown = volume.shown(system);
    let (kind, more) = match system {
        System::Zfs => ("zfs".to_owned(), ""),
        System::Lvm => {
            let kind = kind(&shown)?;
            let more = match kind.as_str() {
                "xfs" => ",nouuid,norecovery",
                "ext3" | "ext4" => ",noload",
                "btrfs" => {
                    let message = format!(
                        "{shown}: a btrfs, which would be taken for its origin: read it on another machine, and take snapshots by --btrfs"
                    );
                    return Err(Failure::new(Exit::UNAVAILABLE, message));
                }
                _ => "",
            };
            (kind, more)
        }
    };
    let mut command = tool::command("mount");
    command.args(["-t", &kind, "-o", &format!("{OPTIONS}{more}"), &shown]).arg(place);
    tool::run(&mut command).map(drop).map_err(|failure| {
        Failure::new(Exit::UNAVAILABLE, format!("{shown}: cannot be mounted: {failure}"))
    })
}

/// Which file system is on a device.
fn kind(device: &str) -> Result<String, Failure> {
    let kind = tool::ask("blkid", &["-p", "-o", "value", "-s", "TYPE", device]);
    match kind.as_deref().map(str::trim) {
        Ok("") | Err(_) => {
            let message = format!(
                "{device}: no file system is found on it; if more has changed than its --size, it is lost: see `lvs`"
            );
            Err(Failure::new(Exit::UNAVAILABLE, message))
        }
        Ok(kind) => Ok(kind.to_owned()),
    }
}

fn refused(name: &str, error: &io::Error) -> Failure {
    let message = format!("{name}: cannot be mounted: {}", reason(error));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::UNAVAILABLE, format!("{message}; run it as root"))
        }
        _ => Failure::new(Exit::SYSTEM, message),
    }
}

/// Does this mount show a snapshot, or one of its volumes?
pub fn shows(mount: &Mount, manifest: &Manifest) -> bool {
    let system = System::of_provider(&manifest.provider);
    system.is_some_and(|system| {
        mount.is_from("tmpfs", &source(&manifest.name))
            || manifest.volumes.iter().any(|volume| match system {
                System::Zfs => mount.is_from("zfs", &volume.name),
                System::Lvm => {
                    let device = fs::metadata(volume.shown(system));
                    device.is_ok_and(|device| mount.is_on(device.rdev()))
                }
            })
    })
}

/// Where a source is mounted, from its top, if it is and if it can be seen there.
pub fn place_of(provider: &str, source: &Path, mounts: &Mounts) -> Option<PathBuf> {
    let is_it = |mount: &&Mount| match System::of_provider(provider) {
        Some(System::Zfs) => mount.is_from("zfs", &source.to_string_lossy()),
        Some(System::Lvm) => {
            let device = fs::metadata(Path::new("/dev").join(source));
            device.is_ok_and(|device| mount.is_on(device.rdev()))
        }
        None => false,
    };
    mounts.whole().find(is_it).map(|mount| mount.target.clone())
}
