//! The files of jobs: where they are, and whether one may be believed.
//!
//! What stands in one is run, by root as a rule, so it may be written only by those who could do that anyway.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

use crate::files::aside::Aside;
use crate::files::names::folder_of;
use crate::files::open;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::likeness::nearest;

const FOLDER: &str = "/etc/stillpoint/jobs.d";
const ENDING: &str = ".toml";
/// No file of settings is anywhere near as long.
const LONGEST: u64 = 1 << 20;

/// Where jobs are: `$STILLPOINT_JOBS`, or the standard folder.
pub fn folder() -> PathBuf {
    let set = std::env::var_os("STILLPOINT_JOBS").filter(|folder| !folder.is_empty());
    let folder = set.map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    std::path::absolute(&folder).unwrap_or(folder)
}

/// The jobs that there are, by name.
pub fn names() -> Result<Vec<String>, Failure> {
    let folder = folder();
    let listed = fs::read_dir(&folder).and_then(|items| {
        let mut names = Vec::new();
        for item in items {
            let file = item?.file_name();
            let name = file.to_str().and_then(|name| name.strip_suffix(ENDING));
            names.extend(name.filter(|name| check_name(name).is_ok()).map(str::to_owned));
        }
        Ok(names)
    });
    match listed {
        Ok(mut names) => {
            names.sort();
            Ok(names)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::system(folder.display(), error)),
    }
}

/// A name is that of a file, of a lock and of a record.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let wrong = if name.is_empty() {
        "must not be empty"
    } else if name.contains('/') {
        "is the name of a file in the folder of jobs, without .toml; $STILLPOINT_JOBS names another folder"
    } else if name.starts_with('.') {
        "must not begin with a dot"
    } else if name.chars().any(char::is_control) {
        "must not hold a control character"
    } else if name.len() > 200 {
        "must not be longer than 200 bytes"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!("job {name:?}: a job's name {wrong}")))
}

/// The name of a job as it was given. A unit of systemd has it escaped, as `\x20` for a space.
pub fn name(given: &str) -> Result<String, Failure> {
    let name = given.strip_suffix(ENDING).unwrap_or(given);
    check_name(name)?;
    let unescaped = unescape(name);
    match path(name).exists() || check_name(&unescaped).is_err() {
        true => Ok(name.to_owned()),
        false => Ok(unescaped),
    }
}

fn unescape(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let escaped = rest.strip_prefix("\\x").and_then(|rest| rest.get(..2));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.extend(first.to_string().into_bytes());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

/// The instance of a unit of systemd: with all escaped that may not stand in the name of one.
pub fn instance(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' | b'-' => {
                escaped.push(byte.into())
            }
            _ => escaped += &format!("\\x{byte:02x}"),
        }
    }
    escaped
}

pub fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}{ENDING}"))
}

/// Whether it is there for others and not for this user.
pub fn is_hidden(name: &str) -> bool {
    access(&path(name), AccessFlags::R_OK) == Err(Errno::EACCES)
}

/// The text of a job's file, if it may be believed.
pub fn text(name: &str) -> Result<String, Failure> {
    let path = path(name);
    let shown = path.display();
    let file = match open::file(&path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(name)),
        Err(error) if open::is_irregular(&error) => {
            return Err(Failure::new(Exit::DATA, format!("{shown}: is no regular file")));
        }
        Err(error) => return Err(Failure::system(shown, error)),
    };
    let found = file.metadata().map_err(|error| Failure::system(&shown, error))?;
    check_writers(&path, &found)?;
    let folder = folder_of(&path);
    let found = fs::metadata(folder).map_err(|error| Failure::system(folder.display(), error))?;
    check_writers(folder, &found)?;
    let mut text = Vec::new();
    let read = file.take(LONGEST + 1).read_to_end(&mut text);
    let length = read.map_err(|error| Failure::system(&shown, error))?;
    if length as u64 > LONGEST {
        return Err(Failure::new(Exit::DATA, format!("{shown}: is too long for a job")));
    }
    String::from_utf8(text).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let message = format!("{shown}:{line}: is not UTF-8; save it as that");
        Failure::new(Exit::DATA, message)
    })
}

/// It runs commands as whoever runs the job: refuses what others may have written.
fn check_writers(path: &Path, found: &Metadata) -> Result<(), Failure> {
    let ours = geteuid();
    if found.uid() != 0 && found.uid() != ours.as_raw() {
        let owner = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
        let owner = owner.map_or_else(|| found.uid().to_string(), |user| user.name);
        let us = if ours.is_root() { "root" } else { "root or the user who runs it" };
        let message = format!(
            "{}: belongs to {owner}, who could have any command run by it; `chown root` it, as it must belong to {us}",
            path.display()
        );
        return Err(Failure::new(Exit::DENIED, message));
    }
    // In a sticky folder only its owner may replace a file.
    let is_kept = found.is_dir() && found.mode() & 0o1000 != 0;
    if found.mode() & 0o022 != 0 && !is_kept {
        let message = format!(
            "{}: others than its owner may write it (mode {:04o}), and could have any command run by it; `chmod go-w` it",
            path.display(),
            found.mode() & 0o7777
        );
        return Err(Failure::new(Exit::DENIED, message));
    }
    Ok(())
}

fn missing(name: &str) -> Failure {
    let folder = folder();
    let names = match names() {
        Ok(names) => names,
        Err(failure) => return failure,
    };
    let advice = match nearest(name, names.iter().map(String::as_str)) {
        Some(same) if same == name => format!("{same}{ENDING} leads nowhere"),
        Some(name) => format!("did you mean {name}?"),
        None if names.is_empty() => {
            "there is none at all; `stillpoint job init` writes one".to_owned()
        }
        None => format!("there are {}", names.join(", ")),
    };
    Failure::new(Exit::MISSING, format!("{}: there is no job {name}; {advice}", folder.display()))
}

/// Writes a new one, which is there whole or not at all, and never over another.
pub fn write_new(name: &str, text: &str) -> Result<PathBuf, Failure> {
    let (folder, path) = (folder(), path(name));
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let message = format!(
                "{}: is there already, and stays; edit it, or give another name",
                path.display()
            );
            Failure::new(Exit::CANNOT_CREATE, message)
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::DENIED, format!("{}: {}", path.display(), reason(&error)))
        }
        _ => Failure::new(Exit::CANNOT_CREATE, format!("{}: {}", path.display(), reason(&error))),
    };
    let written = crate::files::folder::make(&folder).and_then(|()| {
        // It may hold a password of a hook's.
        Aside::write(&folder, 0o600, text.as_bytes())?.name_durably(&path)
    });
    written.map_err(cannot)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_units_are_read() {
        for (escaped, name) in [
            ("my\\x20mail", "my mail"),
            ("a\\x2db", "a-b"),
            ("\\xc3\\xa4", "ä"),
            ("a\\x", "a\\x"),
            ("ä\\xzz", "ä\\xzz"),
        ] {
            assert_eq!(unescape(escaped), name);
        }
        assert_eq!(unescape("a\\xff"), "a\\xff", "no text");
        for name in ["my mail", "a-b", "ä\\x", "%i", "mail"] {
            assert_eq!(unescape(&instance(name)), name);
        }
    }
}
