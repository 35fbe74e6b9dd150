//! Which program a participant is: `--with`.
//!
//! The text is split into words as a shell does it, and nothing in it is expanded: no shell runs, so nothing in a
//! name can become a command. A first word with a slash is a program. One without is a participant's name, looked up
//! in the folders of participants and nowhere else: `mysql` there is a participant and in PATH a client,
//! and no PATH of a timer decides which one answers.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{AccessFlags, access};

use crate::words::exit::{Exit, Failure};

/// A folder to look into first.
const FIRST: &str = "STILLPOINT_PARTICIPANTS";
const FOLDER: &str = "/etc/stillpoint/participants";
/// From where the command is: that of `PREFIX/bin/stillpoint`.
const SHARED: &str = "../share/stillpoint/participants";

/// A value of `--with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct With {
    program: OsString,
    arguments: Vec<OsString>,
}

/// As `NAME`, or `'NAME ARGUMENT...'`, or `'/PROGRAM ARGUMENT...'`.
pub fn parse(text: &OsStr) -> Result<With, String> {
    let words = shlex::bytes::split(text.as_bytes()).ok_or("a quotation has no end")?;
    let mut words = words.into_iter().map(OsString::from_vec);
    match words.next() {
        Some(program) if !program.is_empty() => Ok(With { program, arguments: words.collect() }),
        _ => Err("expected the name of a participant, or the path of a program".to_owned()),
    }
}

impl With {
    /// For messages. Not the arguments, which may hold a password.
    pub fn name(&self) -> String {
        let path = Path::new(&self.program);
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The command, which is there and can be run.
    pub fn command(&self) -> Result<Command, Failure> {
        let place = self.place().map_err(|what| {
            Failure::new(Exit::UNAVAILABLE, format!("participant {}: {what}", self.name()))
        })?;
        let mut command = Command::new(place);
        command.args(&self.arguments);
        Ok(command)
    }

    fn place(&self) -> Result<PathBuf, String> {
        let program = Path::new(&self.program);
        let is_path = self.program.as_bytes().contains(&b'/');
        let folders = if is_path { vec![PathBuf::new()] } else { folders() };
        let mut places = folders.iter().map(|folder| folder.join(program));
        if let Some(place) = places.clone().find(|place| is_executable(place)) {
            return Ok(place);
        }
        match places.find(|place| place.is_file()) {
            Some(place) => Err(format!("{}: not an executable file", place.display())),
            None if is_path => Err(format!("{}: there is no such program", program.display())),
            None => {
                let folders: Vec<_> =
                    folders.iter().map(|folder| folder.display().to_string()).collect();
                let folders = folders.join(", ");
                Err(format!(
                    "is not in {folders}; a program elsewhere needs its path, with a slash"
                ))
            }
        }
    }
}

fn folders() -> Vec<PathBuf> {
    let first = env::var_os(FIRST).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let ours = env::current_exe().ok();
    let ours = ours.as_deref().and_then(Path::parent).map(|folder| folder.join(SHARED));
    let ours = ours.map(|folder| folder.canonicalize().unwrap_or(folder));
    first.into_iter().chain([FOLDER.into()]).chain(ours).collect()
}

fn is_executable(place: &Path) -> bool {
    place.is_file() && access(place, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<OsString>> {
        let with = parse(OsStr::new(text)).ok()?;
        Some([vec![with.program], with.arguments].concat())
    }

    #[test]
    fn words_are_split_and_not_expanded() {
        for (text, expected) in [
            ("mariadb", &["mariadb"][..]),
            ("sqlite /srv/quota.db", &["sqlite", "/srv/quota.db"]),
            ("sqlite '/srv/my mail/q.db'", &["sqlite", "/srv/my mail/q.db"]),
            (r#"sqlite "/srv/my mail/q.db" -x\ y"#, &["sqlite", "/srv/my mail/q.db", "-x y"]),
            ("/bin/sh -c 'echo $HOME; x'", &["/bin/sh", "-c", "echo $HOME; x"]),
            ("a ; b && $(c) `d` > e *", &["a", ";", "b", "&&", "$(c)", "`d`", ">", "e", "*"]),
            ("  a\tb\nc ", &["a", "b", "c"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for text in ["", " ", "''", "'' a", "'a", "a \"b", "a \\", "# a"] {
            assert_eq!(words(text), None, "{text}");
        }
        let bytes = OsStr::from_bytes(b"/x \xff");
        assert_eq!(parse(bytes).unwrap().arguments, [OsStr::from_bytes(b"\xff")]);
    }

    #[test]
    fn a_name_has_no_arguments_and_no_folder() {
        assert_eq!(parse(OsStr::new("/usr/x/redis --password secret")).unwrap().name(), "redis");
    }

    #[test]
    fn a_name_is_never_looked_for_in_path() {
        for name in ["sh", ".", ".."] {
            let refused = parse(OsStr::new(name)).unwrap().command().unwrap_err();
            assert!(refused.to_string().contains("is not in "), "{refused}");
        }
    }
}
