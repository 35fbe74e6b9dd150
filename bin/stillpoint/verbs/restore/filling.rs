//! How what is restored gets to its place: by what shares its blocks where that can be, else by a copy.
//!
//! A subvolume on its own file system becomes a writable snapshot, which is one step. All else is copied by `cp -a`,
//! which keeps owners, modes, times, links, attributes and holes, and shares blocks where the file system can.

use std::cell::RefCell;
use std::fs::{self, File, FileTimes};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Pid;

use super::flags;
use super::inside::{Found, Inside};
use super::work::{Spot, Work};
use crate::catalogue::identity::is_subvolume;
use crate::catalogue::pin::Pin;
use crate::files::handle;
use crate::files::sync::sync_file_system;
use crate::process::child::ended::Ended;
use crate::process::child::written::written;
use crate::process::child::{self, Bounds, Terms};
use crate::process::signals::Signals;
use crate::process::tool;
use crate::snapshot::place::folder::{enough_inodes, enough_space};
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::provider::{btrfs, reflink, tree};
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::warn;
use crate::words::progress::{Amount, Progress};

/// What is restored, and what keeps it meanwhile.
pub struct Filling<'a> {
    pub inside: &'a Inside<'a>,
    pub pin: &'a Pin,
    pub signals: &'a mut Signals,
    pub mounts: &'a Mounts,
    /// How much it is, if that was asked.
    pub of: Amount,
    /// How many of what was copied have flags that a copy has not.
    pub flagged: usize,
}

impl Filling<'_> {
    /// Is there room for it? Nothing is made that cannot become whole, as far as that can be told.
    pub fn check(&mut self, found: &[Found], spot: &Spot) -> Result<(), Failure> {
        tool::require("cp")?;
        let is_whole = found.is_empty();
        if is_whole && self.is_by_snapshot(spot) {
            return tool::require("btrfs");
        }
        let is_shared = self.mounts.same_file_system(&self.inside.place, &spot.shown)
            && reflink::probe(&spot.shown, self.mounts).is_ok();
        if is_shared {
            return Ok(());
        }
        let (mut bytes, mut inodes) = (0, 0);
        let places: Vec<PathBuf> = match is_whole {
            true => vec![self.inside.place.clone()],
            false => found.iter().map(|one| self.inside.place.join(&one.path)).collect(),
        };
        for place in places {
            let extent = tree::measure(&place)?;
            (bytes, inodes) = (bytes + extent.bytes, inodes + extent.inodes);
        }
        self.of = Amount { bytes: Some(bytes), files: None };
        enough_space(&spot.shown, bytes)?;
        enough_inodes(&spot.shown, inodes)
    }

    /// All of the snapshot.
    pub fn fill(&mut self, work: &Work) -> anyhow::Result<()> {
        if !self.is_by_snapshot(&work.spot) {
            return self.copy(&self.inside.root, Path::new("."), work, &work.data());
        }
        if is_subvolume(&self.inside.place) {
            return self.snapshot(&self.inside.root, work, &work.data());
        }
        let cannot = |error| Failure::system(work.shown().display(), error);
        fs::create_dir(work.data()).map_err(cannot)?;
        fs::set_permissions(work.data(), fs::Permissions::from_mode(0o755)).map_err(cannot)?;
        for name in self.inside.parts() {
            let part = handle::enter(&self.inside.root, name.as_os_str());
            let part = part.map_err(|error| Failure::system(name.display(), error))?;
            self.snapshot(&part, work, &work.data().join(&name))?;
        }
        Ok(())
    }

    /// One thing of it.
    pub fn fill_with(&mut self, found: &Found, work: &Work) -> anyhow::Result<()> {
        let folder = found.folder(self.inside);
        let itself = handle::path(folder).join(&found.name);
        if self.is_by_snapshot(&work.spot) && is_subvolume(&itself) {
            let subvolume = handle::itself(&itself);
            let subvolume =
                subvolume.map_err(|error| Failure::system(found.path.display(), error))?;
            return self.snapshot(&subvolume, work, &work.data());
        }
        self.copy(folder, &found.argument(), work, &work.data())
    }

    /// Some things of it, each in folders as it is there.
    pub fn fill_with_all(&mut self, found: &[Found], work: &Work) -> anyhow::Result<()> {
        let cannot = |error| Failure::system(work.shown().display(), error);
        fs::create_dir(work.data()).map_err(cannot)?;
        let data = handle::readable(&work.data()).map_err(cannot)?;
        // As the folder that they are from.
        let mut made: Vec<(File, &File)> = vec![(data, &self.inside.root)];
        for one in found {
            let mut at = made[0].0.try_clone().map_err(cannot)?;
            for (name, original) in &one.way {
                let path = handle::path(&at).join(name);
                let is_new = match fs::create_dir(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
                    created => created.map(|()| true).map_err(cannot)?,
                };
                at = handle::readable(&path).map_err(cannot)?;
                if is_new {
                    made.push((at.try_clone().map_err(cannot)?, original));
                }
            }
            let to = handle::path(&at).join(&one.name);
            let (folder, argument) = (one.folder(self.inside), one.argument());
            self.run(copying(folder, &argument, &to), &[folder.as_fd(), at.as_fd()], work, &to)?;
            self.flagged += flags::count(folder, &argument);
        }
        // From within: what is made in a folder changes its times.
        for (folder, original) in made.iter().rev() {
            like(folder, original).map_err(cannot)?;
        }
        Ok(())
    }

    /// Writes it out: a name shall not outlive a power cut that the data does not.
    pub fn settle(&self, work: &Work) -> Result<(), Failure> {
        if self.flagged > 0 {
            warn(&format!(
                "{}: {} of the files and folders have flags of chattr(1) in the snapshot, which a copy has not: \
                 lsattr -Ra shows them there; set them again",
                work.spot.place().display(),
                self.flagged
            ));
        }
        let synced = sync_file_system(&handle::path(&work.folder));
        synced.map_err(|error| {
            Failure::new(
                Exit::CANNOT_CREATE,
                format!(
                    "{}: cannot be written out: {}",
                    work.spot.place().display(),
                    reason(&error)
                ),
            )
        })
    }

    /// By what btrfs has for it: both places are on one file system, and it is whole subvolumes.
    fn is_by_snapshot(&self, spot: &Spot) -> bool {
        self.inside.manifest.provider == btrfs::NAME
            && self.mounts.same_file_system(&self.inside.place, &spot.shown)
    }

    fn snapshot(&mut self, of: &File, work: &Work, to: &Path) -> anyhow::Result<()> {
        let mut command = tool::command("btrfs");
        command.args(["subvolume", "snapshot", "--"]).arg(handle::path(of).join(".")).arg(to);
        self.run(command, &[of.as_fd()], work, to)
    }

    fn copy(&mut self, folder: &File, what: &Path, work: &Work, to: &Path) -> anyhow::Result<()> {
        self.run(copying(folder, what, to), &[folder.as_fd()], work, to)?;
        self.flagged += flags::count(folder, what);
        Ok(())
    }

    /// Runs a tool to its end. It inherits what keeps the snapshot, and what keeps others from its work.
    fn run(
        &mut self,
        mut command: Command,
        open: &[std::os::fd::BorrowedFd<'_>],
        work: &Work,
        to: &Path,
    ) -> anyhow::Result<()> {
        self.signals.check()?;
        let program = tool::name(&command);
        let cannot = |error: std::io::Error| Failure::system("a temporary file", error);
        let mut complaints = tempfile::tempfile().map_err(cannot)?;
        command.stdout(Stdio::null()).stderr(complaints.try_clone().map_err(cannot)?);
        let mut inherited = self.pin.locks();
        inherited.push(work.folder.as_fd());
        inherited.extend(open);
        let progress = Progress::new("restoring", work.spot.place().display()).of(self.of);
        let progress = RefCell::new(progress);
        let tell = |pid: Pid| {
            progress.borrow_mut().show(|| Amount { bytes: written(pid), files: None });
        };
        let terms = Terms {
            bounds: Bounds::None,
            inherited: &inherited,
            prints_errors_only: false,
            told: Some(&tell),
        };
        let ended = child::run(&mut command, terms, self.signals)?;
        self.signals.check()?;
        if ended == Ended::Exited(0) {
            return Ok(());
        }
        let mut text = String::new();
        complaints.rewind().map_err(cannot)?;
        let _ = complaints.read_to_string(&mut text);
        // As people know it.
        let text = text.replace(&*to.to_string_lossy(), &work.spot.place().to_string_lossy());
        let what = match ended {
            Ended::Killed(signal) => format!("{program} was killed by signal {signal}"),
            _ => tool::said(&program, &text),
        };
        let message = format!("{}: is not restored: {what}", work.spot.place().display());
        Err(Failure::new(Exit::CANNOT_CREATE, message).into())
    }
}

/// From a folder, so that no link on the way there can lead elsewhere by now.
fn copying(folder: &File, what: &Path, to: &Path) -> Command {
    let mut command = tool::command("cp");
    command.args(["-a", "-T", "--reflink=auto", "--"]).arg(what).arg(to);
    command.current_dir(handle::path(folder));
    command
}

/// Gives a folder what another one is known by, as far as it may.
fn like(folder: &File, original: &File) -> std::io::Result<()> {
    let found = original.metadata()?;
    match fchown(folder, Some(found.uid()), Some(found.gid())) {
        Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    folder.set_permissions(fs::Permissions::from_mode(found.mode() & 0o7777))?;
    let times = FileTimes::new().set_accessed(found.accessed()?).set_modified(found.modified()?);
    folder.set_times(times)
}
