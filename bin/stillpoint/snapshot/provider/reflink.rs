//! `--reflink`: a copy that shares its blocks with the original (xfs, btrfs, bcachefs).
//!
//! Cloning is atomic for one file, never for a tree of files; that is what the barrier is for. The
//! copy takes time with the number of files, not with their size.

use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Provider;
use super::tree;
use crate::catalogue::record::SizeRecord;
use crate::files::aside;
use crate::process::tool;
use crate::snapshot::place::folder::{enough_space, known_folder};
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::target::Target;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::progress::Progress;

pub const NAME: &str = "reflink";

const REFLINK: &str = "--reflink=always";

/// Room that is asked for: the names and the metadata of the copy, not its data.
const ROOM: u64 = 1 << 20;

/// The folder of one snapshot.
pub struct Reflink {
    source: PathBuf,
}

impl Reflink {
    pub fn new(source: &Path) -> Result<Reflink, Failure> {
        Ok(Reflink { source: known_folder(source)? })
    }
}

impl Provider for Reflink {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sources(&self) -> &[PathBuf] {
        tree::only(&self.source)
    }

    fn check(&self, target: Option<&Target>, mounts: &Mounts) -> Result<(), Failure> {
        let target = target.expect("--reflink requires --to");
        tree::check("--reflink", &self.source, target, mounts)?;
        if !mounts.same_file_system(&self.source, &target.folder) {
            let message = format!(
                "{}: not on the file system of {}, so no blocks can be shared; use another --to, or --copy",
                target.folder.display(),
                self.source.display()
            );
            return Err(Failure::new(Exit::CANNOT_CREATE, message));
        }
        if let Some(other) = mounts.below(&self.source) {
            let message = format!(
                "{}: {} is mounted inside it, and no blocks can be shared across file systems; use --copy",
                self.source.display(),
                other.display()
            );
            return Err(Failure::new(Exit::UNAVAILABLE, message));
        }
        enough_space(&target.folder, ROOM)?;
        probe(&target.folder, mounts)
    }

    fn prepare(&self, target: Option<&Target>) -> io::Result<()> {
        // `cp` gives it the permissions of the original last.
        target.map_or(Ok(()), Target::take)
    }

    fn takes_name_first(&self) -> bool {
        true
    }

    fn commands(&self, target: Option<&Target>) -> Vec<Command> {
        tree::cp(&self.source, target, REFLINK)
    }

    fn progress(&self) -> Option<Progress> {
        Some(Progress::new("cloning", self.source.display()))
    }

    fn settle(&self, target: Option<&Target>) -> io::Result<()> {
        tree::settle(target)
    }

    fn size(&self, target: Option<&Target>) -> Option<SizeRecord> {
        tree::size(target, false)
    }
}

/// Clones a small file in the folder: the only way to know that it works there.
pub fn probe(folder: &Path, mounts: &Mounts) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        Failure::new(
            Exit::CANNOT_CREATE,
            format!(
                "{}: cannot be written: {}; use another --to",
                folder.display(),
                reason(&error)
            ),
        )
    };
    let (place, _lock) = aside::folder(folder).map_err(cannot)?;
    let original = place.path().join("original");
    let mut file = std::fs::File::create(&original).map_err(cannot)?;
    file.write_all(&[b'.'; 4096]).map_err(cannot)?;
    let mut command = tool::command("cp");
    command.args([REFLINK, "--"]).arg(&original).arg(place.path().join("clone"));
    tool::run(&mut command).map(drop).map_err(|failure| {
        let kind = mounts.of(folder).map_or("file system", |mount| mount.fstype.as_str());
        let message = format!(
            "{}: this {kind} cannot share blocks between files; use --copy ({failure})",
            folder.display()
        );
        Failure::new(Exit::UNAVAILABLE, message)
    })
}
