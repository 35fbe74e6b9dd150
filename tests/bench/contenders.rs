//! The contenders: each a lock with a shared and an exclusive side.
//!
//! All are used as their own documentation suggests, with the file open or mapped beforehand; only
//! Cyrus's opens and closes it each time, as Cyrus IMAP does. Loops over pairs are compiled for each
//! lock alone, so no contender pays for being one of several.

use std::ffi::c_short;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, compiler_fence};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use stillpoint::{Barrier, ExclusiveOptions};

use crate::pthread::{Kind, Mutex, ReaderWriter};

/// A lock, or none at all.
pub trait Contender: Send + Sync {
    /// Enters and leaves the shared side this many times.
    fn pairs(&self, count: u64);
    /// Runs something inside a share.
    fn share(&self, inside: &mut dyn FnMut());
    /// Runs something inside the exclusive side.
    fn exclusive(&self, inside: &mut dyn FnMut());
}

/// What a contender has to say for itself.
pub trait Lock: Send + Sync {
    fn shared(&self, inside: impl FnMut());
    fn alone(&self, inside: impl FnMut());
}

impl<L: Lock> Contender for L {
    fn pairs(&self, count: u64) {
        for _ in 0..count {
            // What is inside must not be moved out, and that is all there is inside.
            self.shared(|| compiler_fence(Ordering::SeqCst));
        }
    }

    fn share(&self, inside: &mut dyn FnMut()) {
        self.shared(inside);
    }

    fn exclusive(&self, inside: &mut dyn FnMut()) {
        self.alone(inside);
    }
}

/// The contender of that name; its file, if any, is in the folder.
pub fn open(name: &str, folder: &Path) -> anyhow::Result<Box<dyn Contender>> {
    let file = || {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(folder.join(name))
    };
    Ok(match name {
        "stillpoint" => Box::new(Barrier::options().create(true).open(barrier(folder))?),
        "flock" => Box::new(Flock(file()?)),
        "OFD" => Box::new(Fcntl::<false>(file()?)),
        "Cyrus" => Box::new(Cyrus(folder.join(name))),
        "fcntl" => Box::new(Fcntl::<true>(file()?)),
        "pthread" => Box::new(ReaderWriter::new(&file()?, Kind::ReadersFirst)?),
        "pthread-writers" => Box::new(ReaderWriter::new(&file()?, Kind::WritersFirst)?),
        "mutex" => Box::new(Mutex::new(&file()?)?),
        "parking_lot" => Box::new(parking_lot::RwLock::new(())),
        "std" => Box::new(std::sync::RwLock::new(())),
        "plain" => Box::new(Plain),
        _ => anyhow::bail!("no contender is called {name}"),
    })
}

/// What people call the contender of that name.
pub fn title(name: &str) -> &str {
    match name {
        "parking_lot" => "parking_lot RwLock",
        "std" => "std RwLock",
        "pthread" => "pthread_rwlock",
        "pthread-writers" => "pthread_rwlock, writers first",
        "mutex" => "robust pthread_mutex",
        "OFD" => "OFD lock",
        "Cyrus" => "open+fcntl+close as Cyrus",
        _ => name,
    }
}

/// Whether each thread opens it for itself: the lock of an open file is one, whoever uses that.
pub fn is_opened_by_each_thread(name: &str) -> bool {
    matches!(name, "flock" | "OFD")
}

/// The barrier of a folder.
pub fn barrier(folder: &Path) -> PathBuf {
    folder.join("bench.barrier")
}

impl Lock for Barrier {
    #[inline(always)]
    fn shared(&self, mut inside: impl FnMut()) {
        let share = self.shared().expect("a share is granted sooner or later");
        inside();
        drop(share);
    }

    fn alone(&self, mut inside: impl FnMut()) {
        let pause =
            self.exclusive(&mut ExclusiveOptions::default()).expect("nobody is inside for long");
        inside();
        pause.release().expect("the pause is short");
    }
}

/// flock(2) by fs2, on an open file.
struct Flock(File);

impl Lock for Flock {
    fn shared(&self, mut inside: impl FnMut()) {
        fs2::FileExt::lock_shared(&self.0).expect("flock");
        inside();
        fs2::FileExt::unlock(&self.0).expect("flock");
    }

    fn alone(&self, mut inside: impl FnMut()) {
        fs2::FileExt::lock_exclusive(&self.0).expect("flock");
        inside();
        fs2::FileExt::unlock(&self.0).expect("flock");
    }
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as c_short,
        l_whence: libc::SEEK_SET as c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// fcntl(2) on an open file: a classic lock, which belongs to the process, or one that belongs to the
/// open file description.
struct Fcntl<const CLASSIC: bool>(File);

impl<const CLASSIC: bool> Fcntl<CLASSIC> {
    fn set(&self, kind: i32) {
        let lock = whole_file(kind);
        let how = if CLASSIC { FcntlArg::F_SETLKW(&lock) } else { FcntlArg::F_OFD_SETLKW(&lock) };
        fcntl(&self.0, how).expect("fcntl");
    }
}

impl<const CLASSIC: bool> Lock for Fcntl<CLASSIC> {
    fn shared(&self, mut inside: impl FnMut()) {
        self.set(libc::F_RDLCK);
        inside();
        self.set(libc::F_UNLCK);
    }

    fn alone(&self, mut inside: impl FnMut()) {
        self.set(libc::F_WRLCK);
        inside();
        self.set(libc::F_UNLCK);
    }
}

/// What Cyrus IMAP does for its global lock: open with these flags, lock, unlock, close.
struct Cyrus(PathBuf);

impl Cyrus {
    fn hold(&self, kind: i32, mut inside: impl FnMut()) {
        let mut options = OpenOptions::new();
        let file =
            options.create(true).truncate(true).read(true).write(true).open(&self.0).expect("open");
        fcntl(&file, FcntlArg::F_SETLKW(&whole_file(kind))).expect("fcntl");
        inside();
        fcntl(&file, FcntlArg::F_SETLKW(&whole_file(libc::F_UNLCK))).expect("fcntl");
    }
}

impl Lock for Cyrus {
    fn shared(&self, inside: impl FnMut()) {
        self.hold(libc::F_RDLCK, inside);
    }

    fn alone(&self, inside: impl FnMut()) {
        self.hold(libc::F_WRLCK, inside);
    }
}

impl Lock for parking_lot::RwLock<()> {
    #[inline(always)]
    fn shared(&self, mut inside: impl FnMut()) {
        let share = self.read();
        inside();
        drop(share);
    }

    fn alone(&self, mut inside: impl FnMut()) {
        let pause = self.write();
        inside();
        drop(pause);
    }
}

impl Lock for std::sync::RwLock<()> {
    #[inline(always)]
    fn shared(&self, mut inside: impl FnMut()) {
        let share = self.read().expect("not poisoned");
        inside();
        drop(share);
    }

    fn alone(&self, mut inside: impl FnMut()) {
        let pause = self.write().expect("not poisoned");
        inside();
        drop(pause);
    }
}

/// No lock: arithmetic that nobody else can slow down but by using the same core.
struct Plain;

impl Lock for Plain {
    #[inline(always)]
    fn shared(&self, mut inside: impl FnMut()) {
        for step in 0..8u64 {
            std::hint::black_box(step);
            inside();
        }
    }

    fn alone(&self, mut inside: impl FnMut()) {
        inside();
    }
}
