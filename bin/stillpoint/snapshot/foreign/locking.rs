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

use super::holders::{Holders, InTheWay};
use super::wanted::{Also, Kind};
use crate::files::names::leads_to;
use crate::files::open::anything;
use crate::process::signals::Signals;
use crate::words::exit::{Exit, Failure};
use crate::words::seconds;
use crate::words::waiting::WaitingLine;

/// Between two attempts at a lock. Where it is free for a moment now and then this decides how many of those
/// moments go by: with 10 ms, of ten busy mail clients' most of them.
const POLL: Duration = Duration::from_micros(200);

pub fn open(path: &Path) -> Result<File, Failure> {
    anything(path, File::options().read(true).write(true)).map_err(cannot(path))
}

/// Whether the name still is that of the open file.
pub fn is_in_place(file: &File, path: &Path) -> Result<bool, Failure> {
    leads_to(path, file).map_err(cannot(path))
}

fn cannot(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::system(format_args!("{}: cannot be locked", path.display()), error)
}

/// How long to wait for several locks.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the first: nobody waits for us meanwhile.
    pub first: Duration,
    /// For the others, once we have one that somebody may want.
    pub others: Duration,
    /// The option that the first one is.
    pub option: &'static str,
}

/// A wait for several locks, one after another.
pub struct Wait<'a> {
    since: Instant,
    patience: Patience,
    /// Since when one of them is held.
    holding: Option<Instant>,
    signals: &'a Signals,
    progress: WaitingLine,
}

impl Wait<'_> {
    pub fn new(patience: Patience, signals: &Signals) -> Wait<'_> {
        let (since, progress) = (Instant::now(), WaitingLine::new());
        Wait { since, patience, holding: None, signals, progress }
    }

    pub fn left(&self) -> Duration {
        let first = self.patience.first.saturating_sub(self.since.elapsed());
        match self.holding {
            None => first,
            Some(since) => self.patience.others.saturating_sub(since.elapsed()),
        }
    }

    /// One of them is held now.
    pub fn is_held(&mut self) {
        self.holding.get_or_insert_with(Instant::now);
    }

    /// Before another round: files that are replaced all the time must come to an end.
    pub fn begin_again(&mut self, path: &Path) -> anyhow::Result<()> {
        self.signals.check()?;
        self.holding = None;
        if self.left().is_zero() {
            let message = format!(
                "{}: this lock, or one after it, is replaced again and again; find out who removes lock files",
                path.display()
            );
            return Err(Failure::new(Exit::CONFLICT, message).into());
        }
        std::thread::sleep(POLL);
        Ok(())
    }

    /// Locks it; false if it was replaced meanwhile.
    pub fn lock(&mut self, file: &File, also: &Also) -> anyhow::Result<bool> {
        let path = &also.path;
        let mut holders = Holders::default();
        loop {
            if try_lock(file, also.kind).map_err(cannot(path))? {
                return Ok(true);
            }
            self.signals.check()?;
            let left = self.left();
            if left.is_zero() {
                return Err(self.not_had(also, holders.tell(file)).into());
            }
            holders.look(file);
            self.progress.show_lock(path, self.since.elapsed(), || holders.now());
            std::thread::sleep(POLL.min(left));
            if !is_in_place(file, path)? {
                return Ok(false);
            }
        }
    }

    fn not_had(&self, also: &Also, holders: InTheWay) -> Failure {
        let (path, waited) = (also.path.display(), seconds::display(self.since.elapsed()));
        let option = if self.holding.is_some() { "--drain" } else { self.patience.option };
        let message = match holders {
            InTheWay::Stay(who) => format!(
                "{path}: still locked by {who} after {waited}; wait longer with {option}, or look what that one does"
            ),
            InTheWay::Change(who) => {
                let fewer = match also.kind {
                    Kind::Cyrus => "allow fewer processes (maxchild in cyrus.conf)",
                    _ => "let fewer work at once",
                };
                format!(
                    "{path}: never free in {waited}, though nobody keeps it: its holders keep changing ({who}); wait longer with {option}, choose a quieter time, or {fewer}"
                )
            }
        };
        Failure::new(Exit::CONFLICT, message)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    /// Somebody holds it most of the time and leaves it for a millisecond now and then: how many of these
    /// moments go by is counted.
    #[test]
    fn a_lock_that_is_free_for_moments_is_had_in_one_of_the_first() {
        const ROUNDS: u32 = 40;
        let file = tempfile::NamedTempFile::new().unwrap();
        let signals = Signals::watch().unwrap();
        let also = Also { kind: Kind::Flock, path: file.path().into() };
        let (moments, done) = (AtomicU32::new(0), AtomicBool::new(false));
        let mut missed = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let theirs = File::open(file.path()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    theirs.lock_shared().unwrap();
                    // Of several lengths, lest the two go in step.
                    let moment = moments.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(15 + u64::from(moment * 7 % 10)));
                    theirs.unlock().unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            for _ in 0..ROUNDS {
                let last = moments.load(Ordering::Relaxed);
                while moments.load(Ordering::Relaxed) == last {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let before = moments.load(Ordering::Relaxed);
                let ours = open(file.path()).unwrap();
                let limit = Duration::from_secs(20);
                let patience = Patience { first: limit, others: limit, option: "--patience" };
                assert!(Wait::new(patience, &signals).lock(&ours, &also).unwrap());
                missed += moments.load(Ordering::Relaxed) - before;
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(4 * missed <= 3 * ROUNDS, "{missed} moments were missed for {ROUNDS} locks");
    }
}
