//! The folder that a snapshot is mounted over: empty, and nothing else is there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, umount};

use crate::catalogue::hold;
use crate::catalogue::manifest::Manifest;
use crate::files::aside;
use crate::snapshot::place::binding::{again, bind};
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::showing::{mount_all, unmount_all};
use crate::words::exit::{Exit, Failure, reason};

/// A folder to mount over.
pub struct Place {
    /// Without links on the way.
    pub path: PathBuf,
    /// Two that come at once would mount one over the other.
    _turn: Option<File>,
}

impl Place {
    /// Refuses what is not to be covered.
    pub fn find(asked: &Path) -> Result<Place, Failure> {
        let cannot =
            |exit: Exit, why: &str| Failure::new(exit, format!("{}: {why}", asked.display()));
        // Without a slash at the end, which would follow a link.
        let absolute: PathBuf =
            std::path::absolute(asked).unwrap_or_else(|_| asked.to_owned()).components().collect();
        let missing = |error: io::Error| {
            let why = format!("{}; name an empty folder that exists", reason(&error));
            cannot(Exit::MISSING, &why)
        };
        let found = absolute.symlink_metadata().map_err(missing)?;
        if found.is_symlink() {
            return Err(cannot(Exit::CANNOT_CREATE, "is a link; name the folder itself"));
        }
        if !found.is_dir() {
            return Err(cannot(Exit::CANNOT_CREATE, "not a folder; name an empty one"));
        }
        let path = absolute.canonicalize().map_err(missing)?;
        let refuse_mounts = || match Mounts::read()?.at_or_below(&path) {
            None => Ok(()),
            Some(mount) => {
                let mount = mount.display();
                let why = format!("something is mounted at {mount} already; name another folder");
                Err(cannot(Exit::CANNOT_CREATE, &why))
            }
        };
        // Of what is mounted there the lock would be another one.
        refuse_mounts()?;
        let turn = hold::exclusive(&path).map_err(|_| {
            let why =
                "another program has locked it, as one that mounts something there; try again";
            cannot(Exit::CONFLICT, why)
        })?;
        refuse_mounts()?;
        let mut entries =
            fs::read_dir(&path).map_err(|error| cannot(Exit::DENIED, &reason(&error)))?;
        if entries.next().is_some() {
            let why = "not empty, and what is in it could not be seen; name an empty folder";
            return Err(cannot(Exit::CANNOT_CREATE, why));
        }
        Ok(Place { path, _turn: turn })
    }

    /// Mounts a folder there, read-only, and without the powers that a program or a device in it may have.
    pub fn show(&self, folder: &Path) -> Result<(), Failure> {
        if self.path.starts_with(folder) {
            let what = "lies in the snapshot itself; name a folder elsewhere";
            return Err(Failure::new(
                Exit::CANNOT_CREATE,
                format!("{}: {what}", self.path.display()),
            ));
        }
        let temporary = std::env::temp_dir();
        let made = aside::folder(&temporary).and_then(|(made, lock)| {
            // Nothing removes what is in it but we: it is the snapshot.
            let made = made.keep();
            let aside = made.join("at");
            fs::create_dir(&aside).map(|()| (made, aside, lock))
        });
        let (made, aside, _lock) = made.map_err(|error| {
            let what = format!(
                "{}: {}; let TMPDIR name a folder that can be written to",
                temporary.display(),
                reason(&error)
            );
            Failure::new(Exit::CANNOT_CREATE, what)
        })?;
        let mounted = self.bind(folder, &aside);
        let _ = umount(&aside);
        let _ = fs::remove_dir(&aside).and_then(|()| fs::remove_dir(&made));
        mounted.map_err(|error| {
            let what = format!("{}: cannot mount the snapshot there", self.path.display());
            match error.kind() {
                io::ErrorKind::PermissionDenied => Failure::new(
                    Exit::UNAVAILABLE,
                    format!("{what}: {}; run it as root", reason(&error)),
                ),
                _ => Failure::system(what, error),
            }
        })
    }

    /// Mounts the volumes of a snapshot there: they cannot be written to as they are.
    pub fn mount(&self, manifest: &Manifest) -> Result<(), Failure> {
        mount_all(manifest, &self.path).inspect_err(|_| {
            let _ = unmount_all(&self.path);
        })
    }

    fn bind(&self, folder: &Path, aside: &Path) -> io::Result<()> {
        bind(folder, aside, MsFlags::MS_NOSUID | MsFlags::MS_NODEV)?;
        again(aside, &self.path)
    }
}
