//! Where Cyrus IMAP has its global lock.
//!
//! Since 3.12 every Cyrus process holds `$GLOBAL.lock` shared while it holds any lock for writing, and
//! `cyr_withlock_run` takes it exclusively, by fcntl(2) on the whole file. The file's place follows from
//! imapd.conf(5): the folder `mboxname_lockpath`, or `lock` in `configdirectory`; below it, with
//! `hashimapspool`, a folder for the name's hash, of which this name has one with `fulldirhash` and
//! one without. Cyrus makes file and folders when it first needs them and never removes them; we make
//! them as it would, and never truncate the file.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use crate::catalogue::manifest::recordable;
use crate::exit::{Exit, Failure, reason};

const NAME: &str = "$GLOBAL.lock";
/// The hash of that name's first letter, which is none.
const HASHED: &str = "q";
/// The hash of the whole name.
const FULLY_HASHED: &str = "W";
/// Files that include each other must come to an end.
const DEEPEST: u32 = 16;

/// Cyrus's lock, as configured.
#[derive(Debug)]
pub struct Cyrus {
    root: PathBuf,
    lock_file: PathBuf,
}

impl Cyrus {
    /// Reads imapd.conf.
    pub fn configured(configuration: &Path) -> Result<Cyrus, Failure> {
        let mut options = HashMap::new();
        read(configuration, 0, &mut options)?;
        Cyrus::from_options(configuration, &options)
    }

    fn from_options(
        configuration: &Path,
        options: &HashMap<String, String>,
    ) -> Result<Cyrus, Failure> {
        let shown = configuration.display();
        let wrong = |what: String| Failure::new(Exit::DATA, format!("{shown}: {what}"));
        let switch = |name: &str, default: bool| match options.get(name) {
            None => Ok(default),
            Some(value) => switch(value)
                .ok_or_else(|| wrong(format!("{name} is neither yes nor no: {value:?}"))),
        };
        if !switch("global_lock", true)? {
            let message = format!(
                "{shown}: global_lock is off, so Cyrus takes no part in it; set `global_lock: yes` and restart Cyrus"
            );
            return Err(Failure::new(Exit::UNAVAILABLE, message));
        }
        let directory = options.get("configdirectory").ok_or_else(|| {
            wrong("no configdirectory; name the imapd.conf that Cyrus uses".to_string())
        })?;
        let root = match options.get("mboxname_lockpath") {
            Some(path) => PathBuf::from(path.replace("{configdirectory}", directory)),
            None => Path::new(directory).join("lock"),
        };
        if !root.is_absolute() {
            return Err(wrong(format!("{} is no absolute path", root.display())));
        }
        recordable(&root).map_err(Failure::usage)?;
        let folder = match (switch("hashimapspool", false)?, switch("fulldirhash", false)?) {
            (false, _) => root.clone(),
            (true, false) => root.join(HASHED),
            (true, true) => root.join(FULLY_HASHED),
        };
        Ok(Cyrus { root, lock_file: folder.join(NAME) })
    }

    pub fn lock_file(&self) -> &Path {
        &self.lock_file
    }

    /// Makes the file if it is missing, and its folders, as those of the user who runs Cyrus: whoever
    /// has the nearest folder that is there.
    pub fn make_lock_file(&self) -> Result<(), Failure> {
        self.make().map_err(|error| {
            let shown = self.lock_file.display();
            let exit = match error.kind() {
                io::ErrorKind::PermissionDenied => Exit::DENIED,
                _ => Exit::CANNOT_CREATE,
            };
            let message =
                format!("{shown}: cannot be made: {}; let Cyrus run once", reason(&error));
            Failure::new(exit, message)
        })
    }

    fn make(&self) -> io::Result<()> {
        let folder = self.lock_file.parent().unwrap_or(&self.root);
        if self.lock_file.try_exists()? {
            return Ok(());
        }
        let mut missing = Vec::new();
        let mut there = folder;
        while !there.try_exists()? {
            missing.push(there);
            there = there.parent().ok_or(io::ErrorKind::NotFound)?;
        }
        let owner = fs::metadata(there)?;
        let give = |path: &Path| chown(path, Some(owner.uid()), Some(owner.gid()));
        for folder in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(folder) {
                Ok(()) => give(folder)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let mut options = File::options();
        match options.write(true).create_new(true).mode(0o600).open(&self.lock_file) {
            Ok(_) => give(&self.lock_file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What imapd takes for yes and no.
fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "on" | "true" | "t" => Some(true),
        "0" | "no" | "n" | "off" | "false" | "f" => Some(false),
        _ => None,
    }
}

/// Adds the options of a file, and of those that it includes: `name: value`, one on each line, which a
/// backslash at its end continues.
fn read(path: &Path, depth: u32, options: &mut HashMap<String, String>) -> Result<(), Failure> {
    let wrong = |number: usize, what: &str| {
        Failure::new(Exit::DATA, format!("{}:{}: {what}", path.display(), number + 1))
    };
    if depth > DEEPEST {
        return Err(wrong(0, "files include each other"));
    }
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let message = format!("{}: no such file; name Cyrus's imapd.conf", path.display());
            Failure::new(Exit::MISSING, message)
        }
        _ => Failure::system(format_args!("{}: cannot be read", path.display()), error),
    })?;
    let text = String::from_utf8_lossy(&bytes).replace("\\\n", "");
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, value)| !name.is_empty() && !value.is_empty())
            .ok_or_else(|| wrong(number, "expected `option: value`"))?;
        match name {
            "@include" => read(Path::new(value), depth + 1, options)?,
            _ => {
                options.insert(name.to_ascii_lowercase(), value.to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where Cyrus 3.12.3 was seen to lock.
    #[test]
    fn every_layout_has_its_place() {
        let place = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("imapd.conf");
            fs::write(&file, format!("configdirectory: /c\n{text}")).unwrap();
            Cyrus::configured(&file).unwrap().lock_file().to_owned()
        };
        for (text, lock) in [
            ("", "/c/lock/$GLOBAL.lock"),
            ("hashimapspool: yes", "/c/lock/q/$GLOBAL.lock"),
            ("hashimapspool: 1\nfulldirhash: on", "/c/lock/W/$GLOBAL.lock"),
            ("fulldirhash: t", "/c/lock/$GLOBAL.lock"),
            ("mboxname_lockpath: /p", "/p/$GLOBAL.lock"),
            ("mboxname_lockpath: /p\nHashImapSpool: TRUE", "/p/q/$GLOBAL.lock"),
            ("mboxname_lockpath: {configdirectory}/p", "/c/p/$GLOBAL.lock"),
            ("# hashimapspool: yes\n\n  global_lock : yes", "/c/lock/$GLOBAL.lock"),
            ("hashimap\\\nspool: yes", "/c/lock/q/$GLOBAL.lock"),
        ] {
            assert_eq!(place(text), Path::new(lock), "{text}");
        }
    }
}
