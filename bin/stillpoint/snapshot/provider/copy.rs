//! `--copy`: a plain copy, for every file system and across file systems.
//!
//! Nothing may change while it runs, so the writers wait for as long as it takes to read and write
//! everything; that is why its hold limit has no default and must be given.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Provider;
use super::tree;
use crate::catalogue::record::SizeRecord;
use crate::snapshot::place::folder::{enough_inodes, enough_space, known_folder};
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::target::Target;
use crate::words::exit::Failure;
use crate::words::progress::{Amount, Progress};

pub const NAME: &str = "copy";

/// The folder of one snapshot.
pub struct Copy {
    source: PathBuf,
    /// How much it was when it was checked.
    bytes: Cell<Option<u64>>,
}

impl Copy {
    pub fn new(source: &Path) -> Result<Copy, Failure> {
        Ok(Copy { source: known_folder(source)?, bytes: Cell::default() })
    }
}

impl Provider for Copy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sources(&self) -> &[PathBuf] {
        tree::only(&self.source)
    }

    fn crosses_mounts(&self) -> bool {
        true
    }

    fn check(&self, target: Option<&Target>, mounts: &Mounts) -> Result<(), Failure> {
        let target = target.expect("--copy requires --to");
        tree::check("--copy", &self.source, target, mounts)?;
        let extent = tree::measure(&self.source)?;
        self.bytes.set(Some(extent.bytes));
        enough_space(&target.folder, extent.bytes)?;
        enough_inodes(&target.folder, extent.inodes)
    }

    fn prepare(&self, target: Option<&Target>) -> io::Result<()> {
        // `cp` gives it the permissions of the original last.
        target.map_or(Ok(()), Target::take)
    }

    fn takes_name_first(&self) -> bool {
        true
    }

    fn commands(&self, target: Option<&Target>) -> Vec<Command> {
        tree::cp(&self.source, target, "--reflink=never")
    }

    fn progress(&self) -> Option<Progress> {
        let of = Amount { bytes: self.bytes.get(), files: None };
        Some(Progress::new("copying", self.source.display()).of(of))
    }

    fn settle(&self, target: Option<&Target>) -> io::Result<()> {
        tree::settle(target)
    }

    fn size(&self, target: Option<&Target>) -> Option<SizeRecord> {
        tree::size(target, true)
    }
}
