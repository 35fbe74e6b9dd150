//! The command `stillpoint`.
//!
//! # Where to look
//!
//! A verb is what `stillpoint VERB` does. What verbs share lies below them, a folder each. A room uses those below
//! it and names none that is above or beside it; `tests/rooms` sees to that, by this plan.
//!
//! ```text
//! +---------------------------+
//! |           verbs           |  one file or folder for each
//! +---------------------------+
//! |          metrics          |  what Prometheus is told, and its files
//! +---------------------------+
//! |            job            |  what is to be done again and again, as its file says
//! +-----------+----------+----------+
//! | selection | snapshot | adoption |  which snapshots a verb is about | how one is made | what it takes to adopt
//! +-----------+----------+----------+
//! |         stilling          |  how writers that take no share are made to stand still
//! +---------------------------+
//! |         catalogue         |  the manifests, their locks, what need not be kept
//! +---------------------------+
//! |          barrier          |  its state on disk, and a command's exclusive side
//! +---------------------------+
//! |          process          |  this one, its signals and children, the tools it asks, what /proc shows of others
//! +-------------+-------------+
//! |    words    |    files    |  what is read and said | names and folders
//! +-------------+-------------+
//! ```
//!
//! The head of each room's `mod.rs` says what it is, what it uses, and what it is right about.

// std's own beginning reads the table of this process's maps, to know a stack overflow by its name, and takes a stack for
// the signal: a tenth of what `run -s true` costs. What else it does is done in `inherited`, and the words of the command line
// come to std from glibc, for which alone the command is.
#![cfg_attr(not(test), no_main)]

use std::ffi::OsString;

use process::{ending, faults, inherited, tool};
use words::exit::Exit;
use words::{lines, output, usage};

mod adoption;
mod barrier;
mod catalogue;
mod files;
mod job;
mod metrics;
mod process;
mod selection;
mod snapshot;
mod stilling;
mod verbs;
mod words;

/// Called by the C library. It ends by std's exit, which writes what is still to be written.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    let exit = std::panic::catch_unwind(begin).unwrap_or(Exit::INTERNAL);
    std::process::exit(exit.code().into())
}

#[cfg_attr(test, allow(dead_code))]
fn begin() -> Exit {
    if let Err(failure) = inherited::settle() {
        lines::complain(&failure.into());
        return Exit::SYSTEM;
    }
    faults::survive();
    if stillpoint::is_untrusted() {
        forget_environment();
    }
    let cli = match verbs::read() {
        Ok(cli) => cli,
        Err(mut error) => {
            verbs::advise(&mut error);
            match error.use_stderr() && output::is_journal() {
                true => lines::complain(&anyhow::Error::msg(usage::line("stillpoint", &error))),
                // A reader that went away is no reason to complain.
                false => drop(error.print()),
            }
            return match error.use_stderr() {
                true => verbs::usage_exit(std::env::args_os().nth(1).as_deref()),
                false => Exit::SUCCESS,
            };
        }
    };
    // Few shares, and a start that is to be quick.
    stillpoint::keep_fences();
    ending::of(verbs::perform(cli))
}

/// Started by somebody who may less than this process may: no variable says where barriers, tools and a
/// shell are, here or in what is started.
fn forget_environment() {
    let set: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in set {
        // SAFETY: there is no other thread yet.
        unsafe { std::env::remove_var(name) };
    }
    // SAFETY: as above.
    unsafe { std::env::set_var("PATH", tool::STANDARD) };
}
