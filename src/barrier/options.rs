//! How a barrier is opened or made, and the checks on the way.

use crate::barrier::founding::{self, Birth};
use crate::barrier::fresh_start;
use crate::barrier::handle::Barrier;
use crate::error::name::{barrier_folder, barrier_path};
use crate::error::{Error, ErrorKind};
use crate::file::losses::Dirty;
use crate::file::open::{
    absolute, check_header, is_empty_file, make_folder, making_failed, not_made, open_fresh,
};
use crate::member::join;
use crate::member::open::{next_id, open_at};
use crate::succession::stragglers;
use crate::system::calls::comm;
use crate::system::environment::variable;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What a new barrier begins with: what durable state remembers of the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Founding {
    /// The barrier's identity; `None`: a new one.
    pub uuid: Option<[u32; 4]>,
    /// The dirty epoch.
    pub epoch: u32,
    /// The acknowledged epoch.
    pub acknowledged: u32,
    /// What the gate's generations begin near; 0: at 0. A generation names a pause, also to commands that
    /// ran in one of a barrier that had this identity before, so it is not to come again: drawn by chance
    /// where the identity is an old one.
    pub generation: u32,
}

impl Founding {
    /// With what was known of the barrier before it.
    pub fn new(uuid: Option<[u32; 4]>, dirty: Dirty) -> Founding {
        let Dirty { epoch, acknowledged } = dirty;
        Founding { uuid, epoch, acknowledged, ..Founding::default() }
    }
}

/// How a barrier is opened or made.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("spool.barrier");
/// let barrier = stillpoint::Barrier::options().create(true).label("lmtpd").open(&path)?;
/// # Ok::<(), stillpoint::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    create: Option<bool>,
    user: bool,
    label: Option<String>,
    mode: u32,
    group: Option<u32>,
    readmit: u32,
    fences: bool,
    watched: bool,
    founding: Founding,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            create: None,
            user: false,
            label: None,
            mode: 0o660,
            group: None,
            readmit: 100,
            fences: false,
            watched: true,
            founding: Founding::default(),
        }
    }
}

impl Options {
    /// Whether to make the barrier if it is missing. By default only if `$STILLPOINT_CREATE` is set
    /// (and not 0): a missing barrier is an error, because two sides that each made one of their own
    /// would exclude nobody.
    pub fn create(self, create: bool) -> Self {
        Options { create: Some(create), ..self }
    }

    /// Looks names up in `$XDG_RUNTIME_DIR/stillpoint`.
    pub fn user(self, user: bool) -> Self {
        Options { user, ..self }
    }

    /// What to call this writer in reports, at most 32 bytes; `$STILLPOINT_LABEL` goes before it.
    pub fn label(self, label: &str) -> Self {
        Options { label: Some(label.into()), ..self }
    }

    /// Permissions of a new barrier, whatever the umask; 0660 by default.
    pub fn mode(self, mode: u32) -> Self {
        Options { mode, ..self }
    }

    /// The group of a new barrier: that of the writers.
    pub fn group(self, gid: u32) -> Self {
        Options { group: Some(gid), ..self }
    }

    /// How many pent-up writers are let in at once after a pause, each of which lets in the next;
    /// 0: all. 100 by default. Set when a barrier is made.
    pub fn readmit(self, writers: u32) -> Self {
        Options { readmit: writers, ..self }
    }

    /// Whether every writer of a new barrier passes a full fence when it enters. False by default: then writers that
    /// can leave it out do, and a tool has to be able to have them pass one, by membarrier(2). True for tools that
    /// cannot, under a filter of system calls for example.
    pub fn fences(self, fences: bool) -> Self {
        Options { fences, ..self }
    }

    /// Whether a share that this process dies in is a loss, and dirties the barrier; true by default. Not for
    /// who is inside only while it asks for something that is not its own yet.
    pub fn watched(self, watched: bool) -> Self {
        Options { watched, ..self }
    }

    /// What a new barrier begins with.
    pub fn founding(self, founding: Founding) -> Self {
        Options { founding, ..self }
    }

    /// Opens the barrier, or makes it if it is missing and that was asked for.
    ///
    /// # Errors
    /// See [`Error`]: missing, not a barrier, another version, a file system that cannot carry one,
    /// no permission, no slot.
    pub fn open(&self, name: impl AsRef<OsStr>) -> Result<Barrier, Error> {
        let path = self.path(name.as_ref())?;
        match self.join(&path) {
            Err(error @ (Error::Missing { .. } | Error::NotABarrier { .. })) if self.creates() => {
                if error.kind() == ErrorKind::Missing || is_empty_file(&path) {
                    match self.make(&path) {
                        Ok(()) | Err(Error::Exists { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                // What was none a moment ago may have become one.
                self.join_and_gather(&path)
            }
            result => result,
        }
    }

    /// Makes the barrier and opens it. An empty file that nobody has locked becomes the barrier. A file
    /// of the right size whose contents are no barrier any more, and which nobody has open, is made
    /// anew.
    ///
    /// # Errors
    /// [`Error::Exists`] if a barrier is there; [`Error::Create`] if it cannot be made; else as
    /// [`Options::open`].
    pub fn found(&self, name: impl AsRef<OsStr>) -> Result<Barrier, Error> {
        let path = self.path(name.as_ref())?;
        match self.make(&path) {
            Err(Error::Exists { .. }) => join::while_made_anew(|| self.make_anew(&path))?,
            result => result?,
        }
        self.join_and_gather(&path)
    }

    /// Makes a barrier of a file that was one.
    fn make_anew(&self, path: &Path) -> Result<(), Error> {
        let (file, identity) = open_fresh(path, true, None)?;
        match check_header(&file, path) {
            Ok(_) => Err(Error::Exists { path: path.into() }),
            Err(Error::NotABarrier { .. }) if fresh_start::has_right_size(&file) => {
                fresh_start::from_garbage(path, identity, &self.birth())
            }
            Err(error) => Err(error),
        }
    }

    fn creates(&self) -> bool {
        self.create
            .unwrap_or_else(|| variable("STILLPOINT_CREATE").is_some_and(|value| value != "0"))
    }

    fn path(&self, name: &OsStr) -> Result<PathBuf, Error> {
        barrier_path(name, self.user)
    }

    fn birth(&self) -> Birth {
        Birth {
            mode: self.mode,
            group: self.group,
            readmit: self.readmit,
            fences: self.fences,
            uuid: self.founding.uuid,
            epoch: self.founding.epoch,
            acknowledged: self.founding.acknowledged,
            generation: self.founding.generation & 0x3fff_fffe,
        }
    }

    /// Makes the file; the standard folder too, if that is what is missing.
    fn make(&self, path: &Path) -> Result<(), Error> {
        let standard = barrier_folder(self.user).ok();
        if let Some(folder) = path.parent().filter(|folder| standard.as_deref() == Some(*folder)) {
            make_folder(folder, self.user).map_err(|source| making_failed(path, source))?;
        }
        let path = absolute(path).map_err(not_made)?;
        stragglers::can_be_brought_over(&path)?;
        founding::found(&path, &self.birth())
    }

    /// Joins what was made, and brings over who uses what was there before.
    fn join_and_gather(&self, path: &Path) -> Result<Barrier, Error> {
        let barrier = self.join(path)?;
        barrier.gather()?;
        Ok(barrier)
    }

    fn join(&self, path: &Path) -> Result<Barrier, Error> {
        let label = || {
            let label = variable("STILLPOINT_LABEL").and_then(|label| label.into_string().ok());
            label.or_else(|| self.label.clone()).unwrap_or_else(comm)
        };
        open_at(&absolute(path)?, label, next_id, self.watched).map(|inner| Barrier::at(&inner))
    }
}
