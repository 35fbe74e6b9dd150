//! Fences that one process has others pass: membarrier(2), of its kinds the one that is global and expedited.
//!
//! Who has registered for it may leave a full fence out on a way that is gone often, between a store and a load,
//! if whoever needs the order makes this call. It returns when every thread that runs in a registered process
//! has passed a full fence, by an interrupt of its processor; a thread that does not run has passed one when it
//! was switched out, and passes one when it is switched in. So a store that came before that moment is seen
//! behind the call, and a load that comes after it sees what was stored before the call.
//!
//! Registering is a matter of the address space: exec(2) ends it. Who has not registered is passed over in silence.
//! A registration by a process with threads did not reach all processors before Linux 5.12 (before 6.9, on RISC-V,
//! threads were switched without a fence); of what may be such a kernel nothing is asked.
//!
//! A filter of seccomp(2) may end a process for the call, also for the question what the kernel offers: with
//! `STILLPOINT_FENCES=1` it is never made.

use crate::system::calls::membarrier;
use crate::system::environment::variable;
use crate::system::standard;
use std::io;
use std::sync::OnceLock;

// linux/membarrier.h
const QUERY: i32 = 0;
const GLOBAL: i32 = 1;
const GLOBAL_EXPEDITED: i32 = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: i32 = 1 << 2;
/// Of Linux 6.3.
const GET_REGISTRATIONS: i32 = 1 << 9;

/// The variable that keeps a process from the call.
const FENCES: &str = "STILLPOINT_FENCES";

/// Whether this process is not to make the call. Asked for once: a forked child may not be able to ask any more.
fn is_barred() -> bool {
    static BARRED: OnceLock<bool> = OnceLock::new();
    *BARRED.get_or_init(|| variable(FENCES).is_some_and(|value| value != "0"))
}

/// Whether the kernel offers this to us and keeps the promise.
pub(crate) fn is_offered() -> bool {
    if is_barred() {
        return false;
    }
    let needed = GLOBAL_EXPEDITED | REGISTER_GLOBAL_EXPEDITED;
    let offered = membarrier(QUERY).unwrap_or(0);
    offered & needed == needed && (is_sound(offered) || is_sound_release(&release()))
}

/// Whether what is offered proves that the kernel is new enough.
fn is_sound(offered: i32) -> bool {
    !cfg!(target_arch = "riscv64") && offered & GET_REGISTRATIONS != 0
}

fn release() -> String {
    let _standard = standard::keep();
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()
}

/// Whether a kernel of this release is. What cannot be read is none.
fn is_sound_release(release: &str) -> bool {
    let oldest = if cfg!(target_arch = "riscv64") { (6, 9) } else { (5, 12) };
    let mut numbers = release.split(['.', '-', '\n']).map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= oldest,
        _ => false,
    }
}

/// Registers this address space. Where there are threads the kernel waits for all processors: 10 ms and more.
pub(crate) fn register() -> io::Result<()> {
    membarrier(REGISTER_GLOBAL_EXPEDITED).map(drop)
}

/// Has every thread of a registered process that runs pass a full fence, and passes one itself. Where the
/// kernel lacks the memory to know whom to ask it asks all, once, which takes milliseconds.
pub(crate) fn fence_all() -> io::Result<()> {
    if is_barred() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{FENCES} is set")));
    }
    let fenced = membarrier(GLOBAL_EXPEDITED).or_else(|error| match error.kind() {
        io::ErrorKind::OutOfMemory => membarrier(GLOBAL),
        _ => Err(error),
    });
    fenced.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(target_arch = "riscv64"))]
    fn kernels_that_miss_processors_are_not_trusted() {
        for old in ["4.16.0", "5.11.22-generic", "5.4.0-200-generic", "5", "", "new"] {
            assert!(!is_sound_release(old), "{old}");
        }
        for sound in ["5.12.0", "5.12-rc4", "6.1.0-18-amd64", "6.18.5\n", "10.0"] {
            assert!(is_sound_release(sound), "{sound}");
        }
        assert!(is_sound(0x3ff) && !is_sound(0x1ff));
    }
}
