//! Locks of programs that know nothing of the barrier, held for the length of a pause.
//!
//! They are taken before the gate closes: whoever holds one may take long, and nobody shall stand at
//! our gate for him. So they are polled, at most for the drain limit of an attempt, in the order given;
//! what was taken goes back when a later one, or the pause, cannot be had. At the end the gate opens
//! first, since our writers are the ones who wait for milliseconds, and these locks fall right after.
//! The kernel takes them back from a process that dies. Descriptors are closed on exec: a copy that
//! outlives us must not keep a mail server waiting.
//!
//! The lock belongs to the file, not to the name. If somebody puts another file in its place, the
//! others lock that one and exclude us no more; so the name is asked again when the provider is done.

mod cyrus;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use stillpoint::Writer;

use self::cyrus::Cyrus;
use super::Arguments;
use super::plan::known_path;
use crate::catalogue::leads_to;
use crate::catalogue::record::ForeignRecord;
use crate::exit::{Exit, Failure};
use crate::seconds;
use crate::signals::Signals;
use crate::waiting::{Progress, who};

/// Between two attempts at a lock, at first and at most.
const POLL: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));

/// How a file is locked. The two kinds do not see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As [`Kind::Fcntl`], on a file that is made if it is missing.
    Cyrus,
    /// fcntl(2), for writing, all of the file. Of the description: closing the file elsewhere in this
    /// process does not lose it, and it excludes the locks of processes.
    Fcntl,
    /// flock(2), exclusive.
    Flock,
}

impl Kind {
    /// For the manifest.
    fn name(self) -> &'static str {
        match self {
            Kind::Cyrus => "cyrus",
            Kind::Fcntl => "fcntl",
            Kind::Flock => "flock",
        }
    }
}

/// A value of `--also`, or Cyrus's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Also {
    kind: Kind,
    path: PathBuf,
}

/// As `fcntl:PATH` or `flock:PATH`.
pub fn parse_also(text: &OsStr) -> Result<Also, String> {
    let bytes = text.as_bytes();
    let kinds = [(Kind::Fcntl, &b"fcntl:"[..]), (Kind::Flock, &b"flock:"[..])];
    let found =
        kinds.into_iter().find_map(|(kind, prefix)| Some((kind, bytes.strip_prefix(prefix)?)));
    match found {
        Some((kind, path)) if !path.is_empty() => {
            Ok(Also { kind, path: OsStr::from_bytes(path).into() })
        }
        _ => Err("expected fcntl:PATH or flock:PATH".to_string()),
    }
}

/// The locks that a snapshot takes, known before anything is locked.
#[derive(Debug, Default)]
pub struct ForeignLocks {
    wanted: Vec<Also>,
    cyrus: Option<Cyrus>,
}

impl ForeignLocks {
    /// What the arguments ask for; each file can be opened. Changes nothing.
    pub fn find(arguments: &Arguments) -> Result<ForeignLocks, Failure> {
        let cyrus = arguments.cyrus.as_deref().map(Cyrus::configured).transpose()?;
        let mut wanted = Vec::new();
        let mut seen = Vec::new();
        if let Some(cyrus) = &cyrus {
            cyrus.check()?;
            let path = cyrus.lock_file().to_owned();
            if path.exists() {
                seen.push((false, identity(&open(&path)?, &path)?));
            }
            wanted.push(Also { kind: Kind::Cyrus, path });
        }
        for also in &arguments.also {
            let path = known_path(&also.path)?;
            let file = (also.kind == Kind::Flock, identity(&open(&path)?, &path)?);
            // We would wait for ourselves.
            if !seen.contains(&file) {
                seen.push(file);
                wanted.push(Also { kind: also.kind, path });
            }
        }
        Ok(ForeignLocks { wanted, cyrus })
    }

    /// The records for the manifest, before anything was waited for.
    pub fn records(&self) -> Vec<ForeignRecord> {
        let record = |also: &Also| ForeignRecord {
            kind: also.kind.name().to_owned(),
            path: also.path.clone(),
            waited_ms: None,
        };
        self.wanted.iter().map(record).collect()
    }

    /// What a command that runs Cyrus's own tools needs, lest they wait for us.
    pub fn environment(&self) -> Option<(&'static str, &'static str)> {
        self.cyrus.is_some().then_some(("CYRUS_HAVELOCK_GLOBAL", "1"))
    }

    /// Takes all of them within the limit, or none.
    pub fn take(
        &self,
        limit: Duration,
        signals: &Signals,
        records: &mut [ForeignRecord],
    ) -> anyhow::Result<HeldLocks> {
        let since = Instant::now();
        let mut progress = Progress::new();
        let mut held = HeldLocks::default();
        for (also, record) in self.wanted.iter().zip(records) {
            if let (Kind::Cyrus, Some(cyrus)) = (also.kind, &self.cyrus) {
                cyrus.make_lock_file()?;
            }
            let once = Instant::now();
            held.files.push((also.path.clone(), take(also, since, limit, signals, &mut progress)?));
            record.waited_ms = Some(seconds::milliseconds(once.elapsed()));
        }
        Ok(held)
    }
}

/// Locks that are held until this goes.
#[derive(Debug, Default)]
pub struct HeldLocks {
    files: Vec<(PathBuf, File)>,
}

impl HeldLocks {
    /// An error if others may have locked another file of one of these names meanwhile.
    pub fn check(&self) -> Result<(), Failure> {
        for (path, file) in &self.files {
            if !leads_to(path, file).unwrap_or(false) {
                let message = format!(
                    "{}: was replaced while it was locked, so nothing was kept out; find out who removes lock files",
                    path.display()
                );
                return Err(Failure::new(Exit::LIMIT, message));
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let opened = File::options().read(true).write(true).open(path);
    opened.map_err(|error| {
        Failure::system(format_args!("{}: cannot be locked", path.display()), error)
    })
}

/// Device and inode.
fn identity(file: &File, path: &Path) -> Result<(u64, u64), Failure> {
    let found = file.metadata().map_err(|error| Failure::system(path.display(), error))?;
    Ok((found.dev(), found.ino()))
}

/// Polls for one lock, until `limit` after `since`.
fn take(
    also: &Also,
    since: Instant,
    limit: Duration,
    signals: &Signals,
    progress: &mut Progress,
) -> anyhow::Result<File> {
    let mut pause = POLL.0;
    loop {
        let file = open(&also.path)?;
        let cannot = |error: io::Error| {
            Failure::system(format_args!("{}: cannot be locked", also.path.display()), error)
        };
        let taken = try_lock(&file, also.kind).map_err(cannot)?;
        // One that was replaced between opening and locking keeps nobody out.
        if taken && leads_to(&also.path, &file).map_err(cannot)? {
            return Ok(file);
        }
        signals.check()?;
        let left = limit.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(not_had(&also.path, &file, since.elapsed()).into());
        }
        progress.show_lock(&also.path, since.elapsed(), || holders(&file));
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(POLL.1);
    }
}

fn try_lock(file: &File, kind: Kind) -> io::Result<bool> {
    if kind == Kind::Flock {
        return match fs2::FileExt::try_lock_exclusive(file) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            other => other.map(|()| true),
        };
    }
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn holders(file: &File) -> String {
    let named = |writer: &Writer| who(writer.pid, &writer.comm, "");
    let names: Vec<String> = stillpoint::lock_holders(file).iter().map(named).collect();
    match names.is_empty() {
        true => "somebody who cannot be seen from here".to_string(),
        false => names.join(", "),
    }
}

fn not_had(path: &Path, file: &File, waited: Duration) -> Failure {
    let message = format!(
        "{}: still locked by {} after {}; wait longer with --drain, or look what that one does",
        path.display(),
        holders(file),
        seconds::display(waited)
    );
    Failure::new(Exit::CONFLICT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_paths() {
        let parse = |text: &str| parse_also(OsStr::new(text));
        assert_eq!(parse("fcntl:/a:b"), Ok(Also { kind: Kind::Fcntl, path: "/a:b".into() }));
        assert_eq!(parse("flock:x"), Ok(Also { kind: Kind::Flock, path: "x".into() }));
        for garbage in ["", "x", "fcntl", "fcntl:", "lockf:/a", "FLOCK:/a"] {
            assert!(parse(garbage).is_err(), "{garbage}");
        }
    }
}
