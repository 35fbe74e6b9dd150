//! Where Cyrus IMAP has its global lock.
//!
//! Since 3.12 every Cyrus process holds `$GLOBAL.lock` shared while it holds any lock for writing, and
//! `cyr_withlock_run` takes it exclusively, by fcntl(2) on the whole file. The file's place follows from
//! imapd.conf(5): the folder `mboxname_lockpath`, or `lock` in `configdirectory`; below it, with
//! `hashimapspool`, a folder for the name's hash, of which this name has one with `fulldirhash` and
//! one without.
//!
//! A lock in the wrong place keeps nobody out, and nothing tells. So the file is read as Cyrus reads it,
//! and what Cyrus would not start with is refused, as is a service with a place of its own.
//!
//! Cyrus makes file and folders when it first needs them and never removes them. We make them as it
//! would, and never truncate the file. They must be its user's, or Cyrus itself is locked out: they get
//! their owner aside and their name last, by descriptor, since in Cyrus's folders its user may put a
//! link in the place of any name.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::catalogue::manifest::recordable;
use crate::files::aside::{self, Aside};
use crate::files::names::rename_to_free;
use crate::files::open;
use crate::words::exit::{Exit, Failure, reason};

pub const NAME: &str = "$GLOBAL.lock";
/// The hash of that name's first letter, which is none.
const HASHED: &str = "q";
/// The hash of the whole name.
const FULLY_HASHED: &str = "W";
/// Files that include each other must come to an end.
const DEEPEST: u32 = 16;
/// What the place depends on.
const OPTIONS: [&str; 5] =
    ["configdirectory", "fulldirhash", "global_lock", "hashimapspool", "mboxname_lockpath"];
/// Stands for the option's value at the beginning of another one.
const DIRECTORY: &str = "{configdirectory}";

/// Cyrus's lock, as configured.
#[derive(Debug)]
pub struct Cyrus {
    directory: PathBuf,
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
        if let Some(name) = options.keys().find(|name| is_of_one_service(name)) {
            let message = format!(
                "{shown}: {name} gives one service a lock of its own, so no lock keeps all of them out; set it for all"
            );
            return Err(Failure::new(Exit::UNAVAILABLE, message));
        }
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
            Some(path) => match path.split_at_checked(DIRECTORY.len()) {
                Some((start, rest)) if start.eq_ignore_ascii_case(DIRECTORY) => {
                    PathBuf::from(format!("{directory}{rest}"))
                }
                _ => PathBuf::from(path),
            },
            None => Path::new(directory).join("lock"),
        };
        if let Some(path) =
            [Path::new(directory), &root].into_iter().find(|path| !path.is_absolute())
        {
            return Err(wrong(format!("{} is no absolute path", path.display())));
        }
        recordable(&root).map_err(Failure::usage)?;
        let folder = match (switch("hashimapspool", false)?, switch("fulldirhash", false)?) {
            (false, _) => root.clone(),
            (true, false) => root.join(HASHED),
            (true, true) => root.join(FULLY_HASHED),
        };
        Ok(Cyrus { directory: directory.into(), root, lock_file: folder.join(NAME) })
    }

    /// There is such a Cyrus, whose lock can be looked at.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.directory.is_dir() {
            let message = format!(
                "{}: no such folder; name the imapd.conf that Cyrus uses",
                self.directory.display()
            );
            return Err(Failure::new(Exit::MISSING, message));
        }
        let looked = self.lock_file.try_exists().map(drop);
        looked.map_err(|error| Failure::system(self.lock_file.display(), error))
    }

    /// The folder of all its locks.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn lock_file(&self) -> &Path {
        &self.lock_file
    }

    /// Makes the file if it is missing, and its folders, for the user who runs Cyrus.
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
        if self.lock_file.try_exists()? {
            return Ok(());
        }
        let known = if self.root.try_exists()? { &self.root } else { &self.directory };
        let owner = fs::metadata(known)?;
        let folder = self.lock_file.parent().unwrap_or(&self.root);
        make_folder(folder, &owner)?;
        let file = Aside::write(folder, 0o600, b"")?;
        fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
        unless_there(file.name_durably(&self.lock_file))
    }
}

/// With the folders above it.
fn make_folder(folder: &Path, owner: &Metadata) -> io::Result<()> {
    if folder.try_exists()? {
        return Ok(());
    }
    let above = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    make_folder(above, owner)?;
    let (made, _lock) = aside::folder(above)?;
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
    fchown(options.open(made.path())?, Some(owner.uid()), Some(owner.gid()))?;
    unless_there(rename_to_free(made.path(), folder))
}

/// Somebody else, Cyrus most likely, was faster.
fn unless_there(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// As in `imap_global_lock`.
fn is_of_one_service(name: &str) -> bool {
    OPTIONS.iter().any(|option| name.strip_suffix(option).is_some_and(|rest| rest.ends_with('_')))
}

/// What Cyrus takes for yes and no: it looks at the first letters only.
fn switch(value: &str) -> Option<bool> {
    let begins = |starts: &[&str]| starts.iter().any(|start| value.starts_with(start));
    match value {
        _ if begins(&["1", "y", "on", "t"]) => Some(true),
        _ if begins(&["0", "n", "of", "f"]) => Some(false),
        _ => None,
    }
}

/// Adds the options of a file, and of those that it includes: `name: value`, one on each line, which a
/// backslash at its end continues.
fn read(path: &Path, depth: u32, options: &mut HashMap<String, String>) -> Result<(), Failure> {
    let shown = path.display();
    if depth > DEEPEST {
        return Err(Failure::new(Exit::DATA, format!("{shown}: files include each other")));
    }
    let missing = |what: &str| {
        Failure::new(Exit::MISSING, format!("{shown}: {what}; name Cyrus's imapd.conf"))
    };
    let mut bytes = Vec::new();
    let opened = open::file(path, File::options().read(true));
    opened.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => missing("no such file"),
            _ if open::is_irregular(&error) => missing("no regular file"),
            _ => Failure::system(format_args!("{shown}: cannot be read"), error),
        }
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let mut line = String::new();
    for (number, piece) in text.split('\n').enumerate() {
        line.push_str(piece);
        if line.ends_with('\\') {
            line.pop();
            continue;
        }
        let whole = std::mem::take(&mut line);
        let whole = whole.trim();
        if whole.is_empty() || whole.starts_with('#') {
            continue;
        }
        let wrong =
            |what: &str| Failure::new(Exit::DATA, format!("{shown}:{}: {what}", number + 1));
        let (name, value) = option(whole).ok_or_else(|| wrong("expected `option: value`"))?;
        match name.as_str() {
            // Cyrus's working folder is not ours.
            "@include" if !Path::new(value).is_absolute() => {
                return Err(wrong("the included file needs an absolute path"));
            }
            "@include" => read(Path::new(value), depth + 1, options)?,
            directive if directive.starts_with('@') => return Err(wrong("no such directive")),
            _ if options.contains_key(&name) => return Err(wrong("this option was given before")),
            _ => drop(options.insert(name, value.to_owned())),
        }
    }
    Ok(())
}

/// Capitals do not count in the name, and the colon follows at once.
fn option(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    let word = name.strip_prefix('@').unwrap_or(name);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let value = value.trim();
    (word.chars().all(plain) && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str) -> Result<PathBuf, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("imapd.conf");
        fs::write(&file, format!("configdirectory: /c\n{text}")).unwrap();
        Cyrus::configured(&file).map(|cyrus| cyrus.lock_file().to_owned())
    }

    /// Where Cyrus 3.12.3 was seen to lock.
    #[test]
    fn every_layout_has_its_place() {
        for (text, lock) in [
            ("", "/c/lock/$GLOBAL.lock"),
            ("hashimapspool: yes", "/c/lock/q/$GLOBAL.lock"),
            ("hashimapspool: 1\nfulldirhash: on", "/c/lock/W/$GLOBAL.lock"),
            ("fulldirhash: t", "/c/lock/$GLOBAL.lock"),
            ("mboxname_lockpath: /p", "/p/$GLOBAL.lock"),
            ("mboxname_lockpath: /p\nHashImapSpool: true", "/p/q/$GLOBAL.lock"),
            ("mboxname_lockpath: /p\nfulldirhash: y\nhashimapspool: t", "/p/W/$GLOBAL.lock"),
            ("mboxname_lockpath: {configdirectory}/p", "/c/p/$GLOBAL.lock"),
            ("mboxname_lockpath: {ConfigDirectory}/p", "/c/p/$GLOBAL.lock"),
            ("mboxname_lockpath: /p{configdirectory}", "/p{configdirectory}/$GLOBAL.lock"),
            ("# hashimapspool: yes\n\n  global_lock: yes", "/c/lock/$GLOBAL.lock"),
            ("hashimap\\\nspool: yes", "/c/lock/q/$GLOBAL.lock"),
            ("#\\\nhashimapspool: yes", "/c/lock/$GLOBAL.lock"),
            ("hashimapspool:yes # all of them\t\r", "/c/lock/q/$GLOBAL.lock"),
            ("hashimapspool: off\nlmtp_timeout: 5", "/c/lock/$GLOBAL.lock"),
        ] {
            assert_eq!(configured(text).unwrap(), Path::new(lock), "{text}");
        }
    }

    #[test]
    fn what_cyrus_would_not_start_with_is_refused() {
        for (text, said) in [
            ("\\\nhashimapspool : yes", "imapd.conf:3: expected"),
            ("hashimapspool:", "imapd.conf:2: expected"),
            ("hashimapspool: YES", "neither yes nor no"),
            ("hashimapspool: yes\nHASHIMAPSPOOL: no", "imapd.conf:3: this option was given before"),
            ("@includes: /x", "imapd.conf:2: no such directive"),
            ("@Include: x.conf", "imapd.conf:2: the included file needs an absolute path"),
            ("imap_global_lock: no", "imap_global_lock gives one service"),
            ("mboxname_lockpath: run", "run is no absolute path"),
        ] {
            let failure = configured(text).unwrap_err().to_string();
            assert!(failure.contains(said), "{text:?}: {failure}");
        }
    }
}
