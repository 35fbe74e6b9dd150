//! What is made aside and then given its name: whoever looks there finds the old one or the new one, whole.
//!
//! It is locked (`flock`) until it has its name. So what a killed one has left is told by nobody having its lock, and
//! goes when the next is made in that folder; what belongs to one that lives, or stands still, never does. Where there
//! are no such locks, nothing is removed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};
use nix::mount::{MntFlags, umount2};
use nix::unistd::geteuid;
use tempfile::{Builder, NamedTempFile, TempDir};

use super::handle;
use super::names::leads_to;
use super::sync::sync_folder;

/// How the names of all that is made aside begin; nothing else that we make is called like that.
const PREFIX: &str = ".stillpoint-new.";

/// A new one is taken for a dead one's only in the moment between its making and its lock.
const ATTEMPTS: u32 = 100;

/// A file that has its text, and not yet its name.
#[derive(Debug)]
pub struct Aside {
    file: NamedTempFile,
}

impl Aside {
    /// Writes one that will have its name in the same folder, with these permissions whatever the umask.
    pub fn write(folder: &Path, mode: u32, text: &[u8]) -> io::Result<Aside> {
        sweep(folder);
        // Opened here, so that an error is that of the call and does not name the file.
        let open =
            |path: &Path| File::options().write(true).create_new(true).mode(0o600).open(path);
        let make = || Builder::new().prefix(PREFIX).make_in(folder, open);
        let mut file = locked(make, |file| is_locked(file.as_file(), file.path()))?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text)?;
        Ok(Aside { file })
    }

    pub fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// In place of what has the name.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        Ok(self.file.persist(path).map(drop)?)
    }

    /// The same, and neither the text nor the name is lost in a power cut.
    pub fn replace_durably(self, path: &Path) -> io::Result<()> {
        self.as_file().sync_all()?;
        self.file.persist(path)?;
        sync_folder(super::names::folder_of(path))
    }

    /// Unless something has the name: `AlreadyExists` then. Not lost in a power cut either.
    pub fn name_durably(self, path: &Path) -> io::Result<()> {
        self.as_file().sync_all()?;
        self.file.persist_noclobber(path)?;
        sync_folder(super::names::folder_of(path))
    }
}

/// A folder that is made aside, with its lock. It is removed with all that is in it, unless it is kept or gets another
/// name. In one that a killed one has left may be files, and folders that something is mounted over.
pub fn folder(above: &Path) -> io::Result<(TempDir, Option<File>)> {
    sweep(above);
    let private = Permissions::from_mode(0o700);
    let make = || {
        let made = Builder::new().prefix(PREFIX).permissions(private.clone()).tempdir_in(above)?;
        let file = handle::readable(made.path()).ok();
        Ok((made, file))
    };
    locked(make, |(made, file)| file.as_ref().is_none_or(|file| is_locked(file, made.path())))
}

/// Makes one until it is ours.
fn locked<T>(make: impl Fn() -> io::Result<T>, is_locked: impl Fn(&T) -> bool) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        let made = make()?;
        if is_locked(&made) {
            return Ok(made);
        }
    }
    make()
}

/// False if somebody takes it for a dead one's.
fn is_locked(file: &File, path: &Path) -> bool {
    match fs2::FileExt::try_lock_exclusive(file) {
        Ok(()) => leads_to(path, file).unwrap_or(true),
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Removes what killed ones have left in a folder. That it cannot be is no error of who comes after them.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            let _ = remove_dead(&entry.path());
        }
    }
}

fn remove_dead(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() && !found.is_dir() {
        return Ok(());
    }
    let flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    fs2::FileExt::try_lock_exclusive(&file)?;
    if !leads_to(path, &file)? {
        return Ok(());
    }
    if !file.metadata()?.is_dir() {
        return fs::remove_file(path);
    }
    if file.metadata()?.uid() != geteuid().as_raw() {
        return Ok(());
    }
    // By what is open: the name may lead elsewhere by now.
    let inside = handle::path(&file);
    for entry in fs::read_dir(&inside)?.flatten() {
        let place = inside.join(entry.file_name());
        if fs::remove_file(&place).is_err() {
            // What is mounted there is not what is to go.
            let _ = umount2(&place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
            let _ = fs::remove_dir(&place);
        }
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_dead_ones_have_left_goes_with_the_next_and_what_lives_stays() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        fs::write(folder.join(format!("{PREFIX}dead")), "half").unwrap();
        fs::create_dir(folder.join(format!("{PREFIX}folder"))).unwrap();
        fs::write(folder.join(format!("{PREFIX}folder/probe")), "").unwrap();
        for other in [".stillpoint-abcdef", "new", "letter"] {
            fs::write(folder.join(other), "").unwrap();
        }
        let living = Aside::write(folder, 0o644, b"slow").unwrap();
        let kept = super::folder(folder).unwrap();
        Aside::write(folder, 0o600, b"fast").unwrap().replace(&folder.join("fast")).unwrap();
        let mut found = names(folder);
        found.retain(|name| name.starts_with(PREFIX));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(kept.0.path().is_dir());
        living.replace(&folder.join("slow")).unwrap();
        drop(kept);
        let mut left = names(folder);
        left.sort();
        assert_eq!(left, [".stillpoint-abcdef", "fast", "letter", "new", "slow"]);
    }

    #[test]
    fn nothing_is_removed_by_a_link() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("letter"), "").unwrap();
        let link = place.path().join(format!("{PREFIX}link"));
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        drop(Aside::write(place.path(), 0o644, b"").unwrap());
        assert!(elsewhere.path().join("letter").exists() && link.symlink_metadata().is_ok());
    }

    #[test]
    fn a_name_that_is_taken_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("job");
        Aside::write(place.path(), 0o600, b"one").unwrap().name_durably(&path).unwrap();
        let again = Aside::write(place.path(), 0o600, b"two").unwrap().name_durably(&path);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(place.path()), ["job"]);
        Aside::write(place.path(), 0o644, b"two").unwrap().replace_durably(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    }
}
