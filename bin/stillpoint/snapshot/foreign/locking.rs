//! One lock of another program: taking it while others come and go, and giving it back.
//!
//! The kernel keeps no queue for these locks: who waits for all of a file gets it when nobody happens to
//! hold any of it. Where many come and go that may be for a moment only, so the lock is asked for
//! again and again, more often than they change.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use stillpoint::Writer;

use super::{Also, Kind};
use crate::catalogue::leads_to;
use crate::exit::{Exit, Failure};
use crate::seconds;
use crate::signals::Signals;
use crate::waiting::{Progress, who};

/// Between two attempts at a lock, at first and at most.
const POLL: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(1));

pub fn open(path: &Path) -> Result<File, Failure> {
    let opened = File::options().read(true).write(true).open(path);
    opened.map_err(cannot(path))
}

/// Whether the name still is that of the open file.
pub fn is_in_place(file: &File, path: &Path) -> Result<bool, Failure> {
    leads_to(path, file).map_err(cannot(path))
}

fn cannot(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::system(format_args!("{}: cannot be locked", path.display()), error)
}

/// A wait for several locks, one after another.
pub struct Wait<'a> {
    since: Instant,
    limit: Duration,
    signals: &'a Signals,
    progress: Progress,
}

impl Wait<'_> {
    pub fn new(limit: Duration, signals: &Signals) -> Wait<'_> {
        Wait { since: Instant::now(), limit, signals, progress: Progress::new() }
    }

    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.since.elapsed())
    }

    /// Before another round: files that are replaced all the time must come to an end.
    pub fn begin_again(&mut self, path: &Path) -> anyhow::Result<()> {
        self.signals.check()?;
        if self.left().is_zero() {
            let message = format!(
                "{}: this lock, or one after it, is replaced again and again; find out who removes lock files",
                path.display()
            );
            return Err(Failure::new(Exit::CONFLICT, message).into());
        }
        std::thread::sleep(POLL.1);
        Ok(())
    }

    /// Locks it; false if it was replaced meanwhile.
    pub fn lock(&mut self, file: &File, also: &Also) -> anyhow::Result<bool> {
        let path = &also.path;
        let mut pause = POLL.0;
        loop {
            if try_lock(file, also.kind).map_err(cannot(path))? {
                return Ok(true);
            }
            self.signals.check()?;
            let (waited, left) = (self.since.elapsed(), self.left());
            if left.is_zero() {
                return Err(not_had(path, file, waited).into());
            }
            self.progress.show_lock(path, waited, || holders(file));
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(POLL.1);
            if !is_in_place(file, path)? {
                return Ok(false);
            }
        }
    }
}

/// What fcntl(2) takes for all of a file.
fn whole(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn try_lock(file: &File, kind: Kind) -> io::Result<bool> {
    if kind == Kind::Flock {
        return match fs2::FileExt::try_lock_exclusive(file) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            other => other.map(|()| true),
        };
    }
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives a lock of either kind back, for all who have this description. Cannot fail.
pub fn unlock(file: &File) {
    let _ = fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole(libc::F_UNLCK)));
    let _ = fs2::FileExt::unlock(file);
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
