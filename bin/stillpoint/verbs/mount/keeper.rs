//! What stays behind of `mount`: a process that holds the pin until the mount is gone.
//!
//! The kernel tells it of each change of the table of mounts. It must not be what keeps a mount namespace, and so the
//! mount, alive: once nobody else is in there, it ends.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork};

use crate::catalogue::pin::Pin;
use crate::process::proc::mounts::{Mount, list_of, seen_by};
use crate::process::proc::{self, Process};
use crate::process::{apart, inherited};
use crate::words::exit::Failure;

/// What it is called in lists of processes.
const NAME: &std::ffi::CStr = c"stillpoint-pin";

/// How often to look, in milliseconds, whether anybody else is in the mount namespace.
const GLANCE: u16 = 5000;

/// Starts it. From then on the pin is its own, too.
pub fn start(pin: &Pin, mount: Mount) -> Result<(), Failure> {
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Err(error) => Err(Failure::system("cannot start what keeps the snapshot", error)),
        Ok(ForkResult::Parent { .. }) => Ok(()),
        Ok(ForkResult::Child) => {
            let _ = keep(pin, &mount);
            std::process::exit(0)
        }
    }
}

fn keep(pin: &Pin, mount: &Mount) -> std::io::Result<()> {
    // Our handlers would take what is to end it.
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        let _ = inherited::set_default(signal);
    }
    let _ = prctl::set_name(NAME);
    // What cannot be left is kept; to hold the pin matters more.
    let _ = apart::leave_session();
    let locks: Vec<_> = pin.locks().iter().map(AsRawFd::as_raw_fd).collect();
    let _ = apart::close_all_but(&locks);
    let table = File::open(list_of(Process::this()))?;
    let first = namespace(Process(1));
    let limit = match first.is_some() && namespace(Process::this()) == first {
        true => PollTimeout::NONE,
        false => PollTimeout::from(GLANCE),
    };
    while is_there(mount) && (limit.is_none() || !is_alone()) {
        let _ = poll(&mut [PollFd::new(table.as_fd(), PollFlags::POLLPRI)], limit);
    }
    Ok(())
}

/// Its number may be another mount's by now, but hardly one of the same file system.
fn is_there(mount: &Mount) -> bool {
    let is_same = |one: &Mount| (one.number, one.device) == (mount.number, mount.device);
    seen_by(Process::this()).map_or(true, |mounts| mounts.iter().any(is_same))
}

/// Is nobody left in this mount namespace but those who keep something?
fn is_alone() -> bool {
    let ours = namespace(Process::this());
    let is_other = |process: &Process| {
        namespace(*process) == ours && process.comm().as_bytes() != NAME.to_bytes()
    };
    ours.is_some() && proc::all().is_ok_and(|all| !all.iter().any(is_other))
}

fn namespace(process: Process) -> Option<PathBuf> {
    std::fs::read_link(process.file("ns/mnt")).ok()
}
