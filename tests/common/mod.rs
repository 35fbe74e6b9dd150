//! The scenes that more than one suite plays in. Every suite has them as `crate::common`.
//!
//! | module | what it sets up |
//! |---|---|
//! | `place` | a folder for barriers, and words of a barrier file |
//! | `participant` | processes that take part in a barrier, told so line by line |
//! | `container` | one, with participants in it |
//! | `command` | the command, in a place where it finds its folders |
//! | `process` | processes that are run to their end, or that stay until the test ends |
//! | `dovecot` | a Dovecot that runs, and what is spoken with it |
//! | `image` | file systems in image files, subvolumes, mounts |
//! | `filter` | system calls that are refused |
//! | `group` | control groups with processes in them |
//! | `strace` | the system calls that a process makes, and one of them failing or killing it |
//! | `many` | many runs side by side, and the figures of all |
//! | `comma` | a locale with a decimal comma |
//! | `chance` | choices that are the same each time from a seed |
//! | `time` | waiting for what is bound to happen |
//! | `skip` | what a machine must have for a test |

#![allow(dead_code, unused_imports, reason = "each test program uses its part of it")]

pub mod chance;
pub mod comma;
pub mod command;
mod container;
pub mod dovecot;
pub mod faketime;
pub mod filter;
pub mod group;
mod image;
pub mod many;
mod participant;
mod place;
mod process;
mod skip;
pub mod strace;
mod time;

pub use container::Container;
pub use group::Group;
pub use image::{Image, Mounted, subvolume};
pub use participant::{Participant, at_a_barrier, field};
pub use place::*;
pub use process::*;
pub use skip::{has, is_root, skip};
pub use time::{Over, SLACK, ms, until};

use std::path::Path;

pub const STILLPOINT: &str = env!("CARGO_BIN_EXE_stillpoint");

/// The folder that cargo built it into, with all else that it built.
pub fn programs() -> &'static Path {
    Path::new(STILLPOINT).parent().unwrap()
}

/// The folder of this repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
