//! What `--reflink` and `--copy` have in common: a folder is copied by `cp -a`, which keeps owners,
//! modes, times, links, attributes and holes.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::catalogue::record::SizeRecord;
use crate::files::sync::sync_file_system;
use crate::process::tool;
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::target::{Target, check_target};
use crate::words::exit::{Exit, Failure};

/// The copy of one folder under its temporary name.
pub fn cp(source: &Path, target: Option<&Target>, reflink: &str) -> Vec<Command> {
    let copy = |target: &Target| {
        let mut command = tool::command("cp");
        command.args(["-a", "-T", reflink, "--"]).arg(source).arg(target.partial());
        command
    };
    target.map(copy).into_iter().collect()
}

/// A copy must not contain itself, and needs a free name in a folder that can be written.
pub fn check(option: &str, source: &Path, target: &Target, mounts: &Mounts) -> Result<(), Failure> {
    tool::require("cp")?;
    let folder = &target.folder;
    let inside = match folder.starts_with(source) {
        true => "lies".to_owned(),
        false => match mounts.met_in(source, folder) {
            Some(place) => format!("is {} too, and lies", place.display()),
            None => return check_target(target),
        },
    };
    let message = format!(
        "{}: {inside} inside {}, so the copy would contain itself; give {option} another --to",
        folder.display(),
        source.display()
    );
    Err(Failure::new(Exit::CANNOT_CREATE, message))
}

/// What a folder takes up: bytes of data, and names.
pub struct Extent {
    pub bytes: u64,
    pub inodes: u64,
}

/// Measures a folder that is being written to: names that vanish meanwhile are no error, names
/// that may not be read are.
pub fn measure(source: &Path) -> Result<Extent, Failure> {
    let du = |what: &str| {
        let mut command = tool::command("du");
        command.args(["--summarize", what, "--"]).arg(source);
        let output = command.output().map_err(|error| tool::missing("du", &error))?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        if let Some(complaint) =
            complaints.lines().find(|line| !line.ends_with("No such file or directory"))
        {
            return Err(Failure::new(Exit::DENIED, tool::said("du", complaint)));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        let number = answer.split_whitespace().next().and_then(|number| number.parse().ok());
        number.ok_or_else(|| {
            let message = format!("{}: du did not say how large it is", source.display());
            Failure::new(Exit::UNAVAILABLE, message)
        })
    };
    Ok(Extent { bytes: du("--block-size=1")?, inodes: du("--inodes")? })
}

/// How large a copy is that was made; `is_own`: none of its blocks are shared.
pub fn size(target: Option<&Target>, is_own: bool) -> Option<SizeRecord> {
    let Extent { bytes, inodes } = measure(&target?.partial()).ok()?;
    Some(SizeRecord { bytes: Some(bytes), files: Some(inodes), own_bytes: is_own.then_some(bytes) })
}

/// The data is in the page cache only until the file system is synced.
pub fn settle(target: Option<&Target>) -> io::Result<()> {
    target.map_or(Ok(()), |target| sync_file_system(&target.folder))
}

/// The one source of such a provider, as the slice that is asked for.
pub fn only(source: &PathBuf) -> &[PathBuf] {
    std::slice::from_ref(source)
}
