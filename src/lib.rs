//! A consistency barrier for Linux.
//!
//! Every process that changes a store (a mail spool, a set of databases, a tree of files) takes the
//! **shared** side of a barrier around each set of writes that belong together. A snapshot tool takes
//! the **exclusive** side: it is granted when no set of writes is under way, and while it is held none
//! begins. A file-system snapshot or a backup made in that moment is as consistent as one made after a
//! clean shutdown, and the writers stood still only for milliseconds.
//!
//! ```
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("spool.barrier");
//! # stillpoint::Barrier::create(&path)?;
//! use stillpoint::{Barrier, ExclusiveOptions};
//!
//! // A writer: about 10 ns to enter and leave.
//! let barrier = Barrier::open(&path)?;
//! let share = barrier.shared()?;
//! // ... message file, index, counter ...
//! drop(share);
//!
//! // A snapshot tool.
//! let pause = barrier.exclusive(&mut ExclusiveOptions::default())?;
//! // ... take the snapshot ...
//! pause.release()?; // the certificate; on an error throw the snapshot away
//! # Ok::<(), stillpoint::Error>(())
//! ```
//!
//! # Where to look
//!
//! The code stands in rooms, one folder each. A room uses those below it and names none that is above or
//! beside it; `tests/rooms` sees to that, by this plan.
//!
//! ```text
//! +-------------+-------------+
//! |  exclusive  | write_lock  |  pauses and their certificate | a share around every write lock
//! +-------------+-------------+
//! |          shared           |  shares of all kinds, and waiting for them
//! +---------------------------+
//! |          barrier          |  the handle: opening, making, looking, retiring
//! +---------------------------+
//! |        succession         |  files that lose their place, and who uses them still
//! +---------------------------+
//! |          member           |  owning slots, proving life, fork, reclaiming from the dead
//! +-------------+-------------+
//! |    seat     |   report    |  the fast path of a thread | who is named, what is counted
//! +-------------+-------------+
//! |           file            |  the bytes of the barrier file, and what is checked
//! +-------------+-------------+
//! |    gate     |    error    |  how the two sides exclude each other | what goes wrong
//! +-------------+-------------+
//! |          system           |  the kernel, the environment
//! +---------------------------+
//! ```
//!
//! The head of each room's `mod.rs` says what it is, what it may use, and what it is right about.
//!
//! # Tasks of an async runtime
//!
//! [`Barrier::shared`] keeps its thread waiting at a closed gate, and with it every task that the thread runs;
//! and shares of one thread nest, so overlapping tasks of one thread would never let a pause begin. Tasks
//! await [`Barrier::shared_owned_async`], on any runtime, and may hold what it gives across an await. A task
//! that holds one must not wait for another.
//!
//! # What it does not do
//!
//! It orders writers that take part; it does not see others. It flushes nothing. It is not a database
//! lock manager. One host's barrier does not reach through a network file system.

#[cfg(not(target_os = "linux"))]
compile_error!("stillpoint needs Linux: futexes, open-file-description locks and MADV_WIPEONFORK");

mod barrier;
mod error;
mod exclusive;
mod file;
mod gate;
mod member;
mod report;
mod seat;
mod shared;
mod succession;
mod system;
mod write_lock;

pub use {
    barrier::handle::Barrier,
    barrier::options::{Founding, Options},
    barrier::status::{Holder, Kind, Status, WriterStatus},
    error::name::{barrier_folder, barrier_path},
    error::who::{Straggler, Writer},
    error::{Error, ErrorKind},
    exclusive::acquire::exclusive_all,
    exclusive::freeze::{Ending, Keeper, Thawed, Token},
    exclusive::guard::{ExclusiveGuard, PauseReport},
    exclusive::options::{ExclusiveOptions, GateChange},
    exclusive::pacing::Pacing,
    file::losses::{Dirty, Lost},
    member::cover::{Cover, HELD},
    member::cut::survive_bus_error,
    member::fences::keep_fences,
    member::mapping::leave_maps,
    member::process::prepare,
    report::foreign::{FlockUser, lock_holders},
    report::held_lock::{HeldLock, LockedFileSystems},
    report::stats::Stats,
    report::watch::{Phase, Waiting},
    seat::express::AtOnce,
    shared::command_loop::CommandLoop,
    shared::command_share::{CommandShare, CommandShareOptions},
    shared::counted::OwnedShared,
    shared::entering::EnteringShared,
    shared::guard::SharedGuard,
    system::environment::{is_untrusted, variable},
    system::file_lock::{FileLock, LockKind},
    system::signals::Handlers,
    write_lock::guard::WriteLock,
    write_lock::wrapped::LockRequest,
};

/// The commands of the README are examples too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
