//! Whether the Cyrus at hand takes its global lock.
//!
//! Cyrus has that lock since 3.12. An older one goes on writing whatever we hold, and nothing tells. So two
//! witnesses are heard before the gate closes, and one that says no is enough:
//!
//! * `cyr_info` prints every option that its version knows, `global_lock` among them or not.
//! * The folder of locks. A Cyrus that takes part locks `$GLOBAL` before it locks anything else for writing,
//!   and removes no lock file. Where there are others and not that one, either the Cyrus that runs is an
//!   older one than was installed since, or it has written nothing since that folder was made.
//!
//! The file is made by us only if `cyr_info` says yes and nobody has locked anything there, as after a start
//! of the machine: one that nobody looks at would be taken for a good sign the next time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cyrus::{Cyrus, NAME};
use crate::process::tool;
use crate::words::exit::{Exit, Failure};

/// Where Cyrus's own tools are when they are not in PATH: Debian's, Fedora's, of older releases, built here.
const FOLDERS: [&str; 5] = [
    "/usr/lib/cyrus/bin",
    "/usr/libexec/cyrus-imapd",
    "/usr/lib/cyrus-imapd",
    "/usr/cyrus/bin",
    "/usr/local/sbin",
];

/// Refuses a Cyrus that does not take part, or may not.
pub fn check(cyrus: &Cyrus, configuration: &Path) -> Result<(), Failure> {
    let refused = |why: String| {
        let message = format!(
            "{why}, and would go on writing in the pause; stop it for the snapshot, or say --cyrus-unchecked if you know that it takes that lock"
        );
        Err(Failure::new(Exit::UNAVAILABLE, message))
    };
    let unknown = match ask(configuration) {
        Answer::Yes => None,
        Answer::Unknown(why) => Some(why),
        Answer::No(tool, version) => {
            let tool = tool.display();
            return refused(format!(
                "{tool}: {version} knows no global_lock, which came with 3.12"
            ));
        }
    };
    let (lock, root) = (cyrus.lock_file(), cyrus.root());
    let failed = |path: &Path, error| Failure::system(path.display(), error);
    if lock.try_exists().map_err(|error| failed(lock, error))? {
        return Ok(());
    }
    if let Some(other) = another_lock(root).map_err(|error| failed(root, error))? {
        return refused(format!(
            "{}: is missing beside {}, so the Cyrus that runs has written nothing yet since its start, or is older than 3.12",
            lock.display(),
            other.display()
        ));
    }
    match unknown {
        None => Ok(()),
        Some(why) => refused(format!(
            "{}: is missing, and Cyrus cannot be asked ({why}), so it has never run, or is older than 3.12",
            lock.display()
        )),
    }
}

/// What cyr_info says.
enum Answer {
    Yes,
    /// Which tool, and which version it is.
    No(PathBuf, String),
    Unknown(String),
}

fn ask(configuration: &Path) -> Answer {
    let Some(tool) = tool::find("cyr_info", &FOLDERS) else {
        return Answer::Unknown("cyr_info was not found in PATH".to_owned());
    };
    let run = |what| tool::run(tool::command(&tool).arg("-C").arg(configuration).arg(what));
    match run("conf-default") {
        Ok(options) if options.lines().any(|line| line.starts_with("global_lock:")) => Answer::Yes,
        Ok(_) => {
            let version = run("version").unwrap_or_default();
            let version = version.lines().next().filter(|line| !line.is_empty());
            Answer::No(tool, version.unwrap_or("it").to_owned())
        }
        Err(failure) => Answer::Unknown(failure.to_string()),
    }
}

/// Any lock file below this folder but the global one.
fn another_lock(folder: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if let Some(found) = another_lock(&path)? {
                return Ok(Some(found));
            }
        } else if path.extension().is_some_and(|end| end == "lock") && entry.file_name() != NAME {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
